"""The queue before the models: rows that arrive together are read together."""

from __future__ import annotations

import asyncio
import traceback
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dawgen.serving.limits import Limits, Refused
from dawgen.serving.together import Reading, read_together
from dawgen.terminal.progress import warn

if TYPE_CHECKING:
    from dawgen.selection.heads import Probabilities
    from dawgen.selection.store import Choice
    from dawgen.tasks import Row

Read = Callable[[Sequence[Reading]], list["Probabilities"]]
_SHARE = 16
"""Rows that a request may put into a batch before the others have had their turn."""


@dataclass
class _Job:
    """A request's rows: how many were taken to be read, and what was found."""

    choice: Choice
    rows: Sequence[Row]
    answer: asyncio.Future[Probabilities]
    taken: int = 0
    found: list[Probabilities] = field(default_factory=list)

    def take(self, most: int) -> Reading:
        """The next rows."""
        start, self.taken = self.taken, min(self.taken + most, len(self.rows))
        return Reading(self.choice, self.rows[start : self.taken])

    @property
    def is_taken(self) -> bool:
        """Whether no rows are left to take, or nobody waits for them."""
        return self.taken == len(self.rows) or self.answer.done()

    def add(self, probabilities: Probabilities) -> None:
        """What the model says of rows that were taken; the last ones answer the request."""
        self.found.append(probabilities)
        if sum(map(len, self.found)) == len(self.rows) and not self.answer.done():
            self.answer.set_result(np.concatenate(self.found))

    def fail(self, error: Exception) -> None:
        """Answer with an error."""
        if not self.answer.done():
            self.answer.set_exception(error)


class Batcher:
    """Requests wait here; a thread reads their rows, some of each in turn.

    Attributes:
        waiting: rows that were accepted and are not answered yet.
    """

    def __init__(self, limits: Limits, read: Read = read_together) -> None:
        self.limits, self._read = limits, read
        self.waiting = 0
        self._jobs: deque[_Job] = deque()
        self._arrived = asyncio.Event()
        self._thread: ThreadPoolExecutor | None = None

    async def ask(self, choice: Choice, rows: Sequence[Row]) -> Probabilities:
        """p(label) [N,C] of rows, when they have been read.

        Raises:
            Refused: too many rows wait already, or the model failed.
        """
        if self.waiting + len(rows) > self.limits.rows_waiting:
            raise Refused(429, "Too many rows are waiting; send these again in a moment.")
        job = _Job(choice, rows, asyncio.get_running_loop().create_future())
        self._jobs.append(job)
        self.waiting += len(rows)
        self._arrived.set()
        try:
            return await job.answer
        finally:
            self.waiting -= len(rows)

    async def run(self) -> None:
        """Read whatever arrives, until cancelled."""
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="reading")
        try:
            while True:
                if not self._jobs:
                    await self._gather()
                await self._read_batch(self._batch())
        finally:
            self._thread.shutdown(wait=False)

    async def _gather(self) -> None:
        """Wait for a request, and a little longer for others to read with it."""
        self._arrived.clear()
        await self._arrived.wait()
        loop = asyncio.get_running_loop()
        end = loop.time() + self.limits.wait_seconds
        while self.waiting < self.limits.rows_per_batch and (left := end - loop.time()) > 0:
            self._arrived.clear()
            try:
                await asyncio.wait_for(self._arrived.wait(), left)
            except TimeoutError:
                return

    def _batch(self) -> list[tuple[_Job, Reading]]:
        """The next rows to read: a share of each request, in the order of their arrival."""
        batch: list[tuple[_Job, Reading]] = []
        room = self.limits.rows_per_batch
        while self._jobs and room > 0:
            job = self._jobs.popleft()
            if not job.answer.done():
                batch.append((job, job.take(min(room, _SHARE))))
                room -= len(batch[-1][1].rows)
            if not job.is_taken:
                self._jobs.append(job)
        return batch

    async def _read_batch(self, batch: Sequence[tuple[_Job, Reading]]) -> None:
        """Answer; where a batch fails, its requests are read one by one, so that one fails."""
        loop = asyncio.get_running_loop()
        try:
            readings = [reading for _, reading in batch]
            found = await loop.run_in_executor(self._thread, self._read, readings)
        except Exception as error:  # whatever it is, nobody may wait for ever
            if len(batch) == 1:
                batch[0][0].fail(_told(error))
            else:
                for one in batch:
                    await self._read_batch([one])
            return
        for (job, _), probabilities in zip(batch, found, strict=True):
            job.add(probabilities)


def _told(error: Exception) -> Refused:
    """An error of the model, in the log without its message: that may hold a user's text."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    warn(
        f"rows could not be labelled: {type(error).__name__} in {Path(frame.filename).name}, "
        f"line {frame.lineno}."
    )
    return Refused(500, "These rows could not be labelled; the server's log says where it failed.")
