"""Plain functions that several tests here use."""

from __future__ import annotations

import torch
from torch import Tensor

from dawgen.backbone import Backbone


def random_prompts(backbone: Backbone, labels: int, length: int = 3, seed: int = 0) -> Tensor:
    """[C,P,H] rows of the embedding table, another draw for each label."""
    generator = torch.Generator().manual_seed(seed)
    ordinary = torch.tensor(backbone.ordinary_token_ids())
    chosen = torch.randint(len(ordinary), (labels, length), generator=generator)
    return backbone.table()[ordinary[chosen]].float()
