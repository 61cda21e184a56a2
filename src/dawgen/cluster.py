"""Work spread over the nodes of a Ray cluster.

A piece of work is a function of plain values that gives the same on every node; Ray runs it again
elsewhere when its worker or node is lost. A worker keeps one copy of a backbone for all its pieces.
No more pieces are under way than keep the workers busy, so that the driver stays small.
"""

from __future__ import annotations

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
Found = TypeVar("Found")

_RETRIES = 10
_AHEAD = 2
"""Pieces under way for each that the cluster can run at once."""


@dataclass(frozen=True)
class Cluster:
    """A Ray cluster, and what a piece of work asks of it.

    Attributes:
        address: ``auto``, ``ray://HOST:PORT`` or ``HOST:PORT``.
        cpus: cores of a piece, and threads of its model: figures depend on them in the last bits.
        gpus: GPUs of a piece; parts of one are possible.
    """

    address: str
    cpus: int = 1
    gpus: float = 0.0

    @classmethod
    def like_here(cls, address: str, gpus: float = 0.0) -> Cluster:
        """With as many threads as this process has, so that figures are those of a local run."""
        return cls(address, torch.get_num_threads(), gpus)

    def call(self, work: Callable[[Piece], Found], piece: Piece) -> Found:
        """One piece, waited for."""
        return next(iter(self.spread(work, [piece])))

    def spread(
        self, work: Callable[[Piece], Found], pieces: Iterable[Piece], *, ordered: bool = False
    ) -> Iterator[Found]:
        """What ``work`` gives for each piece, as it comes or in the pieces' order.

        Raises:
            UserError: as ``work`` raised it; or there is no cluster at the address.
        """
        ray = _connected(self.address)
        options = {"num_cpus": self.cpus, "num_gpus": self.gpus, "max_retries": _RETRIES}
        remote = ray.remote(**options)(_on_worker)
        waiting = iter(pieces)
        under_way: list[Any] = []
        most = self._most(ray)
        while True:
            while len(under_way) < most:
                piece = next(waiting, None)
                if piece is None:
                    break
                under_way.append(remote.remote(work, self.cpus, piece))
            if not under_way:
                return
            ready = under_way[:1] if ordered else ray.wait(under_way, num_returns=1)[0]
            under_way = [ref for ref in under_way if ref not in ready]
            yield _got(ray, ready[0])

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


def _got(ray: Any, reference: Any) -> Any:
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
        _BACKBONES.clear()  # one at a time
        _BACKBONES[settings] = load_backbone(BackboneSettings.model_validate_json(settings))
    return _BACKBONES[settings]


def backbone_fingerprint(settings: str) -> str:
    """Of a worker's copy; the driver need not load one."""
    return worker_backbone(settings).fingerprint
