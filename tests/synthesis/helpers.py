"""Plain functions that several tests here use."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from dawgen.backbone import Backbone
from dawgen.synthesis import SyntheticRow
from dawgen.synthesis.shards import read_shard


def random_prompts(backbone: Backbone, labels: int, length: int = 3, seed: int = 0) -> Tensor:
    """[C,P,H] rows of the embedding table, another draw for each label."""
    generator = torch.Generator().manual_seed(seed)
    ordinary = torch.tensor(backbone.ordinary_token_ids())
    chosen = torch.randint(len(ordinary), (labels, length), generator=generator)
    return backbone.table()[ordinary[chosen]].float()


def read_shards(folder: Path) -> list[SyntheticRow]:
    """Every row of a synthetic folder, rejected ones too, in the order of writing."""
    return [row for path in sorted(folder.glob("shard-*.parquet")) for row in read_shard(path)]


@torch.no_grad()
def next_logits(backbone: Backbone, prompt: Tensor, source: list[int], ids: list[int]) -> Tensor:
    """Logits [V] of the token after source and ids, without cache, batch or padding."""
    if not ids:
        every = [[i] for i in range(backbone.head.weight.shape[0])]
        return backbone.label_scores(prompt[None], [source], every)[0]
    scores = backbone.token_log_probs(prompt[None], [source], [ids])
    return backbone.head.logits(scores.hidden[0, -1:])[0]
