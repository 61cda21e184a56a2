"""What a run folder holds, read back for the page; parts that are missing stay empty."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from dawgen.errors import UserError
from dawgen.yamltext import parse_yaml

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class RunFiles:
    """The files of a run folder that the page tells of."""

    name: str
    run: dict[str, Any] = field(default_factory=dict)
    scores: dict[str, Any] = field(default_factory=dict)
    arm: dict[str, Any] = field(default_factory=dict)
    generator_log: Rows = field(default_factory=list)
    tuning_log: Rows = field(default_factory=list)
    baseline_log: Rows = field(default_factory=list)
    synthetic: Rows = field(default_factory=list)
    ledger: dict[str, Any] = field(default_factory=dict)
    rejected: Rows = field(default_factory=list)
    predictions: Rows = field(default_factory=list)
    settings: str = ""


def read_run(folder: Path) -> RunFiles:
    """Read what there is.

    Raises:
        UserError: ``folder`` is no folder, or a JSON file in it does not parse.
    """
    if not folder.is_dir():
        raise UserError(f"There is no run folder {folder}.")
    config = folder / "config.yaml"
    return RunFiles(
        name=folder.resolve().name,
        run=_read_json(folder / "run.json"),
        scores=_read_json(folder / "scores.json"),
        arm=_read_json(folder / "prompt" / "arm.json"),
        generator_log=_read_lines(folder / "generator" / "log.jsonl"),
        tuning_log=_read_lines(folder / "prompt" / "log.jsonl"),
        baseline_log=_read_lines(folder / "baseline" / "log.jsonl"),
        synthetic=_read_shards(folder / "synthetic"),
        ledger=_read_json(folder / "synthetic" / "ledger.json"),
        rejected=_read_json(folder / "synthetic" / "quality.json").get("rejected_examples", []),
        predictions=_read_predictions(folder),
        settings=config.read_text("utf-8") if config.is_file() else "",
    )


def _read_predictions(folder: Path) -> Rows:
    """Rows with text1, text2, label, prediction and confidence, whatever the card's columns."""
    card = folder / "task.yaml"
    tree = parse_yaml(card.read_text("utf-8"), str(card)) if card.is_file() else {}
    columns, labels = tree.get("columns", {}), tree.get("labels", [])
    rows = _read_shards(folder, "predictions.parquet")
    names = {role: columns.get(role, role) for role in ("text1", "text2", "label")}
    if rows and names["text1"] not in rows[0]:  # a column called like one of ours
        names = {role: role for role in names}
    return [
        {role: row.get(name) for role, name in names.items()}
        | {
            "prediction": row["prediction"],
            "confidence": max(row[f"p_{label}"] for label in labels),
        }
        for row in rows
    ]


def _parse(path: Path, text: str, line: int | None = None) -> dict[str, Any]:
    where = f"{path}, line {line}" if line else str(path)
    try:
        value = json.loads(text)
    except json.JSONDecodeError:
        raise UserError(f"{where}: this is not JSON; run the stage that wrote it again.") from None
    if not isinstance(value, dict):
        raise UserError(f"{where}: expected a JSON object; run the stage that wrote it again.")
    return value


def _read_json(path: Path) -> dict[str, Any]:
    return _parse(path, path.read_text("utf-8")) if path.is_file() else {}


def _read_lines(path: Path) -> Rows:
    if not path.is_file():
        return []
    lines = path.read_text("utf-8").split("\n")
    return [_parse(path, line, number) for number, line in enumerate(lines, 1) if line.strip()]


def _read_shards(folder: Path, pattern: str = "*.parquet") -> Rows:
    rows: Rows = []
    for path in sorted(folder.glob(pattern)):
        rows += pq.read_table(path).to_pylist()
    return rows
