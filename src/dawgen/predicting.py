"""Labelling new rows with a finished run."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dawgen.backbone import load_backbone
from dawgen.errors import UserError
from dawgen.evaluation import predict as probabilities_of
from dawgen.evaluation import write_predictions
from dawgen.harmless import in_spreadsheet
from dawgen.prompts import load_prompt
from dawgen.runs import write_text
from dawgen.seals import check_seal
from dawgen.settings import Settings, build_settings
from dawgen.tasks import Row, TaskCard, load_card, load_rows

FORMATS = (".csv", ".tsv", ".jsonl", ".parquet")


def open_run(folder: str | Path) -> tuple[TaskCard, Settings]:
    """The card and the settings that a run folder keeps."""
    path = Path(folder)
    for name in ("task.yaml", "config.yaml", "prompt"):
        if not (path / name).exists():
            raise UserError(
                f"{path} is no finished run folder: it has no {name}; make one with `dawgen run`."
            )
    check_seal(path / "prompt")
    settings, _ = build_settings(file=path / "config.yaml")
    return load_card(str(path / "task.yaml")), settings


def predict_rows(folder: str | Path, rows: Sequence[Row]) -> tuple[TaskCard, np.ndarray]:
    """The run's card, and p(label) [N,C] of the rows under its tuned prompt."""
    card, settings = open_run(folder)
    backbone = load_backbone(settings.backbone)
    prompt = load_prompt(Path(folder) / "prompt", backbone)
    tokens = settings.evaluation.tokens_per_batch
    return card, probabilities_of(backbone, card, prompt, rows, tokens_per_batch=tokens)


def predict(
    folder: str | Path, rows: str | Path | Sequence[str | tuple[str, str]]
) -> list[dict[str, Any]]:
    """Label new rows with a finished run.

    Args:
        folder: the run folder.
        rows: a file, or texts (pairs of texts for a pair task).

    Returns:
        For each row its texts, ``prediction`` and ``p_<label>`` for every label.
    """
    card, _ = open_run(folder)
    if isinstance(rows, str | Path):
        loaded = load_rows(card, str(rows), labelled=False)
    else:
        loaded = [_row(card, i, texts) for i, texts in enumerate(rows, start=1)]
    card, probabilities = predict_rows(folder, loaded)
    return records(card, loaded, probabilities)


def _row(card: TaskCard, number: int, texts: str | tuple[str, str]) -> Row:
    parts = (texts,) if isinstance(texts, str) else tuple(texts)
    wanted = 2 if card.is_pair else 1
    if len(parts) != wanted or not all(isinstance(p, str) and p.strip() for p in parts):
        shape = "a pair of texts" if card.is_pair else "one text"
        raise UserError(f"row {number}: {card.name} takes {shape} a row, none of them empty.")
    return Row(parts[0], parts[1] if card.is_pair else None, None)


def records(card: TaskCard, rows: Sequence[Row], probabilities: np.ndarray) -> list[dict[str, Any]]:
    """Rows with their predictions, under the card's column names."""
    found = []
    for row, chances in zip(rows, probabilities, strict=True):
        record: dict[str, Any] = {card.columns["text1"]: row.text1}
        if card.is_pair:
            record[card.columns["text2"]] = row.text2
        record["prediction"] = card.labels[int(chances.argmax())]
        for label, chance in zip(card.labels, chances, strict=True):
            record[f"p_{label}"] = round(float(chance), 6)
        found.append(record)
    return found


def as_table(found: Sequence[dict[str, Any]], separator: str = ",") -> str:
    """Records as CSV (or TSV) text with a heading; no cell of it is a spreadsheet's formula."""
    out = io.StringIO()
    writer = csv.DictWriter(out, list(found[0]), delimiter=separator, lineterminator="\n")
    writer.writerow({name: in_spreadsheet(name) for name in found[0]})
    writer.writerows({name: in_spreadsheet(cell) for name, cell in row.items()} for row in found)
    return out.getvalue()


def check_format(path: Path) -> None:
    """Refuse a file name whose ending tells no format, before any work is done."""
    if path.suffix.lower() not in FORMATS:
        raise UserError(f"--out {path}: its ending must be one of {', '.join(FORMATS)}.")


def write_rows(path: Path, card: TaskCard, rows: Sequence[Row], probabilities: np.ndarray) -> None:
    """Predictions to a file in the format that its ending tells."""
    ending = path.suffix.lower()
    if ending == ".parquet":
        write_predictions(path, card, rows, probabilities)
        return
    found = records(card, rows, probabilities)
    if ending == ".jsonl":
        write_text(path, "".join(json.dumps(r, ensure_ascii=False) + "\n" for r in found))
    else:
        write_text(path, as_table(found, "\t" if ending == ".tsv" else ","))
