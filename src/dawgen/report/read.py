"""What a run folder holds, read back for the page; parts that are missing stay empty."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dawgen.errors import UserError
from dawgen.evaluation.output import output_names
from dawgen.storage.reading import parse_json, read_json, read_text
from dawgen.tasks import TaskCard, load_card
from dawgen.tasks.bounds import loaded
from dawgen.tasks.parquet import parquet_records
from dawgen.terminal.harmless import hide_secrets, without_secrets

Rows = list[dict[str, Any]]
WEIGHTS = "token-weights.json"


class RunFiles:
    """The files of a run folder that the page shows, read once."""

    def __init__(self, folder: Path) -> None:
        config, task = folder / "config.yaml", folder / "task.yaml"
        generator, synthetic = folder / "generator", folder / "synthetic"
        self.name = folder.resolve().name
        self.run = hide_secrets(read_json(folder / "run.json"))
        self.settings = without_secrets(read_text(config)) if config.is_file() else ""
        self.scores = read_json(folder / "scores.json")
        card = load_card(str(task)) if task.is_file() else None
        self.labels = list(card.labels) if card else []
        self.columns: dict[str, str] = {"text1": "text1", "text2": "text2", "label": "label"}
        """What the card calls them."""
        self.columns |= card.columns if card else {}
        self.predictions = _read_predictions(folder, card)
        self.arm = read_json(folder / "prompt" / "arm.json")
        self.tuning_log = _read_lines(folder / "prompt" / "log.jsonl")
        self.baseline_log = _read_lines(folder / "baseline" / "log.jsonl")
        self.generator_log = _read_lines(generator / "log.jsonl")
        self.method = _method(generator)
        """Of the generator."""
        self.weights: Rows = read_json(generator / WEIGHTS, list)
        """Few-shot texts, token by token."""
        self.other_weights = _other_weights(folder, self.method) if self.weights else {}
        """The same by other methods, tuned in this folder before."""
        self.synthetic = _read_shards(synthetic)
        made = read_json(synthetic / "fingerprint.json").get("inputs") or {}
        self.source: dict[str, Any] = made.get("source") or {}
        """Name and SHA-256 of what the rows were imported from; empty where dawgen wrote them."""
        self.seed = self._said("seed", made.get("seed"))
        self.task = self._said("task", (made.get("card") or {}).get("name"))
        self.ledger = read_json(synthetic / "ledger.json")
        self.quality = read_json(synthetic / "quality.json")
        self.rejected: Rows = self.quality.get("rejected_examples", [])
        self.points = _read_shards(folder / "map")
        """The map's: x, y, kind, label, text1, text2."""

    def _said(self, name: str, of_rows: Any) -> Any:
        """By the finished run; before it is finished by the inputs of the written rows."""
        for found in (self.run.get(name), self.scores.get(name), of_rows):
            if found is not None:
                return found
        return "unknown"


def read_run(folder: Path) -> RunFiles:
    """Read what there is."""
    if not folder.is_dir():
        raise UserError(f"There is no run folder {folder}.")
    task = folder / "task.yaml"
    if task.is_file() and load_card(str(task)).takes_many:
        raise UserError(
            f"{folder} is of a task of several labels per text, which has no page yet; its figures "
            "are in scores.json."
        )
    return RunFiles(folder)


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


def _read_predictions(folder: Path, card: TaskCard | None) -> Rows:
    """Rows with text1, text2, label, prediction and confidence, whatever the card's columns."""
    rows = _read_shards(folder, "predictions.parquet")
    if not rows or card is None:
        return []
    chances = [f"p_{label}" for label in card.labels]
    names = output_names(card)
    if not {*chances, "prediction", names["text1"]} <= rows[0].keys():
        raise UserError(
            f"{folder / 'predictions.parquet'} is not of the columns and labels that "
            f"{folder / 'task.yaml'} has; run the command that made the run again."
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
