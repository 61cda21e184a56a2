"""The work of a cell: one method alone, or the prompts of several cells as one stack."""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from dawgen import methods
from dawgen.backbone import Backbone, load_backbone
from dawgen.bench.cells import Order
from dawgen.bench.measure import Cost, Meter
from dawgen.methods.base import Prediction
from dawgen.methods.prompted import PromptJob
from dawgen.progress import say
from dawgen.settings import BackboneSettings
from dawgen.tuning import TunedPrompt


class Holder:
    """The backbone, loaded when it is needed.

    A method that tunes all weights may fail half-way, so after a failure the backbone is read
    again: the cells that follow must not meet another model.
    """

    def __init__(self, settings: BackboneSettings) -> None:
        self._settings = settings
        self._backbone: Backbone | None = None

    def get(self) -> Backbone:
        """The backbone as it lies on disk."""
        if self._backbone is None:
            self._backbone = load_backbone(self._settings)
        return self._backbone

    def drop(self) -> None:
        """Read it again next time."""
        self._backbone = None


@dataclass(frozen=True)
class Done:
    """A cell that was worked on: what came of it and what it cost.

    Attributes:
        shared_by: how many cells shared the tuning; its cost is an equal share.
    """

    order: Order
    result: Prediction | Exception
    cost: Cost
    shared_by: int = 1


def units(orders: Sequence[Order], stack: int) -> list[list[Order]]:
    """The orders as they are worked on: methods that tune a prompt in stacks, others alone."""
    alone = [[order] for order in orders if order.cell.method not in methods.PREPARED]
    arms = [order for order in orders if order.cell.method in methods.PREPARED]
    return alone + [arms[i : i + stack] for i in range(0, len(arms), stack)]


def work(unit: Sequence[Order], holder: Holder, meter: Meter) -> Iterator[Done]:
    """Work on a unit; what one cell raises is its result, and the others go on."""
    if unit[0].cell.method in methods.PREPARED:
        yield from _stack(unit, holder, meter)
    else:
        yield _alone(unit[0], holder, meter)


def _failed(error: Exception, holder: Holder) -> Exception:
    """The error without what its frames held: models and activations would stay in memory."""
    holder.drop()
    traceback.clear_frames(error.__traceback__)
    return error


def _alone(order: Order, holder: Holder, meter: Meter) -> Done:
    result: Prediction | Exception
    holder.get()
    with meter.measure() as cost:
        try:
            method = methods.METHODS[order.cell.method]
            result = method(order.task, order.shots, holder.get(), order.settings, order.streams)
        except Exception as error:
            result = _failed(error, holder)
    return Done(order, result, cost)


@dataclass
class _Arm:
    order: Order
    job: PromptJob
    cost: Cost
    shared_by: int = 1


def _stack(unit: Sequence[Order], holder: Holder, meter: Meter) -> Iterator[Done]:
    """Prepare each, tune all together, label each."""
    arms: list[_Arm] = []
    for order in unit:
        found = _prepare(order, holder, meter)
        if isinstance(found, Done):
            yield found
        else:
            arms.append(found)
    if not arms:
        return
    tuned = _tune(arms, holder, meter)
    if isinstance(tuned, Exception) and len(arms) > 1:
        say(f"  a stack of {len(arms)} prompts failed ({tuned}); they are tuned one by one")
        for arm in arms:
            yield _finish(arm, _tune([arm], holder, meter), holder, meter)
        return
    for place, arm in enumerate(arms):
        one = tuned if isinstance(tuned, Exception) else [tuned[place]]
        yield _finish(arm, one, holder, meter)


def _prepare(order: Order, holder: Holder, meter: Meter) -> _Arm | Done:
    result: PromptJob | Exception
    holder.get()
    with meter.measure() as cost:
        try:
            prepare = methods.PREPARED[order.cell.method]
            result = prepare(order.task, order.shots, holder.get(), order.settings, order.streams)
        except Exception as error:
            result = _failed(error, holder)
    if isinstance(result, Exception):
        return Done(order, result, cost)
    return _Arm(order, result, cost)


def _tune(arms: Sequence[_Arm], holder: Holder, meter: Meter) -> list[TunedPrompt] | Exception:
    """Tune the arms' prompts; each bears an equal share of the cost, of a failure too."""
    result: list[TunedPrompt] | Exception
    holder.get()
    with meter.measure() as cost:
        try:
            jobs = [arm.job for arm in arms]
            result = methods.tune(arms[0].order.task.card, jobs, holder.get())
        except Exception as error:
            result = _failed(error, holder)
    for arm in arms:
        arm.cost += cost.share(len(arms))
        arm.shared_by = len(arms)
    return result


def _finish(arm: _Arm, tuned: list[TunedPrompt] | Exception, holder: Holder, meter: Meter) -> Done:
    if isinstance(tuned, Exception):
        return Done(arm.order, tuned, arm.cost, arm.shared_by)
    result: Prediction | Exception
    order = arm.order
    holder.get()
    with meter.measure() as cost:
        try:
            result = methods.label(order.task, arm.job, tuned[0], holder.get(), order.settings)
        except Exception as error:
            result = _failed(error, holder)
    return Done(order, result, arm.cost + cost, arm.shared_by)
