"""Prompts that are trained once: one at a time, whole or not at all."""

from __future__ import annotations

from threading import Event, Thread

import pytest
import torch

from dawgen.methods.stored import stored_prompt
from dawgen.storage import locking


def test_a_second_one_that_comes_meanwhile_waits_and_trains_nothing(
    tiny_bart, tmp_path, monkeypatch
):
    begun, waiting, trained, found = Event(), Event(), [], []
    monkeypatch.setattr(locking, "say", lambda message: waiting.set())

    def train():
        trained.append(1)
        begun.set()
        assert waiting.wait(30)
        return torch.full((4, 32), float(len(trained))), [{"step": 1}]

    def ask():
        found.append(stored_prompt(tmp_path, {"a": 1}, tiny_bart, train))

    first, second = Thread(target=ask), Thread(target=ask)
    first.start()
    assert begun.wait(30)
    second.start()
    for thread in (first, second):
        thread.join(30)
    assert trained == [1]
    assert len(found) == 2
    assert torch.equal(found[0], torch.ones(4, 32))
    assert torch.equal(found[0], found[1])


def test_it_lies_where_its_inputs_say_and_a_failure_leaves_nothing(tiny_bart, tmp_path):
    def fail():
        raise RuntimeError("no power")

    with pytest.raises(RuntimeError, match="no power"):
        stored_prompt(tmp_path, {"a": 1}, tiny_bart, fail)
    assert not [path for path in tmp_path.iterdir() if path.name != ".lock"]
    for inputs in ({"a": 1}, {"a": 2}):
        stored_prompt(tmp_path, inputs, tiny_bart, lambda: (torch.zeros(4, 32), []))
    assert len(list(tmp_path.glob("*/adapter_model.safetensors"))) == 2
