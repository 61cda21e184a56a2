"""Labelling new rows with a finished run."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import dawgen
from dawgen.errors import UserError
from dawgen.evaluation.output import output_names
from dawgen.storage.folder import fingerprint, folder_hash
from dawgen.storage.seals import file_hash
from dawgen.tasks import Row
from dawgen.tasks.files import stream_file
from dawgen.tasks.stream import Cells, OnEmpty, stream_cells
from dawgen.terminal.progress import progress, say
from dawgen.use.classifier import Classifier, Text, Use, check_threshold
from dawgen.use.finished import CHOICE, PROMPT, open_run
from dawgen.use.labelled import FORMATS, LabelledFile, plain_cell

CHUNK = 1024
"""Rows that are read, labelled and written together."""


def predict(
    folder: str | Path,
    rows: str | Path | Sequence[Text],
    abstain_below: float | None = None,
    overrides: Sequence[str] = (),
    on_empty: OnEmpty = "null",
    use: Use = "choice",
) -> list[dict[str, Any]]:
    """Label new rows with a finished run.

    Args:
        folder: the run folder.
        rows: a file, or texts (pairs of texts for a pair task).
        abstain_below: also say of each row whether no label is as likely as this.
        overrides: see :func:`dawgen.use.finished.open_run`.
        use: what the run has chosen, or its tuned prompt.
        on_empty: what becomes of a file's row whose text is empty: ``null`` keeps it without a
            label, ``skip`` leaves it out, ``error`` raises.

    Returns:
        For each row its texts, of a file all its cells, then ``prediction`` and ``p_<label>``
        for every label, and ``abstain`` where a threshold was given; None where there is no text.
    """
    check_threshold(abstain_below)
    classifier = Classifier.load(folder, overrides, use)
    if isinstance(rows, str | Path):
        with_cells = list(stream_cells(classifier.card, str(rows), on_empty))
    else:
        with_cells = [(row, {}) for row in classifier.as_rows(rows)]
    return _label(classifier, with_cells, abstain_below)


def _label(
    classifier: Classifier, rows: Sequence[tuple[Row, Cells]], abstain_below: float | None
) -> list[dict[str, Any]]:
    """Rows with their predictions behind their own cells, in the order of these.

    A cell in a column that is called like one of ours gives way to it, unless the card names
    it: see :func:`dawgen.evaluation.output.output_names`. Rows with an empty text have None.
    """
    card = classifier.card
    if card.takes_many and abstain_below is not None:
        raise UserError("abstain_below is for one label per text; here a text may have none.")
    chances_of = iter(classifier.of_rows([row for row, _ in rows if row.has_texts]))
    ours = ["prediction"] if abstain_below is None else ["prediction", "abstain"]
    names = output_names(card, rows[0][1] if rows else (), ours)
    hidden = {*ours, *(f"p_{label}" for label in card.labels)}
    roles = {card.columns[role]: role for role in card.roles}
    records = []
    for row, cells in rows:
        chances = next(chances_of) if row.has_texts else None
        texts = {"text1": row.text1, "text2": row.text2}
        record: dict[str, Any] = {}
        for column, cell in (cells or dict.fromkeys(roles)).items():
            if column in roles:
                record[names[roles[column]]] = texts[roles[column]] or plain_cell(cell)
            elif column not in hidden:
                record[column] = plain_cell(cell)
        records.append(record | _answer(classifier, chances, abstain_below))
    return records


def _answer(
    classifier: Classifier, chances: np.ndarray | None, abstain_below: float | None
) -> dict[str, Any]:
    """What a record says behind its row's cells; None for a row without probabilities [C]."""
    card = classifier.card
    names = ["prediction", *(f"p_{label}" for label in card.labels)]
    names += [] if abstain_below is None else ["abstain"]
    if chances is None:
        return dict.fromkeys(names)
    values = [*classifier.names(chances[None]), *(round(float(p), 6) for p in chances)]
    values += [] if abstain_below is None else [bool(chances.max() < abstain_below)]
    return dict(zip(names, values, strict=True))


