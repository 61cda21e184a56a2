"""Disturbing runs of the small job and holding what they leave against an undisturbed one."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tests.conftest import bart_model, word_tokenizer
from tests.faults.server import Disturbance, Outcome
from tests.invariants.jobs import SETTINGS, SmallJob, files_of, write_job

RESULTS = ("generator", "synthetic", "prompt", "baseline", "evaluation")
FILES = ("scores.json", "predictions.parquet", "config.yaml", "task.yaml")
NOTHING = Disturbance()
MORE = {
    "generator.epochs": 4,
    "synthesis.shard_rows": 2,
    "tuning.optimizer": "adafactor",
    "tuning.noise": "{ensembling: true, threshold: 0.1}",
    "tuning.steps": 12,
    "tuning.eval_every": 4,
}
"""What the small job does more of, so that there is something to be killed in."""


def results_of(run: Path) -> dict[str, bytes]:
    """Every file of a run that must not depend on how often it was killed."""
    found = {f"{name}/{file}": b for name in RESULTS for file, b in files_of(run / name).items()}
    return found | {name: (run / name).read_bytes() for name in FILES if (run / name).is_file()}


def left_over(run: Path) -> list[str]:
    """Unfinished things that a finished run must not hold."""
    patterns = ("*.partial", "*.checkpoint", ".synthesis-*")
    return [str(path.relative_to(run)) for name in patterns for path in run.rglob(name)]


@dataclass
class Trial:
    """A run that was disturbed, begun again and held against the undisturbed one."""

    disturbances: list[Disturbance]
    outcomes: list[Outcome] = field(default_factory=list)
    different: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)

    @property
    def continued(self) -> bool:
        """The last, undisturbed command came to its end."""
        return self.outcomes[-1].code == 0

    @property
    def equal(self) -> bool:
        """And its results are the same bytes, with nothing beside them."""
        return self.continued and not self.different and not self.left


class Harness:
    """A small job on a small random model, its undisturbed run, and the process that runs it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.job = write_job(folder, write_model(folder / "model"))
        self.job = SmallJob(folder, self.job.model, SETTINGS | MORE)
        environment = os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
        self.server = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.server"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        self.number = 0
        self.undisturbed = self.run(folder / "undisturbed")
        assert self.undisturbed.code == 0, self.undisturbed.err
        self.reference = results_of(folder / "undisturbed")

    def close(self) -> None:
        """End the server."""
        self.server.communicate(timeout=60)

    def arguments(self, out: Path) -> list[str]:
        """The command line of the small job."""
        parts = ["run", self.job.card, *self.job.arguments(), "--test", self.job.data("test")]
        return [str(part) for part in [*parts, "--out", out]]

    def run(self, out: Path, disturbance: Disturbance = NOTHING) -> Outcome:
        """`dawgen run` of the small job."""
        return self.command(self.arguments(out), disturbance)

    def command(self, arguments: Sequence[str], disturbance: Disturbance = NOTHING) -> Outcome:
        """Any command, in a process of its own."""
        self.number += 1
        order = {
            "arguments": list(arguments),
            "log": str(self.folder / f"log-{self.number}"),
            "disturbance": asdict(disturbance),
        }
        assert self.server.stdin is not None
        assert self.server.stdout is not None
        self.server.stdin.write(json.dumps(order) + "\n")
        self.server.stdin.flush()
        return Outcome(**json.loads(self.server.stdout.readline()))

    def copy(self, name: str) -> Path:
        """A copy of the undisturbed run's folder, to be damaged."""
        return Path(shutil.copytree(self.folder / "undisturbed", self.folder / name))

    def try_out(self, disturbances: Sequence[Disturbance], out: Path | None = None) -> Trial:
        """Disturb a run, each beginning once, then let it come to its end."""
        trial = Trial(list(disturbances))
        run = out or self.folder / f"trial-{self.number}"
        for disturbance in [*disturbances, NOTHING]:
            trial.outcomes.append(self.run(run, disturbance))
        if trial.continued:
            found = results_of(run)
            names = sorted({*found, *self.reference})
            trial.different = [n for n in names if found.get(n) != self.reference.get(n)]
            trial.left = left_over(run)
        shutil.rmtree(run, ignore_errors=True)
        return trial


def write_model(folder: Path) -> Path:
    """A random BART-shaped model that ends its sentences after a few words."""
    tokenizer = word_tokenizer()
    model = bart_model(len(tokenizer))
    model.final_logits_bias[0, tokenizer.eos_token_id] = 4.0
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
