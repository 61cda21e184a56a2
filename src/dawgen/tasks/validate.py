"""A card shown at work: real rows through its template and label words."""

from __future__ import annotations

from collections.abc import Sequence

from dawgen.tasks.card import TaskCard
from dawgen.tasks.load import load_rows, packaged_data
from dawgen.tasks.row import Row


def example_rows(card: TaskCard, source: str | None = None) -> list[Row]:
    """The first row of every label of the source, in the card's order of labels.

    Without a source, rows of the shipped demonstration task stand in; they belong to no
    label of another card, so only one comes back, unlabelled.
    """
    if source is None and not packaged_data(card):
        from dawgen.tasks.card import load_card

        demo = load_card("demo")
        row = load_rows(demo, packaged_data(demo)["train"])[0]
        return [Row(row.text1, row.text2 if card.is_pair else None, None)]
    rows = load_rows(card, packaged_data(card)["train"] if source is None else source)
    first: dict[str, Row] = {}
    for row in rows:
        first.setdefault(str(row.label), row)
    return [first[label] for label in card.labels if label in first]


def render_generator(row: Row, reads: str, end: str) -> list[str]:
    """Lines for the user: what the generator reads behind its label prompt, and what it writes.

    Args:
        row: text2 of a pair is written after text1, a single text from nothing.
        reads: the words before what is written.
        end: the token that ends it.
    """
    read = reads.split("\n")
    written = f"{row.text2 or row.text1}{end}".splitlines()
    return [
        "",
        f"the generator reads: {read[0]}",
        *(f"                     {line}" for line in read[1:]),
        f"and writes:          {written[0]}",
        *(f"                     {line}" for line in written[1:]),
    ]


def render_card(card: TaskCard, rows: Sequence[Row], *, causal: bool = False) -> list[str]:
    """Lines for the user: what the model reads and answers, and how each label starts.

    Without rows of every label the answers of all labels are shown under the one row.
    """
    shape = "pairs of texts" if card.is_pair else "single texts"
    columns = ", ".join(f"{role} from {column!r}" for role, column in card.columns.items())
    lines = [f"{card.name}, version {card.version}: {shape}; {columns}"]
    for row in rows:
        read = card.fill(row, causal=causal).splitlines()
        lines += ["", f"the model reads:  {read[0]}", *(f"                  {x}" for x in read[1:])]
        if row.label is not None:
            lines.append(f"and answers:      {card.label_words[row.label]}   ({row.label})")
        else:
            answers = ", ".join(f"{word} ({label})" for label, word in card.label_words.items())
            lines.append(f"and answers one of: {answers}")
    lines += ["", "the generator's label prompts start from:"]
    lines += [f"  {label}: {prompt}" for label, prompt in card.label_prompts.items()]
    source = card.first_sentences or "the few shots, or the generator itself"
    lines += ["", f"first sentences come from: {source}"]
    return lines
