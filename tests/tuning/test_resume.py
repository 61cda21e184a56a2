"""A stack that is stopped after any step goes on to the very numbers of one that was not."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from dawgen.backbone import Backbone
from dawgen.storage import stopping
from dawgen.storage.checkpoint import Checkpoint
from dawgen.storage.stopping import Stopped
from dawgen.tuning import Arm, TunedPrompt, fit_prompts
from tests.tuning.toy import toy_card, toy_rows, toy_settings

ARMS = [
    Arm("surgery", 13, "surgery", 0.7, 0.05),
    Arm("mixed", 21, "mixed", 1.0, 0.03, 0.1),
    Arm("turns", 42, "synthetic-then-real", 1.0, 0.1),
]
VARIANTS = {
    "adamw": {"optimizer": "adamw", "weight_decay": 0.01},
    "adafactor": {"optimizer": "adafactor", "warmup_steps": 3, "schedule": "cosine"},
    "ensembles": {"noise": {"ensembling": True, "threshold": 0.1}},
    "average": {"average_decay": 0.8},
    "patience": {"patience": 1, "eval_every": 2},
}


def fit(backbone: Backbone, checkpoint: Checkpoint | None, **changes) -> list[TunedPrompt]:
    rows = (toy_rows(10, 0), toy_rows(8, 1), toy_rows(20, 2))
    settings = toy_settings(**{"steps": 8, **changes})
    return fit_prompts(toy_card(), ARMS, *rows, backbone, settings, checkpoint=checkpoint)


@pytest.fixture
def stop_at(monkeypatch: pytest.MonkeyPatch):
    """Somebody asks to stop when so many steps are done."""

    def set_up(steps: int) -> None:
        left = [steps]

        def asked() -> bool:
            left[0] -= 1
            return left[0] == 0

        def check() -> None:
            if left[0] == 0:
                raise Stopped(15)

        monkeypatch.setattr(stopping, "asked", asked)
        monkeypatch.setattr(stopping, "check", check)

    return set_up


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("steps", [1, 4, 5])
def test_stopped_and_gone_on(tiny_bart, tmp_path: Path, stop_at, variant: str, steps: int) -> None:
    changes = VARIANTS[variant]
    whole = fit(tiny_bart, None, **changes)
    stop_at(steps)
    with pytest.raises(Stopped):
        fit(tiny_bart, Checkpoint(tmp_path / "state"), **changes)
    stop_at(-1)
    checkpoint = Checkpoint(tmp_path / "state", every=3600)
    again = fit(tiny_bart, checkpoint, **changes)
    for one, other in zip(whole, again, strict=True):
        assert torch.equal(one.prompt, other.prompt)
        assert (one.best_step, one.dev_loss) == (other.best_step, other.dev_loss)
        assert one.history == other.history
    checkpoint.remove()
    assert not list(tmp_path.iterdir())


def test_a_damaged_state_is_told_of_and_not_used(
    tiny_bart, tmp_path: Path, stop_at, capsys: pytest.CaptureFixture[str]
) -> None:
    stop_at(4)
    with pytest.raises(Stopped):
        fit(tiny_bart, Checkpoint(tmp_path / "state"))
    content = bytearray((tmp_path / "state").read_bytes())
    content[-5] ^= 4
    (tmp_path / "state").write_bytes(content)
    stop_at(-1)
    again = fit(tiny_bart, Checkpoint(tmp_path / "state", "prompt tuning", every=3600))
    whole = fit(tiny_bart, None)
    assert all(torch.equal(a.prompt, b.prompt) for a, b in zip(again, whole, strict=True))
    assert "state is damaged" in capsys.readouterr().err


def test_another_number_of_threads_is_told_of(
    tiny_bart, tmp_path: Path, stop_at, capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop_at(4)
    with pytest.raises(Stopped):
        fit(tiny_bart, Checkpoint(tmp_path / "state"))
    stop_at(-1)
    threads = torch.get_num_threads()
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads + 1)
    fit(tiny_bart, Checkpoint(tmp_path / "state", "prompt tuning", every=3600))
    said = capsys.readouterr().err
    assert f"started with {threads} threads and continues with {threads + 1}" in said


def test_a_large_state_is_written_more_seldom(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A writing that takes 3 s is next due after 300 s, not after the 20 s asked for."""
    now = [0.0]
    monkeypatch.setattr("dawgen.storage.checkpoint.perf_counter", lambda: now[0])
    written: list[float] = []

    def slow(path: Path, content: bytes) -> None:
        written.append(now[0])
        now[0] += 3.0

    monkeypatch.setattr("dawgen.storage.checkpoint.write_bytes", slow)
    with Checkpoint(tmp_path / "state", every=20).steps(lambda: {}) as step_done:
        for _ in range(700):
            now[0] += 1.0
            step_done()
    assert written == [20.0, 323.0, 626.0]


def test_a_long_history_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """More text than a safetensors file's own heading may hold, which is 100 MB."""
    monkeypatch.setattr(stopping, "asked", lambda: True)
    checkpoint = Checkpoint(tmp_path / "state")
    state = {"history": "x" * 101_000_000, "prompt": torch.ones(2)}
    with checkpoint.steps(lambda: state) as step_done:
        step_done()
    found = checkpoint.load()
    assert found is not None
    assert found["history"] == state["history"]
    assert torch.equal(found["prompt"], state["prompt"])
