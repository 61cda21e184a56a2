"""What a run folder holds, read back for the page; parts that are missing stay empty."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dawgen.errors import UserError
from dawgen.evaluation.output import output_names
from dawgen.storage.reading import parse_json, read_json, read_text
from dawgen.tasks import load_card
from dawgen.tasks.bounds import loaded
from dawgen.tasks.parquet import parquet_records
from dawgen.terminal.harmless import hide_secrets, without_secrets

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
    quality: dict[str, Any] = field(default_factory=dict)
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
    quality = read_json(folder / "synthetic" / "quality.json")
    return RunFiles(
        name=folder.resolve().name,
        run=hide_secrets(read_json(folder / "run.json")),
        scores=read_json(folder / "scores.json"),
        arm=read_json(folder / "prompt" / "arm.json"),
        generator_log=_read_lines(folder / "generator" / "log.jsonl"),
        tuning_log=_read_lines(folder / "prompt" / "log.jsonl"),
        baseline_log=_read_lines(folder / "baseline" / "log.jsonl"),
        synthetic=_read_shards(folder / "synthetic"),
        ledger=read_json(folder / "synthetic" / "ledger.json"),
        quality=quality,
        rejected=quality.get("rejected_examples", []),
        predictions=_read_predictions(folder),
        method=method,
        weights=read_json(folder / "generator" / WEIGHTS, list),
        other_weights=_other_weights(folder, method),
        points=_read_shards(folder / "map"),
        settings=without_secrets(read_text(config)) if config.is_file() else "",
    )


def is_number(value: object) -> bool:
    """Whether a value of a JSON file is a number."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _method(generator: Path) -> str:
    """How a generator was tuned, as its fingerprint's inputs say; "" where they do not."""
    inputs = read_json(generator / "fingerprint.json").get("inputs") or {}
    return str((inputs.get("generator") or {}).get("method", ""))


def _other_weights(folder: Path, method: str) -> dict[str, Rows]:
    """Token weights by other methods than ``method``, from generators that were kept aside."""
    found = {}
    for kept in sorted((folder / ".kept").glob("generator-*")):
        other = _method(kept)
        if other not in ("", method):
            found[other] = read_json(kept / WEIGHTS, list)
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


def _read_lines(path: Path) -> Rows:
    if not path.is_file():
        return []
    lines = enumerate(read_text(path).split("\n"), start=1)
    return [parse_json(line, f"{path}, line {n}") for n, line in lines if line.strip()]


def _read_shards(folder: Path, pattern: str = "*.parquet") -> Rows:
    rows: Rows = []
    for path in sorted(folder.glob(pattern)):
        rows += loaded(str(path), parquet_records(path))
    return rows
