"""Settings of the choice among everything that a run could hand over."""

from __future__ import annotations

from typing import Literal

from pydantic import field_validator

from dawgen.backbone.registry import full_name
from dawgen.settings.section import Section

AUTO, PREFERRED, PACKAGED = "auto", "dawgen/mpnet", "dawgen/tiny"
"""Values of ``encoder``: whichever of the other two is on this machine; the one that is preferred;
the one that is part of the package."""

CandidateName = Literal[
    "tfidf",
    "tfidf+written",
    "embeddings",
    "embeddings+written",
    "embeddings+unlabelled",
    "alignment",
    "alignment+written",
    "cross-encoder",
    "cross-encoder+written",
    "cross-encoder+alignment",
    "cross-encoder+alignment+written",
    "tuned-cross-encoder",
    "tuned-cross-encoder+alignment",
    "states",
    "states+written",
    "embeddings+states",
    "embeddings+states+written",
    "embeddings+states+unlabelled",
    "tuned-embeddings",
    "tuned-embeddings+written",
    "tuned-embeddings+states",
    "tuned-embeddings+states+written",
    "zero-shot",
    "baseline",
    "prompt",
    "noisy-channel",
    "average",
]
"""From the cheapest to use to the most expensive; with written rows after without."""


class SelectionSettings(Section):
    """Which classifier a run hands over: the best of several on held-out rows."""

    candidates: Literal["quick", "all", "paper"] | list[CandidateName] = "quick"
    """`paper` is dawgen's prompt alone. `quick` compares it with what takes seconds or a few
    minutes: zero-shot, logistic regression on TF-IDF, on the backbone's states (but of pairs that
    MPNet's cross-encoder reads) and on sentence embeddings by an encoder that is on this machine,
    of single texts also on those of an encoder tuned on the labelled rows, of pairs on how their
    words match and on what a cross-encoder reads, and on these together; most with and without the
    written rows, with `--unlabelled` also taught by texts without labels; and the prompt tuned on
    the shots alone. `all` downloads the encoder if need be, and adds encoders tuned on pairs, the
    generator as a classifier and an average. A list names candidates, such as `[tfidf, prompt]`."""
    encoder: str = AUTO
    """Sentence encoder: a name from `dawgen backbones list`, or a folder. `auto` is `mpnet`, but
    with `quick`, where that is not in the cache, `tiny`, the encoder half of the embedded backbone.
    `minilm` is a fifth of `mpnet` in size and time, and 3.8 points less accurate on twelve
    tasks."""

    @field_validator("encoder")
    @classmethod
    def _full_name(cls, value: str) -> str:
        return full_name(value)

    @field_validator("candidates")
    @classmethod
    def _not_empty(cls, value: str | list[str]) -> str | list[str]:
        if not value:
            raise ValueError("name a candidate at least, or take quick, all or paper")
        return value
