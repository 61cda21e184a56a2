"""Writing and scoring on a cluster, batch by batch as one machine would do it.

The order of attempts, cleaning, choice and shards stay with the driver; what is spread are the
batches that an engine decodes and that are scored. They are cut as in a local run and each is a
function of its own requests, so that the rows are the same, byte for byte on equal processors.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TypeVar

import torch
from torch import Tensor

from dawgen.backbone.frame import Frame
from dawgen.cluster import Cluster, worker_backbone
from dawgen.decoding import Decoding, Engine, Generation, Request, TransformersEngine
from dawgen.errors import UserError
from dawgen.settings import BackboneSettings
from dawgen.synthesis.scoring import Texts, score_batch

Result = TypeVar("Result")


@dataclass(frozen=True)
class _Batch:
    """What a worker is sent: to write requests, or to score texts."""

    backbone: str
    prompts: bytes
    shape: tuple[int, ...]
    decoding: Decoding | None
    frame: Frame | None
    rows: Sequence[Request] | Texts


class Spread:
    """Sends batches to a cluster.

    Args:
        backbone: what every worker loads.
    """

    def __init__(self, cluster: Cluster, backbone: BackboneSettings) -> None:
        self.cluster = cluster
        self.backbone = backbone.model_dump_json()

    def engine(self, local: Engine) -> Engine:
        """The engine, with its batches on the cluster.

        Raises:
            UserError: an engine whose texts depend on more than their own batch.
        """
        if not isinstance(local, TransformersEngine):
            raise UserError(
                "Only the engine transformers writes the same rows on a cluster as on one "
                "machine; set synthesis.engine to transformers."
            )
        return _SpreadEngine(local, self)

    def score(self, prompts: Tensor, frame: Frame | None, batches: Sequence[Texts]) -> list[Tensor]:
        """log p(text | label) [n,C] of each batch; prompts [C,P,H]."""
        return self._run(_score, prompts, None, frame, batches)

    def write(
        self, prompts: Tensor, decoding: Decoding, batches: Sequence[Sequence[Request]]
    ) -> list[list[Generation]]:
        """The texts of each batch."""
        return self._run(_write, prompts, decoding, decoding.frame, batches)

    def _run(
        self,
        work: Callable[[_Batch], Result],
        prompts: Tensor,
        decoding: Decoding | None,
        frame: Frame | None,
        batches: Sequence[Sequence[Request] | Texts],
    ) -> list[Result]:
        plain = prompts.detach().to("cpu", torch.float32).contiguous()
        values, shape = plain.numpy().tobytes(), plain.shape
        sent = (_Batch(self.backbone, values, shape, decoding, frame, rows) for rows in batches)
        return list(self.cluster.spread(work, sent, ordered=True))


class _SpreadEngine:
    """The engine ``transformers``, decoding elsewhere."""

    def __init__(self, local: TransformersEngine, spread: Spread) -> None:
        self.local, self.spread = local, spread
        self.name = local.name

    def generate(self, requests: Sequence[Request]) -> list[Generation]:
        """One generation a request, in the requests' order."""
        batches = self.local.batches(requests)
        asked = [[requests[i] for i in batch] for batch in batches]
        texts = self.spread.write(self.local.prompts, self.local.decoding, asked)
        places = (i for batch in batches for i in batch)
        ordered = dict(zip(places, chain.from_iterable(texts), strict=True))
        return [ordered[i] for i in range(len(requests))]


_ENGINES: dict[tuple[str, bytes, Decoding], TransformersEngine] = {}


def _prompts(batch: _Batch) -> Tensor:
    return torch.frombuffer(bytearray(batch.prompts), dtype=torch.float32).view(batch.shape)


def _write(batch: _Batch) -> list[Generation]:
    assert batch.decoding is not None
    key = batch.backbone, batch.prompts, batch.decoding
    if key not in _ENGINES:
        _ENGINES.clear()
        backbone = worker_backbone(batch.backbone)
        _ENGINES[key] = TransformersEngine(backbone, _prompts(batch), batch.decoding)
    return _ENGINES[key].generate([row for row in batch.rows if isinstance(row, Request)])


def _score(batch: _Batch) -> Tensor:
    backbone = worker_backbone(batch.backbone)
    prompts = _prompts(batch).to(backbone.device)
    texts = [row for row in batch.rows if isinstance(row, tuple)]
    return score_batch(backbone, prompts, texts, batch.frame)
