"""A stack of prompts that was stopped goes on: the arms' states between two steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from dawgen.storage.checkpoint import Checkpoint
from dawgen.tuning.record import Pending
from dawgen.tuning.state import ArmState


class LoopState:
    """The state of the loop over the steps: the last finished step and every arm's own."""

    def __init__(
        self, checkpoint: Checkpoint | None, pending: Pending, states: Sequence[ArmState]
    ) -> None:
        self._checkpoint = checkpoint or Checkpoint()
        self._pending, self._states = pending, states
        self._step = 0

    def load(self, steps: int) -> int:
        """Put the arms where they were; gives back the last finished step, 0 at the start."""
        saved = self._checkpoint.load()
        if saved is None:
            return 0
        for state in self._states:
            state.load_state_dict(saved["arms"][state.arm.name])
        self._step = int(saved["step"])
        self._checkpoint.tell(self._step, steps)
        return self._step

    @contextmanager
    def steps(self) -> Iterator[Callable[[int], None]]:
        """Runs the loop; gives back what it calls with the number of each finished step.

        Raises:
            Stopped: somebody wants the work to stop; the state has been kept then.
        """
        with self._checkpoint.steps(self._state) as checkpoint:

            def step_done(step: int) -> None:
                self._step = step
                checkpoint()

            yield step_done

    def _state(self) -> dict[str, Any]:
        self._pending.settle()
        arms = {state.arm.name: state.state_dict() for state in self._states}
        return {"step": self._step, "arms": arms}
