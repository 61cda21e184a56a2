"""A grid's cells on a cluster."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dawgen.bench.cells import Order
from dawgen.bench.work import Done, Holder, work
from dawgen.cluster import Cluster, backbone_fingerprint
from dawgen.machine.meter import Meter
from dawgen.settings import BackboneSettings

_HOLDERS: dict[str, Holder] = {}


def fingerprint_on(cluster: Cluster, settings: BackboneSettings) -> str:
    """The backbone's fingerprint, by a worker."""
    return cluster.call(backbone_fingerprint, settings.model_dump_json())


def work_on(cluster: Cluster, units: Sequence[list[Order]]) -> Iterator[Done]:
    """Work on the units wherever there is room; finished ones as they come."""
    for found in cluster.spread(_work, units):
        yield from found


def _work(unit: list[Order]) -> list[Done]:
    """A unit on a worker, with the backbone that it has already if it is the same."""
    settings = unit[0].settings.backbone
    key = settings.model_dump_json()
    if key not in _HOLDERS:
        _HOLDERS.clear()
        _HOLDERS[key] = Holder(settings)
    return list(work(unit, _HOLDERS[key], Meter()))
