"""The history of the arms: one record a step and arm.

A record holds

- ``arm``, ``step`` (0 is the start, before any update), ``learning_rate``;
- ``real_loss``, ``synthetic_loss``: means over the step's rows at the prompt before the
  update, nats; None where the arm drew no such rows;
- ``cosine`` of δ_real and δ_syn before surgery, ``conflict`` (it is negative), and
  ``conflict_share``, the share of conflicting steps so far; None without both gradients;
- ``prompt_norm`` and ``distance`` from the start, after the update;
- where the development rows were looked at: ``dev_accuracy``, ``dev_loss``, ``dev_macro_f1``
  if the card goes by it, and ``dev_predictions``, the number of rows given each label.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from dawgen.errors import UserError
from dawgen.tuning.combine import Draw
from dawgen.tuning.develop import DevScore
from dawgen.tuning.gradients import Update
from dawgen.tuning.rows import JoinedRows
from dawgen.tuning.state import ArmState

if TYPE_CHECKING:
    from dawgen.tasks import TaskCard


_NORM = 4
"""Which of a step's figures is the prompt's norm after the update."""


@dataclass(frozen=True)
class _Step:
    """One step's figures, still on the device."""

    step: int
    states: Sequence[ArmState]
    draws: Sequence[Draw]
    row_losses: Tensor  # [B]
    copies: Tensor  # [B], see JoinedRows
    figures: Tensor  # [R, 6]
    rates: Sequence[float]


class Pending:
    """Steps whose figures were not read yet.

    Reading a number off a GPU waits for all the work before it, so figures gather here and
    are read at the looks at the development rows, all at once.
    """

    def __init__(self, card: TaskCard, on_step: Callable[[dict[str, Any]], None] | None) -> None:
        self._card, self._on_step = card, on_step
        self._steps: list[_Step] = []

    def add(
        self,
        step: int,
        states: Sequence[ArmState],
        draws: Sequence[Draw],
        rows: JoinedRows,
        row_losses: Tensor,
        update: Update,
        rates: Sequence[float],
    ) -> None:
        """Take a step's figures, without waiting for them."""
        arms, device = len(states), row_losses.device
        means = torch.zeros(2 * arms, device=device)
        means.index_add_(0, rows.copy.to(device), row_losses * rows.weight.to(device))
        norms = torch.stack([state.prompt.detach().norm() for state in states])
        moved = torch.stack([(state.prompt.detach() - state.start).norm() for state in states])
        conflict = update.conflict.to(torch.float32)
        figures = [means[:arms], means[arms:], update.cosine, conflict, norms, moved]
        self._steps.append(
            _Step(step, states, draws, row_losses, rows.copy, torch.stack(figures, dim=1), rates)
        )

    def check(self) -> None:
        """Stop at the first loss or gradient that is not finite.

        A gradient that is not makes the prompt so, whose norm is among the step's figures.

        Raises:
            UserError: names task, step, arm and rows.
        """
        for step in self._steps:
            losses = step.row_losses.isfinite()
            if not bool(losses.all()):
                raise UserError(_complaint(self._card, step, "loss", (~losses).tolist()))
            arms = step.figures[:, _NORM].isfinite().tolist()
            if not all(arms):
                bad = [not arms[copy % len(arms)] for copy in step.copies.tolist()]
                raise UserError(_complaint(self._card, step, "gradient", bad))

    def flush(self, step: int, states: Sequence[ArmState], scores: Sequence[DevScore]) -> None:
        """Write the gathered steps' records, with the scores of the look that ends them."""
        records = self._read()
        if step == 0:
            records = [(state, _start_record(state)) for state in states]
        looked = dict(zip((state.arm.name for state in states), scores, strict=True))
        for state, record in records:
            if record["step"] == step:
                score = looked[state.arm.name]
                record["dev_accuracy"], record["dev_loss"] = score.accuracy, score.loss
                if score.macro_f1 is not None:
                    record["dev_macro_f1"] = score.macro_f1
                counts = zip(self._card.labels, score.predicted, strict=True)
                record["dev_predictions"] = dict(counts)
            self._enter(state, record)

    def settle(self) -> None:
        """Write the records of the gathered steps between two looks.

        Raises:
            UserError: a loss is not finite.
        """
        self.check()
        for state, record in self._read():
            self._enter(state, record)

    def _read(self) -> list[tuple[ArmState, dict[str, Any]]]:
        """The gathered steps' records, which are then no longer gathered."""
        records = [record for past in self._steps for record in _records(past)]
        self._steps.clear()
        return records

    def _enter(self, state: ArmState, record: dict[str, Any]) -> None:
        state.history.append(record)
        if self._on_step is not None:
            self._on_step(record)


def _start_record(state: ArmState) -> dict[str, Any]:
    norm = float(state.start.norm())
    return {"arm": state.arm.name, "step": 0, "prompt_norm": norm, "distance": 0.0}


def _records(step: _Step) -> list[tuple[ArmState, dict[str, Any]]]:
    """The step's records, arm by arm."""
    records = []
    for state, draw, rate, figures in zip(
        step.states, step.draws, step.rates, step.figures.tolist(), strict=True
    ):
        real, synthetic, cosine, conflict, norm, moved = figures
        both = bool(draw.real) and bool(draw.synthetic)
        state.paired_steps += both
        state.conflicts += both and bool(conflict)
        record = {
            "arm": state.arm.name,
            "step": step.step,
            "learning_rate": rate,
            "real_loss": real if draw.real else None,
            "synthetic_loss": synthetic if draw.synthetic else None,
            "cosine": cosine if both else None,
            "conflict": bool(conflict) if both else None,
            "conflict_share": state.conflicts / state.paired_steps if both else None,
            "prompt_norm": norm,
            "distance": moved,
        }
        records.append((state, record))
    return records


def _complaint(card: TaskCard, step: _Step, what: str, bad: Sequence[bool]) -> str:
    """Which arm's rows of the step have a loss or gradient that is not finite, in words."""
    place = 0
    found = []
    for kind in ("real", "synthetic"):
        for state, draw in zip(step.states, step.draws, strict=True):
            rows = draw.real if kind == "real" else draw.synthetic
            named = [str(row) for at, row in enumerate(rows, place) if bad[at]]
            place += len(rows)
            if named:
                more = f" and {len(named) - 5} more" if len(named) > 5 else ""
                found.append(f"{kind} rows {', '.join(named[:5])}{more} of {state.arm.name!r}")
    return (
        f"{card.name}, step {step.step} of tuning: the {what} is not finite for "
        f"{'; '.join(found)} (rows counted from 0); lower tuning.learning_rate, "
        f"or take backbone.dtype fp32."
    )
