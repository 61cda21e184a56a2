"""What the model reads and writes for a card, shown on real rows."""

from __future__ import annotations

from collections.abc import Sequence

from dawgen.tasks.card import TaskCard, load_card
from dawgen.tasks.load import load_rows, packaged_data
from dawgen.tasks.row import Row


def example_rows(card: TaskCard, source: str | None = None) -> list[Row]:
    """The first row of every label of the source, in the card's order of labels.

    Without a source, one row of the demo task is used, without a label.
    """
    packaged = packaged_data(card)
    if source is None and not packaged:
        demo = load_card("demo")
        row = load_rows(demo, packaged_data(demo)["train"])[0]
        return [Row(row.text1, row.text2 if card.is_pair else None, None)]
    first: dict[str, Row] = {}
    for row in load_rows(card, packaged["train"] if source is None else source):
        first.setdefault(str(row.label), row)
    return [first[label] for label in card.labels if label in first]


def render_generator(row: Row, reads: str, end: str) -> list[str]:
    """Lines for the user: what the generator reads after its label prompt, and what it writes.

    Args:
        row: text2 of a pair is written after text1, a single text from nothing.
        reads: the words before the written text.
        end: the token that ends it.
    """
    written = f"{row.text2 or row.text1}{end}"
    return [
        "",
        *_titled("the generator reads: ", reads.split("\n")),
        *_titled("and writes:          ", written.splitlines()),
    ]


def render_card(card: TaskCard, rows: Sequence[Row], *, causal: bool = False) -> list[str]:
    """Lines for the user: what the model reads and answers, and the label prompts.

    For a row without a label, the answers of all labels are shown.
    """
    shape = "pairs of texts" if card.is_pair else "single texts"
    columns = ", ".join(f"{role} from {column!r}" for role, column in card.columns.items())
    lines = [f"{card.name}, version {card.version}: {shape}; {columns}"]
    for row in rows:
        lines += ["", *_titled("the model reads:  ", card.fill(row, causal=causal).splitlines())]
        if row.label is not None:
            lines.append(f"and answers:      {card.label_words[row.label]}   ({row.label})")
        else:
            answers = ", ".join(f"{word} ({label})" for label, word in card.label_words.items())
            lines.append(f"and answers one of: {answers}")
    source = card.first_sentences or "the few shots, or the generator itself"
    return [
        *lines,
        "",
        "the generator's label prompts start from:",
        *(f"  {label}: {prompt}" for label, prompt in card.label_prompts.items()),
        "",
        f"first sentences come from: {source}",
    ]


def _titled(title: str, lines: Sequence[str]) -> list[str]:
    """The lines, the first after the title and the others below it."""
    return [f"{title if i == 0 else ' ' * len(title)}{line}" for i, line in enumerate(lines)]
