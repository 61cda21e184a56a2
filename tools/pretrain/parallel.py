"""Data parallel on one machine: processes of one thread each, gradients summed once a step.

Where cores are few and shared with others, two processes of one thread get more done than one of
two threads, whose every matrix product waits for the slower core.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import torch
import torch.distributed as dist

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Team:
    """This process's place among ``size`` processes."""

    rank: int = 0
    size: int = 1

    def share(self, rows: list[Item]) -> list[Item]:
        """This process's rows: every ``size``-th, so that lengths are alike."""
        return rows[self.rank :: self.size]

    def sum(self, numbers: list[float]) -> list[float]:
        """Elementwise sum over the processes."""
        if self.size == 1:
            return numbers
        tensor = torch.tensor(numbers, dtype=torch.float64)
        dist.all_reduce(tensor)
        found: list[float] = tensor.tolist()
        return found

    def sum_gradients(self, model: torch.nn.Module) -> None:
        """Sum the gradients over the processes, in place; a missing one counts as zero."""
        if self.size == 1:
            return
        parameters = [each for each in model.parameters() if each.requires_grad]
        for parameter in parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
        dist.all_reduce(flat)
        at = 0
        for gradient in gradients:
            gradient.copy_(flat[at : at + gradient.numel()].view_as(gradient))
            at += gradient.numel()


def join(rank: int, size: int, port: int) -> Team:
    """Join the team; ``size`` 1 needs nobody."""
    if size > 1:
        dist.init_process_group(
            "gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=size
        )
    return Team(rank, size)
