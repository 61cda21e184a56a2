"""The request for labelled rows that a person pastes into a chat, or that a teacher model gets."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from dawgen.streams import Streams
from dawgen.tasks import Row, TaskCard

EXAMPLES = 3
"""Examples per label in a request."""
_MOST_OTHERS = 9
_LEAD = re.compile(r"(?<=[.!?])\s+[\w ]{1,20}:\s*$")
_SLANTS = (
    "Vary them freely.",
    "Write short ones.",
    "Write long ones, with details.",
    "Write them in everyday language.",
    "Write them in formal language.",
    "Write about things that few people would think of.",
    "Write them with names, places, numbers and dates.",
    "Begin each of them with another kind of word.",
    "Write some that are hard to tell from the other labels, but are clearly of this one.",
    "Write some with the small mistakes that people make.",
)
"""What requests for more rows of a label ask for in turn, so that their answers differ."""


def request(
    card: TaskCard,
    shots: Sequence[Row],
    rows_per_label: int,
    streams: Streams,
    *,
    examples: int = EXAMPLES,
    label: str | None = None,
    number: int = 0,
) -> str:
    """What the task is, some examples, and how many rows are wanted in which format.

    Args:
        shots: labelled rows that examples are drawn from by the seed; none may be there.
        label: only rows of this label are wanted; of every label without.
        number: of the request for this label; each has other examples and another hint.
    """
    drawn = [
        row
        for name, count in _counts(card, examples, label, streams, number)
        for row in _draw(shots, name, count, streams, number)
    ]
    parts = [
        "I need training examples for a text classifier.",
        _task(card),
        _examples(card, drawn),
        _wanted(card, rows_per_label, label),
        _variety(card, drawn, label, number),
        _format(card, label),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _counts(
    card: TaskCard, examples: int, label: str | None, streams: Streams, number: int
) -> list[tuple[str, int]]:
    """How many examples of which label: where one is asked for, few of the others."""
    if label is None:
        return [(name, examples) for name in card.labels]
    others = [name for name in card.labels if name != label]
    order = streams.numpy("request", "others", label, str(number)).permutation(len(others))
    return [(label, 2 * examples), *((others[i], 1) for i in sorted(order[:_MOST_OTHERS]))]


def _draw(shots: Sequence[Row], label: str, count: int, streams: Streams, number: int) -> list[Row]:
    rows = [row for row in shots if row.label == label and row.has_texts]
    order = streams.numpy("request", label, str(number)).permutation(len(rows))
    return [rows[i] for i in order[:count]]


def _task(card: TaskCard) -> str:
    what = "a pair of texts" if card.is_pair else "a text"
    about = card.description or card.instruction
    lines = [f"The task: {about}", f"Each example is {what} with one of {len(card.labels)} labels:"]
    lines += [f"- {_quoted(name)}: {_meaning(card, name)}" for name in card.labels]
    return "\n".join(lines)


def _meaning(card: TaskCard, label: str) -> str:
    """A label prompt without its end, which asks for the text: "... Text:"."""
    return _LEAD.sub("", card.label_prompts[label].strip()).rstrip(":")


def _examples(card: TaskCard, rows: Sequence[Row]) -> str:
    if not rows:
        return ""
    return "\n".join(["Real examples:", *(as_line(card, row) for row in rows)])


def as_line(card: TaskCard, row: Row) -> str:
    """A row as a line of JSONL, with the card's columns."""
    cells = {card.columns[role]: getattr(row, role) for role in (*card.roles, "label")}
    return json.dumps(cells, ensure_ascii=False)


def _wanted(card: TaskCard, rows: int, label: str | None) -> str:
    plural = "" if rows == 1 else "s"
    if label is not None:
        return f"Write {rows:,} new row{plural} with the label {_quoted(label)}."
    return (
        f"Write {rows:,} new row{plural} for each of the {len(card.labels)} labels, "
        f"{rows * len(card.labels):,} in all, the labels in turn. If that is too long for one "
        'answer, stop after a whole row; go on when I say "continue".'
    )


def _variety(card: TaskCard, rows: Sequence[Row], label: str | None, number: int) -> str:
    hints = [
        "Write what real people would write: vary topic, wording, length, tone and sentence form.",
        "Do not copy or reword the examples, and do not write the same thing twice.",
        "Every row must clearly have its label; do not name the label unless a real text would.",
    ]
    if rows:
        lengths = [len(text.split()) for row in rows for text in (row.text1, row.text2) if text]
        hints.append(
            f"The examples have {min(lengths)} to {max(lengths)} words per text; stay in their "
            "style and language."
        )
    if card.is_pair:
        hints.append("The label is about both texts together; vary the first text too.")
    if label is not None:
        hints.append(_SLANTS[number % len(_SLANTS)])
    return "\n".join(f"- {hint}" for hint in hints)


def _format(card: TaskCard, label: str | None) -> str:
    texts = ("...", "..." if card.is_pair else None)
    shape = as_line(card, Row(*texts, card.labels[0] if label is None else label))
    return (
        "Answer with JSONL only: one JSON object per line, with exactly these keys, no list, no "
        f"numbering, no code block, and nothing before or after:\n{shape}"
    )


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
