"""Ways to damage a file, and what a run makes of a damaged one."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.faults.harness import RESULTS, Harness, results_of

STAGE_OF = {
    "generator": "generator",
    "synthetic": "synthesis",
    "prompt": "tuning",
    "baseline": "baseline",
    "evaluation": "evaluation",
}


def truncate(path: Path) -> None:
    """Lose the second half."""
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def empty(path: Path) -> None:
    """Lose everything."""
    path.write_bytes(b"")


def flip(path: Path) -> None:
    """Turn one bit in the middle."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


WAYS: dict[str, Callable[[Path], None]] = {"truncated": truncate, "emptied": empty, "flipped": flip}


def artefacts(run: Path) -> list[str]:
    """Every file of a finished run's stages."""
    files = [path for name in RESULTS for path in sorted((run / name).rglob("*"))]
    return [str(path.relative_to(run)) for path in files if path.is_file()]


@dataclass(frozen=True)
class Mended:
    """What `dawgen run` did about a damaged file."""

    code: int
    named: bool
    redone: list[str]
    equal: bool
    kept: bool

    def right(self, name: str) -> bool:
        """The file was named, its stage alone done again, and the bytes are the old ones."""
        redone = [STAGE_OF[name.split("/")[0]]]
        return self.code == 0 and self.named and self.redone == redone and self.equal and self.kept


def mend(harness: Harness, name: str, way: str) -> Mended:
    """Damage a file of a finished run, and run the same command again."""
    run = harness.copy("damaged")
    try:
        WAYS[way](run / name)
        outcome = harness.run(run)
        stages = json.loads((run / "run.json").read_text("utf-8"))["stages"]
        folder, _, file = name.partition("/")
        return Mended(
            outcome.code,
            f"{folder} is damaged: {file}" in outcome.err,
            [stage for stage, record in stages.items() if not record["skipped"]],
            results_of(run) == harness.reference,
            (run / ".kept" / f"{folder}-damaged-1").is_dir(),
        )
    finally:
        shutil.rmtree(run)
