"""Checkpoints: the state of a long loop, saved now and then, so that a killed run loses little.

A checkpoint is one safetensors file: the tensors of the state, and all else as JSON in a tensor of
bytes (the file's metadata may not exceed 100 MB), with a hash over all. It is written atomically,
and removed when its stage is finished.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from dawgen.storage import stopping
from dawgen.storage.atomic import write_bytes
from dawgen.terminal.progress import say, warn

State = dict[str, Any]
"""Nested dictionaries with text keys, lists, plain values and tensors."""

EVERY = 20.0
"""Least seconds between two checkpoints."""
SHARE = 0.01
"""Largest share of the time that is spent on writing them."""
_TENSOR = "tensor:"
_TREE = "json"


class Checkpoint:
    """The state of one loop.

    Args:
        path: the file; None saves nothing, but the loop still stops on a signal.
        what: name of the loop in messages.
        every: seconds between two checkpoints, by default ``EVERY``.
    """

    def __init__(self, path: Path | None = None, what: str = "", every: float | None = None):
        self.path, self.what = path, what
        self.every = EVERY if every is None else every
        self._next = perf_counter() + self.every

    def load(self) -> State | None:
        """The state of a stopped loop; None if there is no valid one."""
        if self.path is None or not self.path.is_file():
            return None
        try:
            state, threads = _unpack(self.path)
        except ValueError as error:
            warn(f"{self.path} is damaged ({error}); {self.what} starts again.")
            return None
        if threads != torch.get_num_threads():
            warn(
                f"{self.what} started with {threads} threads and continues with "
                f"{torch.get_num_threads()}, so its last digits may differ."
            )
        return state

    @contextmanager
    def steps(self, state: Callable[[], State]) -> Iterator[Callable[[], None]]:
        """Within it, call the returned function after each step of the loop.

        Args:
            state: returns the loop's state between two steps.

        Raises:
            Stopped: a signal asked the process to stop; the state was saved before.
        """
        self._next = perf_counter() + self.every

        def step_done() -> None:
            if stopping.asked() or perf_counter() >= self._next:
                self._save(state())
            stopping.check()

        with stopping.whole_steps():
            yield step_done

    def _save(self, state: State) -> None:
        if self.path is None:
            return
        begin = perf_counter()
        write_bytes(self.path, _pack(state))
        now = perf_counter()
        self._next = now + max(self.every, (now - begin) / SHARE)

    def remove(self) -> None:
        """Remove the checkpoint, once the loop's result is saved."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)

    def tell(self, step: int, steps: int) -> None:
        """Print where a stopped loop continues."""
        say(f"  {self.what} continues after step {step:,} of {steps:,}")


def _pack(state: State) -> bytes:
    tensors: dict[str, Tensor] = {}
    tree = {"state": _take_out(state, tensors), "threads": torch.get_num_threads()}
    tensors[_TREE] = torch.frombuffer(bytearray(json.dumps(tree).encode()), dtype=torch.uint8)
    return safetensors.torch.save(tensors, {"sha256": _digest(tensors)})


def _unpack(path: Path) -> tuple[State, int]:
    """The state and its number of threads; raises ValueError if the file is damaged."""
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (safetensors.SafetensorError, OSError) as error:
        raise ValueError(str(error)) from None
    if _TREE not in tensors or metadata.get("sha256") != _digest(tensors):
        raise ValueError("its hash is not that of its content")
    tree = json.loads(tensors.pop(_TREE).numpy().tobytes())
    return _put_back(tree["state"], tensors), tree["threads"]


def _take_out(value: Any, tensors: dict[str, Tensor]) -> Any:
    """The value with its tensors moved into ``tensors`` and replaced by their names."""
    if isinstance(value, Tensor):
        name = f"{_TENSOR}{len(tensors)}"
        tensors[name] = value.detach().to("cpu", copy=True).contiguous()
        return name
    if isinstance(value, dict):
        return {key: _take_out(part, tensors) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_take_out(part, tensors) for part in value]
    return value


def _put_back(value: Any, tensors: dict[str, Tensor]) -> Any:
    if isinstance(value, str) and value.startswith(_TENSOR):
        return tensors[value]
    if isinstance(value, dict):
        return {key: _put_back(part, tensors) for key, part in value.items()}
    if isinstance(value, list):
        return [_put_back(part, tensors) for part in value]
    return value


def _digest(tensors: dict[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
        digest.update(safetensors.torch.save({"": tensor}))
    return digest.hexdigest()


def optimizer_state(optimizer: torch.optim.Optimizer) -> list[State]:
    """An optimizer's state of each parameter, in their order."""
    remembered = optimizer.state_dict()["state"]
    return [dict(remembered[number]) for number in sorted(remembered)]


def restore_optimizer(optimizer: torch.optim.Optimizer, remembered: list[State]) -> None:
    """Restore the state of an optimizer with the same settings."""
    tree = optimizer.state_dict()
    optimizer.load_state_dict({**tree, "state": dict(enumerate(remembered))})
