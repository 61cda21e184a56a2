"""Tuning a stack of soft prompts on one frozen backbone, method.md §3."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from dawgen.errors import UserError
from dawgen.settings import TuningSettings
from dawgen.storage.checkpoint import Checkpoint
from dawgen.streams import repeatable
from dawgen.terminal.progress import progress
from dawgen.tuning.arm import Arm, TunedPrompt
from dawgen.tuning.combine import Draw
from dawgen.tuning.develop import dev_scores
from dawgen.tuning.gradients import both_gradients, clip, joint_gradient
from dawgen.tuning.record import Pending
from dawgen.tuning.resume import LoopState
from dawgen.tuning.rows import encode, join
from dawgen.tuning.schedule import rate_at
from dawgen.tuning.start import start_prompt
from dawgen.tuning.state import ArmData, ArmState

if TYPE_CHECKING:
    from dawgen.backbone import Backbone
    from dawgen.tasks import Row, TaskCard

OnStep = Callable[[dict[str, Any]], None]


def fit_prompts(
    card: TaskCard,
    arms: Sequence[Arm],
    train: Sequence[Row],
    dev: Sequence[Row],
    synthetic: Sequence[Row],
    backbone: Backbone,
    settings: TuningSettings,
    on_step: OnStep | None = None,
    *,
    starts: Sequence[Tensor] | None = None,
    checkpoint: Checkpoint | None = None,
) -> list[TunedPrompt]:
    """Tune one prompt an arm, all arms at once, on the same rows.

    p ← p - η (δ_real + ε δ_syn), δ_syn after surgery. An arm ends where it would end alone,
    within float tolerance. The backbone's weights are not touched.

    Args:
        card: the task.
        arms: what the prompts differ in; their names are unique.
        train: labelled real rows.
        dev: labelled real rows from which each arm's best step is chosen.
        synthetic: labelled synthetic rows; may be empty where every arm is ``real``.
        backbone: frozen.
        settings: what the arms share.
        on_step: is given each record of the history as soon as it is known.
        starts: [P, H] for each arm, instead of the start that the settings name.
        checkpoint: where the state is kept; a tuning that was stopped goes on from it.

    Raises:
        UserError: rows that an arm needs are missing, or a loss is not finite; the sentence
            names step, task, arm and rows.
    """
    length = settings.prompt_length if starts is None else starts[0].shape[0]
    rows = [encode(card, part, backbone, length) for part in (train, dev, synthetic)]
    data = [ArmData(*rows)] * len(arms)
    return fit_stack(card, arms, data, backbone, settings, on_step, starts, checkpoint)


@repeatable()
def fit_stack(
    card: TaskCard,
    arms: Sequence[Arm],
    data: Sequence[ArmData],
    backbone: Backbone,
    settings: TuningSettings,
    on_step: OnStep | None = None,
    starts: Sequence[Tensor] | None = None,
    checkpoint: Checkpoint | None = None,
) -> list[TunedPrompt]:
    """As :func:`fit_prompts`, with rows of its own for each arm (the seeds of a grid).

    If an arm has synthetic rows, all arms take the steps and the checkpoint rule of these.
    """
    if any(arm.combine != "real" for arm in arms):
        settings = settings.with_rows()
    if len({arm.name for arm in arms}) != len(arms):
        raise ValueError(f"the arms' names are not unique: {[arm.name for arm in arms]}")
    if any(not len(part.dev) for part in data):
        raise UserError(f"{card.name}: there are no development rows to choose the best step by.")
    words = backbone.label_word_ids(card)
    if starts is None:
        starts = [start_prompt(backbone, card, settings, arm.seed) for arm in arms]
    states = [
        ArmState(arm, part, start.to(backbone.device, torch.float32), settings)
        for arm, part, start in zip(arms, data, starts, strict=True)
    ]
    stack = _Stack(card, words, backbone, settings, on_step)
    kept = LoopState(checkpoint, stack.pending, states)
    done = kept.load(settings.steps)
    if not done:
        stack.look(0, states)
    with (
        progress(f"tuning {len(arms)} prompt(s)", settings.steps, "steps") as advance,
        kept.steps() as step_done,
    ):
        advance(done)
        for step in range(done + 1, settings.steps + 1):
            running = [state for state in states if not state.done]
            if not running:
                break
            stack.update(step, running)
            if step % settings.eval_every == 0 or step == settings.steps:
                stack.look(step, running)
            advance(1)
            step_done(step)
    return [state.result() for state in states]


class _Stack:
    """The arms that train together, and what their steps share."""

    def __init__(
        self,
        card: TaskCard,
        words: list[list[int]],
        backbone: Backbone,
        settings: TuningSettings,
        on_step: OnStep | None,
    ) -> None:
        self.card, self.words, self.backbone, self.settings = card, words, backbone, settings
        self.pending = Pending(card, on_step)
        self._unit = backbone.rate_unit(settings.learning_rate_unit)

    def update(self, step: int, running: Sequence[ArmState]) -> None:
        """One step of every running arm: rows, both gradients, surgery, optimiser."""
        draws: list[Draw] = [state.plan.draw(step) for state in running]
        rows = join(
            draws,
            [state.data.train for state in running],
            [state.data.synthetic for state in running],
            [state.arm.label_smoothing for state in running],
        )
        ensembles = [
            (state.ensemble, len(running) + number, draw.synthetic)
            for number, (state, draw) in enumerate(zip(running, draws, strict=True))
            if state.ensemble is not None and draw.synthetic
        ]
        for ensemble, copy, places in ensembles:
            rows = ensemble.apply(rows, copy, places)
        prompts = torch.stack([state.prompt.detach() for state in running])
        both = both_gradients(
            prompts, rows, self.words, self.backbone, self.settings.tokens_per_batch
        )
        for ensemble, copy, places in ensembles:
            ensemble.add(places, both.probabilities[(rows.copy == copy).to(prompts.device)])
        update = joint_gradient(both, draws)
        gradient = clip(update.gradient, self.settings.max_grad_norm)
        rates = [self._rate(step, state) for state in running]
        for state, part, rate in zip(running, gradient, rates, strict=True):
            state.step(part, rate)
        self.pending.add(step, running, draws, rows, both.row_losses, update, rates)

    def _rate(self, step: int, state: ArmState) -> float:
        s = self.settings
        peak = self._unit * state.arm.learning_rate
        return rate_at(step, s.steps, peak, s.schedule, s.warmup_steps)

    def look(self, step: int, running: Sequence[ArmState]) -> None:
        """Score the development rows; keep the best prompts, stop arms out of patience."""
        self.pending.check()
        prompts = torch.stack([state.candidate for state in running])
        scores = dev_scores(
            prompts,
            [state.data.dev for state in running],
            self.words,
            self.backbone,
            self.settings.tokens_per_batch,
        )
        for state, score in zip(running, scores, strict=True):
            state.look(step, score, self.card)
        self.pending.flush(step, running, scores)
