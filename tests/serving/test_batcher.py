"""The queue: what arrives together is read together, and nobody waits for ever."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from dawgen.selection.store import Choice
from dawgen.serving.batcher import Batcher
from dawgen.serving.limits import Limits, Refused
from dawgen.serving.together import Reading
from dawgen.tasks import Row

FIRST, SECOND = Choice("first", []), Choice("second", [])


def rows(count: int, text: str = "a") -> list[Row]:
    return [Row(f"{text} {n}", None, None) for n in range(count)]


class Reader:
    """Counts batches; a row's probability is its number."""

    def __init__(self) -> None:
        self.batches: list[list[tuple[str, int]]] = []
        self.go = threading.Event()
        self.go.set()

    def __call__(self, readings: Sequence[Reading]) -> list[Any]:
        self.go.wait()
        self.batches.append([(each.choice.name, len(each.rows)) for each in readings])
        if any(row.text1.startswith("bad") for each in readings for row in each.rows):
            raise RuntimeError("the text was: my secret")
        return [np.array([[float(row.text1.split()[1])] for row in each.rows]) for each in readings]


async def reading(reader: Reader, *asks: tuple[Choice, list[Row]], **limits: Any) -> list[Any]:
    """What all these requests, sent at once, get."""
    batcher = Batcher(Limits(**limits), reader)
    work = asyncio.create_task(batcher.run())
    found = await asyncio.gather(*(batcher.ask(*ask) for ask in asks), return_exceptions=True)
    assert batcher.waiting == 0
    work.cancel()
    return found


def test_rows_of_two_tasks_are_one_batch() -> None:
    reader = Reader()
    found = asyncio.run(reading(reader, (FIRST, rows(3)), (SECOND, rows(2))))
    assert reader.batches == [[("first", 3), ("second", 2)]]
    assert [each.ravel().tolist() for each in found] == [[0, 1, 2], [0, 1]]


def test_a_long_request_does_not_keep_a_short_one_waiting() -> None:
    reader = Reader()
    found = asyncio.run(reading(reader, (FIRST, rows(200)), (SECOND, rows(2))))
    assert ("second", 2) in reader.batches[0]
    assert all(sum(count for _, count in batch) <= 64 for batch in reader.batches)
    assert found[0].ravel().tolist() == list(range(200))


def test_of_a_failed_batch_only_the_failing_request_fails(
    capsys: pytest.CaptureFixture[str],
) -> None:
    reader = Reader()
    good, bad = asyncio.run(reading(reader, (FIRST, rows(3)), (SECOND, rows(2, "bad"))))
    assert good.ravel().tolist() == [0, 1, 2]
    assert isinstance(bad, Refused)
    assert bad.status == 500
    said = capsys.readouterr().err
    assert "RuntimeError in test_batcher.py" in said
    assert "secret" not in said  # an error's message may hold a user's text


def test_a_full_queue_refuses_and_what_it_accepted_is_answered() -> None:
    async def flood() -> list[Any]:
        reader = Reader()
        reader.go.clear()
        batcher = Batcher(Limits(rows_waiting=100), reader)
        work = asyncio.create_task(batcher.run())
        asked = [asyncio.create_task(batcher.ask(FIRST, rows(30))) for _ in range(10)]
        await asyncio.sleep(0.05)
        assert batcher.waiting == 90
        reader.go.set()
        found = await asyncio.gather(*asked, return_exceptions=True)
        again = await batcher.ask(FIRST, rows(100))
        work.cancel()
        return [*found, again]

    *found, again = asyncio.run(flood())
    refused = [each for each in found if isinstance(each, Refused)]
    assert [each.status for each in refused] == [429] * 7
    assert [len(each) for each in found[:3]] == [30] * 3
    assert len(again) == 100


def test_an_idle_server_waits_a_little_for_more_rows() -> None:
    async def two_in_turn() -> list[Any]:
        reader = Reader()
        batcher = Batcher(Limits(wait_seconds=5.0, rows_per_batch=5), reader)
        work = asyncio.create_task(batcher.run())
        first = asyncio.create_task(batcher.ask(FIRST, rows(3)))
        await asyncio.sleep(0.02)
        assert not reader.batches
        async with asyncio.timeout(2):  # five rows are a batch, which waits no longer
            await batcher.ask(SECOND, rows(2))
            await first
        work.cancel()
        return reader.batches

    assert asyncio.run(two_in_turn()) == [[("first", 3), ("second", 2)]]
