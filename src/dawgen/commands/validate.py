"""`dawgen validate`: a card and its rows as the model reads them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dawgen.commands.options import Config, Preset, Set, Task, read_settings
from dawgen.terminal.harmless import on_terminal
from dawgen.terminal.progress import warn

if TYPE_CHECKING:
    from dawgen.backbone import Backbone
    from dawgen.tasks import Row, TaskCard


_MOST_EXAMPLES = 6
"""Labels of which a row is shown."""


def validate(
    task: Task,
    data: Annotated[
        str | None,
        typer.Option(
            help="File of rows to look at, - for standard input. Default: the card's own, if any."
        ),
    ] = None,
    over: Set = None,
    preset: Preset = None,
    config: Config = None,
) -> None:
    """Look at a card and all rows of a file: counts, lengths, repeats, what the model reads."""
    from dawgen.backbone import load_backbone
    from dawgen.backbone.choose_frame import frame_for
    from dawgen.backbone.load import load_writer
    from dawgen.commands.label_words import word_lines
    from dawgen.tasks import example_rows, load_card, render_card, render_generator
    from dawgen.tasks.look import look_lines
    from dawgen.tasks.validate import all_rows

    card = load_card(task)
    if card.takes_many:
        _several(card, data)
        return
    rows = all_rows(card, data)
    examples = example_rows(card, rows)[:_MOST_EXAMPLES]
    settings = read_settings(preset, config, over)
    backbone = load_backbone(settings.backbone)
    words = backbone.label_word_ids(card)
    lines = render_card(card, examples, causal=not backbone.is_encoder_decoder)
    writer = load_writer(settings, backbone) or backbone
    frame = frame_for(card, writer, settings.generator.frame)
    if frame and examples:
        reads = frame.reads(examples[0].text1 if card.is_pair else "")
        lines += render_generator(examples[0], reads, writer.end_name(frame))
    length = settings.tuning.prompt_length
    tokens = backbone.encode_rows(card, examples, length)
    counts = sorted({len(word) for word in words})
    lines += [
        "",
        f"{backbone.name}: inputs of {', '.join(str(len(row)) for row in tokens)} tokens "
        f"behind a prompt of {length}; label words of {', '.join(map(str, counts))} token(s).",
    ]
    warning = ""
    if any(row.has_texts for row in rows):
        table, warning = word_lines(card, backbone, rows)
        lines += ["", *table]
    if rows:
        name = Path(data).name if data else "the card's own rows"
        lines += ["", *look_lines(name, card, rows, _cut(card, rows, backbone, length))]
    for line in lines:
        typer.echo(on_terminal(line))
    if warning:
        warn(warning)


def _several(card: TaskCard, data: str | None) -> None:
    """Of a task of several labels per text, which no prompt learns: its rows only."""
    from dawgen.errors import UserError
    from dawgen.many.rows import check_many, distinct, load_many
    from dawgen.many.words import look_many

    if data is None:
        raise UserError(f"Task {card.name} has no rows of its own; name a file with --data.")
    rows = load_many(card, data)
    for line in look_many(Path(data).name, card, rows):
        typer.echo(on_terminal(line))
    check_many(card, distinct(rows), data)


def _cut(card: TaskCard, rows: Sequence[Row], backbone: Backbone, length: int) -> list[int]:
    """Places of the rows that are longer than the model reads."""
    from dawgen.terminal.progress import hushed

    with hushed():
        read = backbone.encode_rows(card, rows, length)
        most, backbone.max_length = backbone.max_length, 1 << 30
        try:
            whole = backbone.encode_rows(card, rows, length)
        finally:
            backbone.max_length = most
    pairs = zip(read, whole, strict=True)
    return [place for place, (one, other) in enumerate(pairs) if len(one) < len(other)]
