"""How real and synthetic rows combine: which rows an arm draws, and how gradients add up.

The strategies are those of method.md §4. Each is a :class:`Draw` a step: rows of both kinds
and the weights with which the gradient of each kind's mean loss enters,

    δ = real_weight · δ_real + synthetic_weight · δ_syn        (δ_syn after surgery, or not).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from dawgen.errors import UserError
from dawgen.settings import TuningSettings
from dawgen.streams import Streams
from dawgen.tuning.arm import Arm


@dataclass(frozen=True)
class Draw:
    """An arm's rows of one step, by their places in its real and its synthetic set."""

    real: list[int]
    synthetic: list[int]
    real_weight: float
    synthetic_weight: float
    surgery: bool = False


class Passes:
    """Row numbers in endless passes over ``count`` rows, each pass in a new random order."""

    def __init__(self, count: int, rng: np.random.Generator) -> None:
        self.count = count
        self._rng = rng
        self._ahead: list[int] = []

    def take(self, size: int) -> list[int]:
        """The next rows: at most one pass at once, since a second copy adds nothing."""
        size = min(size, self.count)
        if len(self._ahead) < size:
            self._ahead.extend(self._rng.permutation(self.count).tolist())
        taken, self._ahead = self._ahead[:size], self._ahead[size:]
        return taken

    def state_dict(self) -> dict[str, Any]:
        """The rows ahead, and the random stream behind them."""
        return {"ahead": self._ahead, "rng": self._rng.bit_generator.state}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what :meth:`state_dict` gave."""
        self._ahead = list(state["ahead"])
        self._rng.bit_generator.state = state["rng"]


class Plan:
    """One arm's draws, from its own random streams.

    ``real-then-synthetic`` and ``synthetic-then-real`` give half of the steps to each kind
    (ours, not published). ``mixed`` draws as many rows a step as both batches together, from
    the two sets poured into one.
    """

    def __init__(self, arm: Arm, real_rows: int, synthetic_rows: int, settings: TuningSettings):
        if arm.combine != "synthetic" and not real_rows:
            raise UserError(f"The prompt {arm.name!r} ({arm.combine}) needs labelled rows.")
        if arm.combine != "real" and not synthetic_rows:
            raise UserError(
                f"The prompt {arm.name!r} ({arm.combine}) needs synthetic rows and there are "
                f"none; synthesise some, or set tuning.combine to real."
            )
        streams = Streams(arm.seed)
        self.arm = arm
        self._real_rows = real_rows
        self._real = Passes(real_rows, streams.numpy("tuning", "real"))
        self._synthetic = Passes(synthetic_rows, streams.numpy("tuning", "synthetic"))
        self._mixed = Passes(real_rows + synthetic_rows, streams.numpy("tuning", "mixed"))
        self._sizes = settings.batch_size, settings.synthetic_batch_size
        self._half = settings.steps // 2

    @property
    def first_candidate(self) -> int:
        """The first step whose prompt may be chosen.

        Where there are two phases, this is the first step of the second one: a prompt that has
        seen only the first phase's rows is the result of another strategy.
        """
        return self._half + 1 if "-then-" in self.arm.combine else 0

    def draw(self, step: int) -> Draw:
        """The rows of update ``step`` (from 1); to be called once a step, in order."""
        combine = self.arm.combine
        if combine == "mixed":
            return self._draw_mixed()
        if "-then-" in combine:
            first, second = combine.split("-then-")
            combine = "real" if (first if step <= self._half else second) == "real" else "synthetic"
        if combine == "real":
            return Draw(self._real.take(self._sizes[0]), [], 1.0, 0.0)
        if combine == "synthetic":
            return Draw([], self._synthetic.take(self._sizes[1]), 0.0, 1.0)
        real, synthetic = self._real.take(self._sizes[0]), self._synthetic.take(self._sizes[1])
        return Draw(real, synthetic, 1.0, self.arm.epsilon, surgery=combine == "surgery")

    def state_dict(self) -> dict[str, Any]:
        """Where the arm's random streams are."""
        return {name: passes.state_dict() for name, passes in self._streams().items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what :meth:`state_dict` gave."""
        for name, passes in self._streams().items():
            passes.load_state_dict(state[name])

    def _streams(self) -> dict[str, Passes]:
        return {"real": self._real, "synthetic": self._synthetic, "mixed": self._mixed}

    def _draw_mixed(self) -> Draw:
        """Rows from the one set; the weights make the two means the mean over all of them."""
        rows = self._mixed.take(sum(self._sizes))
        real = [row for row in rows if row < self._real_rows]
        synthetic = [row - self._real_rows for row in rows if row >= self._real_rows]
        return Draw(real, synthetic, len(real) / len(rows), len(synthetic) / len(rows))
