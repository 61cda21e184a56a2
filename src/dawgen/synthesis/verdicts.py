"""What the figures of written rows say, in sentences: for the report, the screen and the cards."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

UNLIKE = 1.5
"""Written texts whose mean length is that many times the few shots', or less than its inverse."""
GIVEN_AWAY = 0.5
"""Of the way from chance to certainty: what counts of words may tell from text2 alone."""
WORD = 0.5
"""A word that stands in so much larger a share of a label's rows than of others gives it away,
where the few shots have not half of that difference."""
FEW = 0.25
"""Of the mean number of rows per label: a label with fewer has few."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a figure of a run says, and what can be done.

    Attributes:
        name: of the rule; docs/report.md explains each.
        text: one sentence with its figure. Labels stand in it as they are: whoever shows it
            escapes it.
        change: options of the run's own command that follow from it.
        command: the whole command; in the cards, which show none, it may be empty.
    """

    name: str
    text: str
    change: tuple[str, ...] = ()
    command: tuple[str, ...] = ()


def of_rows(quality: Mapping[str, Any], ledger: Mapping[str, Any]) -> list[Verdict]:
    """What is wrong with the written rows, the worst first; nothing where nothing is.

    Args:
        quality: quality.json, or a part of it.
        ledger: ledger.json.
    """
    return [*_few(ledger), *_unlike(quality), *(_given_away(quality) or _word(quality))]


def _few(ledger: Mapping[str, Any]) -> Iterator[Verdict]:
    """The label with the fewest rows, if it is far behind the others."""
    labels = ledger.get("labels") or {}
    if len(labels) < 2:
        return
    name, account = min(labels.items(), key=lambda item: item[1]["kept"])
    mean = sum(each["kept"] for each in labels.values()) / len(labels)
    if account["kept"] < FEW * mean:
        yield Verdict(
            "few",
            f"Label {name} has {account['kept']:,} written rows of {account['attempted']:,} tries; "
            f"the mean of all labels is {mean:,.0f}.",
            ("-s", "synthesis.keep_rejected=true"),
        )


def _unlike(quality: Mapping[str, Any]) -> Iterator[Verdict]:
    part = quality.get("from_few_shots") or {}
    ours, yours = part.get("length"), part.get("length_there")
    if not ours or not yours or yours / UNLIKE < ours < yours * UNLIKE:
        return
    short = ours < yours
    yield Verdict(
        "unlike",
        f"Written rows look unlike yours: they have a mean of {ours:.0f} words, yours {yours:.0f}.",
        ("-s", "synthesis.shortest_text=0.5" if short else "synthesis.longest_text=1.0"),
    )


def _given_away(quality: Mapping[str, Any]) -> list[Verdict]:
    alone = quality.get("text2_alone") or {}
    if not alone:
        return []
    accuracy, chance = alone["accuracy"], alone["chance"]
    if accuracy < chance + GIVEN_AWAY * (1 - chance):
        return []
    return [
        Verdict(
            "alone",
            f"Written rows give their label away: text2 alone tells it for {accuracy:.1%} of them "
            f"(chance {chance:.1%}), so a classifier need not read text1.",
            ("-s", "synthesis.choose.by=reader", "-s", "synthesis.oversample=2"),
        )
    ]


def _word(quality: Mapping[str, Any]) -> list[Verdict]:
    """The label that a single word of text2 gives away most, unless it does so in the shots."""
    words = quality.get("telling_words") or {}
    if not words:
        return []
    label, part = max(words.items(), key=lambda item: item[1]["rows"] - item[1]["elsewhere"])
    apart, there = part["rows"] - part["elsewhere"], part["shots"] - part["shots_elsewhere"]
    if apart < WORD or there > apart / 2:
        return []
    return [
        Verdict(
            "word",
            f"Written rows of label {label} give it away by a word: {part['word']!r} is in "
            f"{part['rows']:.1%} of them and in {part['elsewhere']:.1%} of the others (your "
            f"examples: {part['shots']:.1%} and {part['shots_elsewhere']:.1%}).",
            ("-s", "synthesis.oversample=3"),
        )
    ]
