"""Calls of a model that memory holds: bounded by what is free, made smaller where it is too little.

The bound is a power of two below what was asked for, taken once a backbone, so that a machine with
plenty of memory cuts rows as the settings say, run after run.
"""

from __future__ import annotations

import ctypes
import gc
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

import torch

from dawgen.backbone.calls import call_cost, pieces, runs, tokens_at_once
from dawgen.backbone.recompute import is_recomputed
from dawgen.backbone.shape import shape_of
from dawgen.backbone.threads import side_by_side
from dawgen.errors import UserError, first_line
from dawgen.machine.limits import free_bytes
from dawgen.terminal.progress import still_at_work

if TYPE_CHECKING:
    from dawgen.backbone.model import Backbone

_SHARE = 0.8  # of what is free; the rest is for whatever else a call needs
_SENTENCES = (
    "DefaultCPUAllocator: can't allocate memory",
    "DefaultCPUAllocator: not enough memory",
    "could not create a primitive",  # oneDNN, on a processor
    "CUBLAS_STATUS_ALLOC_FAILED",
)
_SHAPES = "could not create a primitive descriptor"  # oneDNN too, of shapes that do not match


def fitting_tokens(backbone: Backbone, graph: bool) -> int | None:
    """Tokens of one call for which what is free now is enough; None where that is not known.

    Args:
        graph: a backward pass follows.
    """
    free = free_bytes(backbone.device)
    if free is None:
        return None
    held = shape_of(backbone).held_bytes(graph, is_recomputed(backbone.model))
    return int(_SHARE * free / held)


def most_tokens(backbone: Backbone, wanted: int) -> int:
    """Tokens of one call: :func:`tokens_at_once` of ``wanted``, or what memory holds if less.

    Calls with a graph and calls without have a bound each; which it is to be, autograd's mode says.
    """
    graph, limits = torch.is_grad_enabled(), backbone.limits
    most = tokens_at_once(backbone.device, wanted)
    if graph not in limits.tokens:
        fitting = fitting_tokens(backbone, graph)
        limits.tokens[graph] = sys.maxsize if fitting is None else _power_of_two(fitting)
        if limits.tokens[graph] < most:
            limits.tell(f"free memory holds about {fitting:,} tokens a call instead of {most:,}")
    return min(most, limits.tokens[graph])


def _power_of_two(most: int) -> int:
    return 1 << max(0, most.bit_length() - 1)


def run_rows(
    backbone: Backbone,
    lengths: Sequence[int],
    prompt_length: int,
    wanted: int,
    work: Callable[[list[int]], object],
) -> None:
    """Do ``work`` on all rows, cut into calls that memory and the processor's cache hold.

    Where a model reads rows end to end, calls run side by side, one on each of PyTorch's threads,
    which a single call of a small model does not fill.

    Args:
        lengths: tokens of every row, the soft prompt before it apart.
        prompt_length: its tokens; rows of a call share prompts, or have one each.
        wanted: most tokens of a call.
        work: is given a call's rows, perhaps while others are worked on; it changes nothing that
            outlasts it before it has succeeded.

    Raises:
        UserError: memory does not hold a single row.
    """
    sizes = [prompt_length + length for length in lengths]
    if not backbone.is_packed:
        most = most_tokens(backbone, wanted)
        run_calls(backbone, pieces(sizes, call_cost(backbone.device), most), sizes, work)
        return
    threads = torch.get_num_threads()
    calls = runs(lengths, max(1, most_tokens(backbone, wanted * threads) // threads), threads)
    run_calls(backbone, run_side_by_side(calls, work), sizes, work)


def run_side_by_side(
    calls: Sequence[list[int]], work: Callable[[list[int]], object]
) -> list[list[int]]:
    """Work on calls side by side; those that memory did not hold together are given back, and all
    where there is only one call or one thread."""
    if torch.get_num_threads() == 1 or len(calls) < 2:
        return list(calls)
    said = side_by_side([partial(_attempt, work, rows) for rows in calls])
    return [rows for rows, one in zip(calls, said, strict=True) if one is not None]


def run_calls(
    backbone: Backbone,
    calls: Sequence[Sequence[int]],
    sizes: Sequence[int],
    work: Callable[[list[int]], object],
) -> None:
    """Do ``work`` on the rows of every call; one that memory does not hold is cut in two.

    Later calls of the backbone stay as small as that.

    Args:
        calls: row numbers, call by call.
        sizes: tokens of every row.
        work: is given a call's rows; it changes nothing that outlasts it before it has succeeded.

    Raises:
        UserError: memory does not hold a single row.
    """
    graph, limits = torch.is_grad_enabled(), backbone.limits
    waiting = [list(rows) for rows in reversed(calls)]
    while waiting:
        rows = waiting.pop()
        longest = max(sizes[row] for row in rows)
        tokens = len(rows) * longest
        fits = len(rows) == 1 or tokens <= limits.tokens.get(graph, tokens)
        refused = _attempt(work, rows) if fits else ""
        if refused is None:
            continue
        if len(rows) == 1:
            raise UserError(_too_large(backbone, tokens, graph, refused))
        half = (len(rows) + 1) // 2
        if fits:
            limits.tokens[graph] = half * longest
            limits.tell(f"memory was too small for a call of {tokens:,} tokens")
        waiting += [rows[half:], rows[:half]]


def _attempt(work: Callable[[list[int]], object], rows: list[int]) -> str | None:
    """None once done; where memory was too small, what was said then, and what it held is free."""
    try:
        work(rows)
        still_at_work()
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        refused = first_line(error)
    else:
        return None
    _give_back()
    return refused


def _give_back() -> None:
    """Return what was freed to the device or the system, which the allocators keep otherwise."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    with suppress(OSError, AttributeError):  # glibc has it
        ctypes.CDLL(None).malloc_trim(0)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory was too small, on a GPU or for PyTorch on a processor."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    said = str(error).replace(_SHAPES, "")
    return isinstance(error, RuntimeError) and any(part in said for part in _SENTENCES)


def memory_trouble(error: Exception) -> str | None:
    """One sentence for the user where memory was too small; None for any other error.

    For work that cannot be cut into smaller calls: a step of the generator or of all weights.
    """
    if not is_out_of_memory(error):
        return None
    return (
        "Memory is too small for this step; lower its batch_size or its texts' max_length, set "
        "backbone.checkpointing=true, or take a smaller model as backbone.path; what was finished "
        f"before is kept. PyTorch said: {first_line(error)}."
    )


def _too_large(backbone: Backbone, tokens: int, graph: bool, refused: str) -> str:
    more = graph and not is_recomputed(backbone.model)
    return (
        f"Memory is too small for one row of {tokens:,} tokens through {backbone.name}; lower "
        f"backbone.max_length ({backbone.max_length}), "
        f"{'set backbone.checkpointing=true, ' if more else ''}or take a smaller model as "
        f"backbone.path. PyTorch said: {refused}."
    )
