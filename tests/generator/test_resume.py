"""A generator whose tuning is stopped after any step goes on to the very numbers."""

from __future__ import annotations

from pathlib import Path

import pytest

from dawgen.generator import Generator, fit_generator
from dawgen.storage.checkpoint import Checkpoint
from dawgen.storage.stopping import Stopped
from dawgen.streams import Streams
from tests.generator.test_fit import CARD, ROWS, equal, settings
from tests.tuning.test_resume import stop_at

__all__ = ["stop_at"]


def fit(backbone, checkpoint: Checkpoint | None, method: str) -> Generator:
    return fit_generator(
        *(CARD, ROWS * 2, backbone, settings(method=method), Streams(0)),
        write_first=True,
        checkpoint=checkpoint,
    )


@pytest.mark.parametrize("method", ["plain", "fewgen", "dawgen"])
@pytest.mark.parametrize("steps", [1, 3])  # within an epoch, and at the start of one
def test_stopped_and_gone_on(tiny_bart, tmp_path: Path, stop_at, method: str, steps: int) -> None:
    whole = fit(tiny_bart, None, method)
    stop_at(steps)
    with pytest.raises(Stopped):
        fit(tiny_bart, Checkpoint(tmp_path / "state"), method)
    stop_at(-1)
    again = fit(tiny_bart, Checkpoint(tmp_path / "state", every=3600), method)
    assert equal(whole, again)
