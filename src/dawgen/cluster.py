"""Distributes work over the nodes of a Ray cluster.

A piece of work is a function of plain values with the same result on every node. Ray repeats it
elsewhere if its worker or node is lost. Each worker keeps one copy of a backbone. The number of
pieces in progress is limited, so that the driver needs little memory.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

import torch

from dawgen.errors import UserError, first_line

if TYPE_CHECKING:
    from dawgen.backbone import Backbone

Piece = TypeVar("Piece")
Result = TypeVar("Result")

_RETRIES = 10
_AHEAD = 2
"""Pieces in progress for each that the cluster can run at once."""


@dataclass(frozen=True)
class Cluster:
    """A Ray cluster, and the resources of a piece of work.

    Attributes:
        address: ``auto``, ``ray://HOST:PORT`` or ``HOST:PORT``.
        cpus: cores per piece, and threads of its model: the last bits depend on them.
        gpus: GPUs per piece; fractions are possible.
    """

    address: str
    cpus: int = 1
    gpus: float = 0.0

    @classmethod
    def like_here(cls, address: str, gpus: float = 0.0) -> Cluster:
        """With the number of threads of this process, for the results of a local run."""
        return cls(address, torch.get_num_threads(), gpus)

    def call(self, work: Callable[[Piece], Result], piece: Piece) -> Result:
        """The result of one piece."""
        return next(iter(self.spread(work, [piece])))

    def spread(
        self, work: Callable[[Piece], Result], pieces: Iterable[Piece], *, ordered: bool = False
    ) -> Iterator[Result]:
        """The results of ``work`` for each piece, as they arrive or in the pieces' order.

        Raises:
            UserError: as ``work`` raised it; or there is no cluster at the address.
        """
        ray = _connected(self.address)
        options = {"num_cpus": self.cpus, "num_gpus": self.gpus, "max_retries": _RETRIES}
        remote = ray.remote(**options)(_on_worker)
        waiting = iter(pieces)
        pending: list[Any] = []
        most = self._most(ray)
        while True:
            for piece in itertools.islice(waiting, most - len(pending)):
                pending.append(remote.remote(work, self.cpus, piece))
            if not pending:
                return
            ready = pending[:1] if ordered else ray.wait(pending, num_returns=1)[0]
            pending = [ref for ref in pending if ref not in ready]
            yield _result(ray, ready[0])

    def _most(self, ray: Any) -> int:
        have = ray.cluster_resources()
        places = have.get("CPU", 0.0) / self.cpus
        if self.gpus:
            places = min(places, have.get("GPU", 0.0) / self.gpus)
        if places < 1:
            raise UserError(
                f"No node of the cluster {self.address} can have {self.cpus} CPU and "
                f"{self.gpus:g} GPU for a worker; it has {have.get('CPU', 0):g} CPU and "
                f"{have.get('GPU', 0):g} GPU in all."
            )
        return _AHEAD * int(places)


@cache
def _connected(address: str) -> Any:
    """The module ``ray``, connected."""
    try:
        import ray
    except ImportError:
        raise UserError(
            "--cluster needs Ray; install it with: pip install 'dawgen[cluster]'."
        ) from None
    if not ray.is_initialized():
        try:
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise UserError(
                f"There is no Ray cluster at {address}: {first_line(error)}. Start one with "
                "`ray start --head`."
            ) from None
    return ray


def _result(ray: Any, reference: Any) -> Any:
    try:
        return ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        raise error.cause from None  # as it was raised, without Ray's own frames


def _on_worker(work: Callable[[Any], Any], threads: int, piece: Any) -> Any:
    torch.set_num_threads(threads)
    return work(piece)


_BACKBONES: dict[str, Backbone] = {}


def worker_backbone(settings: str) -> Backbone:
    """This worker's copy of a backbone; ``settings`` are :class:`BackboneSettings` as JSON."""
    from dawgen.backbone import load_backbone
    from dawgen.settings import BackboneSettings

    if settings not in _BACKBONES:
        _BACKBONES.clear()  # free the memory of the one before
        _BACKBONES[settings] = load_backbone(BackboneSettings.model_validate_json(settings))
    return _BACKBONES[settings]


def backbone_fingerprint(settings: str) -> str:
    """Fingerprint of a worker's copy, so that the driver need not load one."""
    return worker_backbone(settings).fingerprint
