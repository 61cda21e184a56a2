"""One undisturbed run and one server for all tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults.harness import Harness


@pytest.fixture(scope="session")
def harness(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Harness]:
    """A job to disturb."""
    made = Harness(tmp_path_factory.mktemp("faults"))
    yield made
    made.close()