def label_chunks(
    classifier: Classifier,
    rows: Iterator[tuple[Row, Cells]],
    abstain_below: float | None,
    total: int | None = None,
) -> Iterator[list[dict[str, Any]]]:
    """Records of the rows in their order, ``CHUNK`` at a time.

    Args:
        total: number of rows, for the progress, if it is known.
    """
    with progress("labelling", total, "rows") as advance:
        while chunk := list(itertools.islice(rows, CHUNK)):
            yield _label(classifier, chunk, abstain_below)
            advance(len(chunk))


def predict_file(
    folder: Path,
    source: str,
    out: Path,
    abstain_below: float | None = None,
    overrides: Sequence[str] = (),
    on_empty: OnEmpty = "null",
    use: Use = "choice",
) -> tuple[int, int]:
    """Label a file of any size in constant memory; a stopped one goes on where it was.

    Args:
        out: its ending tells the format; it appears when every row is labelled.
        overrides: see :func:`dawgen.use.finished.open_run`.
        on_empty, use: see :func:`predict`.

    Returns:
        How many rows it holds, and how many of them had been labelled before.
    """
    check_threshold(abstain_below)
    check_out(out, source, folder)
    classifier, columns, rows = open_file(folder, source, overrides, on_empty, use)
    mark = fingerprint(
        {
            "dawgen": dawgen.__version__,
            "used": [use, classifier.name],
            "made": folder_hash(folder / PROMPT) + folder_hash(folder / CHOICE),
            "card": classifier.card.model_dump(mode="json"),
            "backbone": classifier.fingerprint,
            "rows": file_hash(Path(source)) if Path(source).is_file() else None,
            "columns": columns,
            "abstain_below": abstain_below,
            "on_empty": on_empty,
        }
    )
    with LabelledFile.open(out, mark) as file:
        before = file.rows
        if before:
            say(f"{before:,} rows of {source} are labelled already; going on behind them.")
        left = None if (count := count_rows(source)) is None else count - before
        rest = itertools.islice(rows, before, None)
        for chunk in label_chunks(classifier, rest, abstain_below, left):
            file.append(chunk)
        file.finish()
        return file.rows, before


def open_file(
    folder: Path, source: str, overrides: Sequence[str], on_empty: OnEmpty, use: Use
) -> tuple[Classifier, list[str], Iterator[tuple[Row, Cells]]]:
    """The classifier, and a file's columns and rows; a wrong file raises before a model loads."""
    rows = stream_cells(open_run(folder, overrides)[0], source, on_empty)
    first = next(rows, None)
    if first is None:
        raise UserError(f"{source} has no rows whose texts are not empty.")
    classifier = Classifier.load(folder, overrides, use)
    return classifier, list(first[1]), itertools.chain([first], rows)


def count_rows(source: str) -> int | None:
    """The rows of a file, for the time left; None where they cannot be counted before."""
    if not Path(source).is_file():
        return None
    try:
        return sum(1 for _ in stream_file(source))
    except UserError:  # named when its row is reached
        return None


def check_out(out: Path, source: str, folder: Path) -> None:
    """Refuse a place that tells no format or would cost a file, before any work is done."""
    if out.suffix.lower() not in FORMATS:
        raise UserError(f"--out {out}: its ending must be one of {', '.join(FORMATS)}.")
    above = next(place for place in out.absolute().parents if place.exists())
    if not above.is_dir():
        raise UserError(f"--out {out}: {above} is a file and no folder; name another place.")
    if out.is_dir():
        raise UserError(f"--out {out} is a folder; name a file.")
    if Path(source).is_file() and out.exists() and out.samefile(source):
        raise UserError(f"--out {out} is the file that is read; name another one.")
    if out.exists() and out.parent.resolve() == folder.resolve():
        raise UserError(f"--out {out} is a file of the run itself; name another one.")
