"""What a run folder holds, read back for the page; parts that are missing stay empty."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dawgen.errors import UserError
from dawgen.evaluation.output import output_names
from dawgen.tasks import load_card
from dawgen.tasks.bounds import loaded
from dawgen.tasks.parquet import parquet_records

Rows = list[dict[str, Any]]
WEIGHTS = "token-weights.json"


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
    method: str = ""
    """Of the generator."""
    weights: Rows = field(default_factory=list)
    """Few-shot texts, token by token."""
    other_weights: dict[str, Rows] = field(default_factory=dict)
    """The same by other methods, tuned in this folder before."""
    points: Rows = field(default_factory=list)
    """The map's: x, y, kind, label, text1, text2."""
    settings: str = ""


def read_run(folder: Path) -> RunFiles:
    """Read what there is.

    Raises:
        UserError: ``folder`` is no folder, or a file in it is damaged or not of this run.
    """
    if not folder.is_dir():
        raise UserError(f"There is no run folder {folder}.")
    config = folder / "config.yaml"
    method = _method(folder / "generator")
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
        method=method,
        weights=_read_list(folder / "generator" / WEIGHTS),
        other_weights=_other_weights(folder, method),
        points=_read_shards(folder / "map"),
        settings=_text(config) if config.is_file() else "",
    )


def is_number(value: object) -> bool:
    """Whether a value of a JSON file is a number."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _method(generator: Path) -> str:
    """How a generator was tuned, as its fingerprint's inputs say; "" where they do not."""
    inputs = _read_json(generator / "fingerprint.json").get("inputs") or {}
    return str((inputs.get("generator") or {}).get("method", ""))


def _other_weights(folder: Path, method: str) -> dict[str, Rows]:
    """Token weights by other methods than ``method``, from generators that were kept aside."""
    found = {}
    for kept in sorted((folder / ".kept").glob("generator-*")):
        other = _method(kept)
        if other not in ("", method):
            found[other] = _read_list(kept / WEIGHTS)
    return found


def _read_predictions(folder: Path) -> Rows:
    """Rows with text1, text2, label, prediction and confidence, whatever the card's columns."""
    path = folder / "task.yaml"
    rows = _read_shards(folder, "predictions.parquet")
    if not rows or not path.is_file():
        return []
    card = load_card(str(path))
    chances = [f"p_{label}" for label in card.labels]
    names = output_names(card)
    if not {*chances, "prediction", names["text1"]} <= rows[0].keys():
        raise UserError(
            f"{folder / 'predictions.parquet'} is not of the columns and labels that {path} has; "
            "run the command that made the run again."
        )
    return [
        {role: row.get(names.get(role, role)) for role in ("text1", "text2", "label")}
        | {"prediction": row["prediction"], "confidence": max(row[name] for name in chances)}
        for row in rows
    ]


def _parse(path: Path, text: str, line: int | None = None, kind: type = dict) -> Any:
    where = f"{path}, line {line}" if line else str(path)
    try:
        value = json.loads(text)
    except json.JSONDecodeError:
        raise UserError(f"{where}: this is not JSON; run the stage that wrote it again.") from None
    if not isinstance(value, kind):
        wanted = "object" if kind is dict else "list"
        raise UserError(f"{where}: expected a JSON {wanted}; run the stage that wrote it again.")
    return value


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except UnicodeDecodeError:
        raise UserError(
            f"{path} is not text in UTF-8; run the stage that wrote it again."
        ) from None


def _read_json(path: Path) -> dict[str, Any]:
    return dict(_parse(path, _text(path))) if path.is_file() else {}


def _read_list(path: Path) -> Rows:
    return list(_parse(path, _text(path), kind=list)) if path.is_file() else []


def _read_lines(path: Path) -> Rows:
    if not path.is_file():
        return []
    lines = _text(path).split("\n")
    return [_parse(path, line, number) for number, line in enumerate(lines, 1) if line.strip()]


def _read_shards(folder: Path, pattern: str = "*.parquet") -> Rows:
    rows: Rows = []
    for path in sorted(folder.glob(pattern)):
        rows += loaded(str(path), parquet_records(path))
    return rows
