"""All that one arm carries from step to step."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from dawgen.errors import UserError
from dawgen.settings import TuningSettings
from dawgen.storage.checkpoint import optimizer_state, restore_optimizer
from dawgen.terminal.progress import warn
from dawgen.tuning.arm import Arm, TunedPrompt
from dawgen.tuning.combine import Plan
from dawgen.tuning.develop import DevScore
from dawgen.tuning.ensemble import Ensemble
from dawgen.tuning.rows import EncodedRows
from dawgen.tuning.schedule import make_optimizer

if TYPE_CHECKING:
    from dawgen.tasks import TaskCard


_PLAIN = (
    "done",
    "history",
    "_averaged",
    "paired_steps",
    "conflicts",
    "_best_step",
    "_looks_since_best",
    "_one_class_since",
    "_warned",
)
"""An arm's state that is plain values."""


@dataclass(frozen=True)
class ArmData:
    """The rows of one arm."""

    train: EncodedRows
    dev: EncodedRows
    synthetic: EncodedRows


class ArmState:
    """One arm in training: prompt, optimiser, random streams, best checkpoint, history."""

    def __init__(self, arm: Arm, data: ArmData, start: Tensor, settings: TuningSettings) -> None:
        self.arm, self.data, self.start = arm, data, start
        self.prompt = nn.Parameter(start.clone())  # [P, H]
        self.optimizer = make_optimizer(settings.optimizer, self.prompt, settings.weight_decay)
        self._average_decay = settings.average_decay
        self._average = start.clone()  # of the prompts after each step
        self.plan = Plan(arm, len(data.train), len(data.synthetic), settings)
        noise = settings.noise
        self.ensemble = Ensemble(data.synthetic.targets, noise) if noise.ensembling else None
        self.patience = settings.patience
        self._rule = settings.checkpoint
        self.done = False
        self.history: list[dict[str, Any]] = []
        self._averaged = 0
        self.paired_steps = 0
        self.conflicts = 0
        self.best: DevScore | None = None
        self._best_prompt, self._best_step = start, 0
        self._looks_since_best = 0
        self._one_class_since: int | None = None
        self._warned = False

    def step(self, gradient: Tensor, rate: float) -> None:
        """Move the prompt along its gradient [P, H]."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.prompt.grad = gradient
        self.optimizer.step()
        self.prompt.grad = None
        self._update_average()

    @property
    def candidate(self) -> Tensor:
        """The prompt [P, H] that is scored and kept: the last step's, or the steps' average."""
        return (self._average if self._average_decay else self.prompt).detach()

    def _update_average(self) -> None:
        """a ← a + (1 - d) / (1 - d^t) · (p - a): after step t the weights d^(t-i) of the prompts
        i = 1..t, over their sum."""
        self._averaged += 1
        decay = self._average_decay
        share = (1 - decay) / (1 - decay**self._averaged)
        self._average.lerp_(self.prompt.detach(), share)

    def look(self, step: int, score: DevScore, card: TaskCard) -> None:
        """Take in a look at the development rows.

        Raises:
            UserError: the development loss is not finite.
        """
        if not score.loss < float("inf"):
            raise UserError(
                f"{card.name}, prompt {self.arm.name!r}: after step {step} the loss on the "
                f"development rows is {score.loss}; lower tuning.learning_rate."
            )
        self._watch_collapse(step, score, card)
        if step < self.plan.first_candidate:
            return
        if score.better_than(self.best, self._rule):
            self.best, self._best_step = score, step
            self._best_prompt = self.candidate.clone()
            self._looks_since_best = 0
        else:
            self._looks_since_best += 1
            self.done = self.patience is not None and self._looks_since_best >= self.patience

    def _watch_collapse(self, step: int, score: DevScore, card: TaskCard) -> None:
        """Warn once when two looks in a row give every row one label; the start is exempt."""
        if not score.one_class or step == 0:
            self._one_class_since = None
        elif self._one_class_since is None:
            self._one_class_since = step
        elif not self._warned:
            self._warned = True
            label = card.labels[score.predicted.index(max(score.predicted))]
            warn(
                f"{card.name}, prompt {self.arm.name!r}: at steps {self._one_class_since} and "
                f"{step} every development row was given the label {label!r}; the prompt has "
                f"collapsed to one class (try a lower learning rate or more steps)."
            )

    def state_dict(self) -> dict[str, Any]:
        """All that changes from step to step; the start and the rows are made again."""
        return {
            "prompt": self.prompt,
            "average": self._average,
            "optimizer": optimizer_state(self.optimizer),
            "plan": self.plan.state_dict(),
            "ensemble": None if self.ensemble is None else self.ensemble.state_dict(),
            "best": None if self.best is None else asdict(self.best),
            "best_prompt": self._best_prompt,
            "plain": {name: getattr(self, name) for name in _PLAIN},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what :meth:`state_dict` gave."""
        with torch.no_grad():
            self.prompt.copy_(state["prompt"])
            self._average.copy_(state["average"])
        restore_optimizer(self.optimizer, state["optimizer"])
        self.plan.load_state_dict(state["plan"])
        if self.ensemble is not None:
            self.ensemble.load_state_dict(state["ensemble"])
        self.best = None if state["best"] is None else DevScore(**state["best"])
        self._best_prompt = state["best_prompt"].to(self.start.device)
        for name in _PLAIN:
            setattr(self, name, state["plain"][name])

    def result(self) -> TunedPrompt:
        """The best checkpoint."""
        assert self.best is not None
        return TunedPrompt(
            self.arm,
            self._best_prompt.cpu(),
            self._best_step,
            self.best.accuracy,
            self.best.loss,
            self.history,
        )
