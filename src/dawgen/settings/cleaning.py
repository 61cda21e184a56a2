"""Settings of the rules that decide which synthetic rows are kept."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from dawgen.settings.section import Positive, Section, Share

RuleName = Literal[
    "empty",
    "cut off",
    "broken text",
    "unbalanced brackets or quotes",
    "repeats itself",
    "bad end",
    "other script",
    "copy of the first text",
    "repeats the request",
    "too short",
    "too long",
    "repeats a few-shot text",
    "repeats an evaluation row",
    "overlaps a few-shot text",
    "overlaps an evaluation row",
    "duplicate",
    "near-duplicate",
]
"""Rules by the name under which the ledger counts what they rejected."""


class CleaningSettings(Section):
    """Which written rows are rejected, method.md §2; every rule is on unless `skip` names it."""

    skip: tuple[RuleName, ...] = ()
    """Rules that are not asked, by their name in the ledger."""
    copy_share: Share = 0.0
    """Of a label's rows, how many may copy the first text, for labels that the card lists under
    `copies` (ours, not published; FewGen lets all copies through)."""
    near_duplicate: Annotated[float, Field(gt=0, le=1)] = 0.8
    """Two rows of a label are near-duplicates if their letter 5-grams are this alike (Jaccard),
    in each text (ours, not published)."""
    overlap_words: Positive = 8
    """As many words running in common are an overlap (GPT-2's own check: 8)."""
