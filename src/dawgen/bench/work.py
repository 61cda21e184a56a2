"""The work of a cell: one method alone, or the prompts of several cells as one stack."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from dawgen import methods
from dawgen.backbone import Backbone, load_backbone
from dawgen.bench.cells import Order
from dawgen.cluster import Cluster
from dawgen.machine.meter import Cost, Meter
from dawgen.methods.base import Prediction
from dawgen.methods.prompted import PromptJob
from dawgen.settings import BackboneSettings
from dawgen.terminal.progress import say
from dawgen.tuning import TunedPrompt

Found = TypeVar("Found")


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


@dataclass
class _Arm:
    """A prepared cell of a stack, with its cost so far."""

    order: Order
    job: PromptJob
    cost: Cost
    shared_by: int = 1

    def done(self, result: Prediction | Exception) -> Done:
        return Done(self.order, result, self.cost, self.shared_by)


def units(orders: Sequence[Order], stack: int) -> list[list[Order]]:
    """The orders as they are worked on: methods that tune a prompt in stacks, others alone."""
    alone = [[order] for order in orders if order.cell.method not in methods.PREPARED]
    arms = [order for order in orders if order.cell.method in methods.PREPARED]
    return alone + [arms[i : i + stack] for i in range(0, len(arms), stack)]


class Worker:
    """Works on the cells of one backbone, which is loaded when it is first needed.

    A method that tunes all weights may fail half-way, so after a failure the backbone is read
    again: the cells that follow must not meet another model.
    """

    def __init__(self, settings: BackboneSettings, meter: Meter) -> None:
        self._settings = settings
        self._meter = meter
        self._backbone: Backbone | None = None

    @property
    def backbone(self) -> Backbone:
        """The backbone as it is on disk."""
        if self._backbone is None:
            self._backbone = load_backbone(self._settings)
        return self._backbone

    def work(self, unit: Sequence[Order]) -> Iterator[Done]:
        """Work on a unit; what one cell raises is its result, and the others go on."""
        if unit[0].cell.method in methods.PREPARED:
            yield from self._stack(unit)
            return
        (order,) = unit
        method = methods.METHODS[order.cell.method]
        yield Done(order, *self._attempt(partial(order.give, method)))

    def _attempt(self, job: Callable[[Backbone], Found]) -> tuple[Found | Exception, Cost]:
        """What the job gives back or raises, and its cost; loading the backbone is not counted.

        An error comes without what its frames held: models and activations would stay in memory.
        """
        backbone = self.backbone
        found: Found | Exception
        with self._meter.measure() as cost:
            try:
                found = job(backbone)
            except Exception as error:
                self._backbone = None
                traceback.clear_frames(error.__traceback__)
                found = error
        return found, cost

    def _stack(self, unit: Sequence[Order]) -> Iterator[Done]:
        """Prepare each, tune all together, label each."""
        arms: list[_Arm] = []
        for order in unit:
            prepare = methods.PREPARED[order.cell.method]
            job, cost = self._attempt(partial(order.give, prepare))
            if isinstance(job, Exception):
                yield Done(order, job, cost)
            else:
                arms.append(_Arm(order, job, cost))
        if not arms:
            return
        tuned = self._tune(arms)
        if isinstance(tuned, Exception) and len(arms) > 1:
            say(f"  a stack of {len(arms)} prompts failed ({tuned}); they are tuned one by one")
            for arm in arms:
                yield self._label(arm, self._tune([arm]))
            return
        for place, arm in enumerate(arms):
            yield self._label(arm, tuned if isinstance(tuned, Exception) else [tuned[place]])

    def _tune(self, arms: Sequence[_Arm]) -> list[TunedPrompt] | Exception:
        """Tune the arms' prompts; each bears an equal share of the cost, of a failure too."""
        card, jobs = arms[0].order.task.card, [arm.job for arm in arms]
        result, cost = self._attempt(lambda backbone: methods.tune(card, jobs, backbone))
        for arm in arms:
            arm.cost += cost.share(len(arms))
            arm.shared_by = len(arms)
        return result

    def _label(self, arm: _Arm, tuned: list[TunedPrompt] | Exception) -> Done:
        if isinstance(tuned, Exception):
            return arm.done(tuned)
        order, (prompt,) = arm.order, tuned
        result, cost = self._attempt(
            lambda backbone: methods.label(order.task, arm.job, prompt, backbone, order.settings)
        )
        arm.cost += cost
        return arm.done(result)


_WORKERS: dict[str, Worker] = {}
"""On a node of a cluster: that of the backbone it has, by its settings."""


def work_on(cluster: Cluster, every: Sequence[list[Order]]) -> Iterator[Done]:
    """Work on the units wherever there is room; finished ones as they come."""
    for found in cluster.spread(_on_node, every):
        yield from found


def _on_node(unit: list[Order]) -> list[Done]:
    settings = unit[0].settings.backbone
    key = settings.model_dump_json()
    if key not in _WORKERS:
        _WORKERS.clear()
        _WORKERS[key] = Worker(settings, Meter())
    return list(_WORKERS[key].work(unit))
