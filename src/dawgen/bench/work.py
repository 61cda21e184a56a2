"""The work of a cell: one method alone, or the prompts of several cells as one stack."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from dawgen import methods
from dawgen.backbone import Backbone, load_backbone
from dawgen.bench.cells import Order
from dawgen.machine.meter import Cost, Meter
from dawgen.methods.base import Prediction
from dawgen.methods.prompted import PromptJob
from dawgen.settings import BackboneSettings
from dawgen.terminal.progress import say
from dawgen.tuning import TunedPrompt

Found = TypeVar("Found")


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


def _attempt(
    job: Callable[[Backbone], Found], holder: Holder, meter: Meter
) -> tuple[Found | Exception, Cost]:
    """What the job gives back or raises, and what it cost; loading the backbone costs it nothing.

    An error comes without what its frames held: models and activations would stay in memory.
    """
    backbone = holder.get()
    found: Found | Exception
    with meter.measure() as cost:
        try:
            found = job(backbone)
        except Exception as error:
            holder.drop()
            traceback.clear_frames(error.__traceback__)
            found = error
    return found, cost


def _alone(order: Order, holder: Holder, meter: Meter) -> Done:
    method = methods.METHODS[order.cell.method]
    result, cost = _attempt(
        lambda backbone: method(order.task, order.shots, backbone, order.settings, order.streams),
        holder,
        meter,
    )
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
    prepare = methods.PREPARED[order.cell.method]
    job, cost = _attempt(
        lambda backbone: prepare(order.task, order.shots, backbone, order.settings, order.streams),
        holder,
        meter,
    )
    return Done(order, job, cost) if isinstance(job, Exception) else _Arm(order, job, cost)


def _tune(arms: Sequence[_Arm], holder: Holder, meter: Meter) -> list[TunedPrompt] | Exception:
    """Tune the arms' prompts; each bears an equal share of the cost, of a failure too."""
    card, jobs = arms[0].order.task.card, [arm.job for arm in arms]
    result, cost = _attempt(lambda backbone: methods.tune(card, jobs, backbone), holder, meter)
    for arm in arms:
        arm.cost += cost.share(len(arms))
        arm.shared_by = len(arms)
    return result


def _finish(arm: _Arm, tuned: list[TunedPrompt] | Exception, holder: Holder, meter: Meter) -> Done:
    if isinstance(tuned, Exception):
        return Done(arm.order, tuned, arm.cost, arm.shared_by)
    order, (prompt,) = arm.order, tuned
    result, cost = _attempt(
        lambda backbone: methods.label(order.task, arm.job, prompt, backbone, order.settings),
        holder,
        meter,
    )
    return Done(order, result, arm.cost + cost, arm.shared_by)
