"""A small job that runs in seconds, and the command line called as a user would."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path

from dawgen import cli

CARD = """\
name: pairs
columns: {text1: premise, text2: hypothesis, label: verdict}
labels: [same, other]
template: "premise: {text1} hypothesis: {text2} answer:"
label_words: {same: "yes", other: "no"}
label_prompts:
  same: "sentence 2 follows from sentence 1"
  other: "sentence 2 contradicts sentence 1"
"""

SETTINGS = {
    "shots": 4,
    "generator.prompt_length": 4,
    "generator.epochs": 2,
    "generator.learning_rate": 0.05,
    "synthesis.first_sentences": "few-shots",
    "synthesis.rows_per_label": 6,
    "synthesis.max_new_tokens": 12,
    "synthesis.max_attempts_factor": 200,
    "tuning.prompt_length": 4,
    "tuning.optimizer": "adamw",
    "tuning.learning_rate": 0.01,
    "tuning.batch_size": 4,
    "tuning.synthetic_batch_size": 4,
    "tuning.steps": 6,
    "tuning.eval_every": 3,
    "selection.candidates": "paper",
}

WHO = ("a man", "a woman", "a dog", "a cat", "the children", "two people", "an old man")
DOES = ("runs", "sleeps", "eats", "plays", "looks")
WHERE = ("in the park", "under the house", "on the street", "near the field", "outside")


def sentence(number: int) -> str:
    """One of 175 different sentences."""
    who, rest = WHO[number % 7], number // 7
    return f"{who} {DOES[rest % 5]} {WHERE[rest // 5 % 5]}"


def rows(start: int, count: int) -> list[dict[str, str]]:
    """Rows of both labels in turn; no sentence occurs in two ranges."""
    return [
        {
            "premise": f"{sentence(n)} .",
            "hypothesis": f"{sentence(n)} , yes" if n % 2 else f"{sentence(n)} , not",
            "verdict": "same" if n % 2 else "other",
        }
        for n in range(start, start + count)
    ]


def write_rows(path: Path, found: Sequence[dict[str, str]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in found))
    return path


@dataclass(frozen=True)
class Outcome:
    """What a command left behind: exit code, standard output and standard error."""

    code: int
    out: str
    err: str


def dawgen(*arguments: object) -> Outcome:
    """Call the command line in this process; an import of torch a test would take too long."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = cli.main([str(argument) for argument in arguments])
    return Outcome(code, out.getvalue(), err.getvalue())


@dataclass(frozen=True)
class SmallJob:
    """The files of a small task and the model to do it with."""

    folder: Path
    model: Path
    settings: dict[str, object] = field(default_factory=lambda: dict(SETTINGS))

    @property
    def card(self) -> Path:
        return self.folder / "pairs.yaml"

    def data(self, name: str) -> Path:
        return self.folder / f"{name}.jsonl"

    def arguments(self, **changes: object) -> list[object]:
        """Files and ``-s`` options; changes of settings by their name, ``__`` for the dot."""
        settings = self.settings | {"backbone.path": self.model}
        settings |= {name.replace("__", "."): value for name, value in changes.items()}
        sets = [part for name, value in settings.items() for part in ("-s", f"{name}={value}")]
        return ["--train", self.data("train"), "--dev", self.data("dev"), *sets]

    def run(self, out: Path, *more: object, **changes: object) -> Outcome:
        """``dawgen run`` on the small job."""
        test = ["--test", self.data("test")]
        return dawgen("run", self.card, *self.arguments(**changes), *test, "--out", out, *more)


def write_job(folder: Path, model: Path) -> SmallJob:
    (folder / "pairs.yaml").write_text(CARD)
    for name, start, count in (("train", 0, 8), ("dev", 20, 8), ("test", 40, 30)):
        write_rows(folder / f"{name}.jsonl", rows(start, count))
    return SmallJob(folder, model)


def files_of(folder: Path) -> dict[str, bytes]:
    """All files below a folder by name."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
