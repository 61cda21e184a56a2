"""Labelling new rows with a finished run."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import dawgen
from dawgen.classifier import Classifier, Text
from dawgen.errors import UserError
from dawgen.evaluation.output import output_names
from dawgen.finished import open_run
from dawgen.labelled import FORMATS, LabelledFile, plain_cell
from dawgen.progress import say
from dawgen.runs import fingerprint, folder_hash
from dawgen.seals import file_hash
from dawgen.tasks import Row, TaskCard
from dawgen.tasks.stream import Cells, stream_cells

CHUNK = 1024
"""Rows that are read, labelled and written together."""


def predict_rows(folder: str | Path, rows: Sequence[Row]) -> tuple[TaskCard, np.ndarray]:
    """The run's card, and p(label) [N,C] of the rows under its tuned prompt."""
    classifier = Classifier.load(folder)
    return classifier.card, classifier.of_rows(rows)


def predict(
    folder: str | Path,
    rows: str | Path | Sequence[Text],
    abstain_below: float | None = None,
    overrides: Sequence[str] = (),
) -> list[dict[str, Any]]:
    """Label new rows with a finished run.

    Args:
        folder: the run folder.
        rows: a file, or texts (pairs of texts for a pair task).
        abstain_below: also say of each row whether no label is as likely as this.
        overrides: see :func:`dawgen.finished.open_run`.

    Returns:
        For each row its texts, of a file all its cells, then ``prediction`` and ``p_<label>``
        for every label, and ``abstain`` where a threshold was given.
    """
    classifier = Classifier.load(folder, overrides)
    if isinstance(rows, str | Path):
        given = list(stream_cells(classifier.card, str(rows)))
    else:
        given = [(row, {}) for row in classifier.as_rows(rows)]
    return label_cells(classifier, given, abstain_below)


def label_cells(
    classifier: Classifier,
    given: Sequence[tuple[Row, Cells]],
    abstain_below: float | None = None,
) -> list[dict[str, Any]]:
    """Rows with their predictions behind their own cells, in the order of these.

    A cell in a column that is called like one of ours gives way to it, unless the card names
    it: see :func:`dawgen.evaluation.output.output_names`.
    """
    card = classifier.card
    rows = [row for row, _ in given]
    ours = ["prediction"] if abstain_below is None else ["prediction", "abstain"]
    names = output_names(card, given[0][1] if given else (), ours)
    hidden = {*ours, *(f"p_{label}" for label in card.labels)}
    roles = {card.columns[role]: role for role in card.roles}
    found = []
    for (row, cells), chances in zip(given, classifier.of_rows(rows), strict=True):
        texts = {"text1": row.text1, "text2": row.text2}
        record: dict[str, Any] = {}
        for column, cell in (cells or dict.fromkeys(roles)).items():
            if column in roles:
                record[names[roles[column]]] = texts[roles[column]]
            elif column not in hidden:
                record[column] = plain_cell(cell)
        record["prediction"] = card.labels[int(chances.argmax())]
        for label, chance in zip(card.labels, chances, strict=True):
            record[f"p_{label}"] = round(float(chance), 6)
        if abstain_below is not None:
            record["abstain"] = bool(chances.max() < abstain_below)
        found.append(record)
    return found


def label_chunks(
    classifier: Classifier,
    given: Iterator[tuple[Row, Cells]],
    abstain_below: float | None = None,
) -> Iterator[list[dict[str, Any]]]:
    """Records of the rows in their order, ``CHUNK`` at a time."""
    while chunk := list(itertools.islice(given, CHUNK)):
        yield label_cells(classifier, chunk, abstain_below)


def predict_file(
    folder: Path,
    source: str,
    out: Path,
    abstain_below: float | None = None,
    overrides: Sequence[str] = (),
) -> tuple[int, int]:
    """Label a file of any size in constant memory; a stopped one goes on where it was.

    Args:
        out: its ending tells the format; it appears when every row is labelled.
        overrides: see :func:`dawgen.finished.open_run`.

    Returns:
        How many rows it holds, and how many of them had been labelled before.
    """
    check_out(out, source, folder)
    card, _ = open_run(folder, overrides)
    given = stream_cells(card, source)
    first = next(given)  # says what is wrong with the file before the model is loaded
    given = itertools.chain([first], given)
    classifier = Classifier.load(folder, overrides)
    mark = fingerprint(
        {
            "dawgen": dawgen.__version__,
            "prompt": folder_hash(folder / "prompt"),
            "card": card.model_dump(mode="json"),
            "backbone": classifier.fingerprint,
            "rows": file_hash(Path(source)) if Path(source).is_file() else None,
            "columns": list(first[1]),
            "abstain_below": abstain_below,
        }
    )
    file = LabelledFile.open(out, mark)
    before = file.rows
    if before:
        say(f"{before:,} rows of {source} are labelled already; going on behind them.")
    for chunk in label_chunks(classifier, itertools.islice(given, before, None), abstain_below):
        file.append(chunk)
    file.finish()
    return file.rows, before


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
