"""SPoT: the source's prompt is trained once, stored, and starts the target's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import safetensors.torch
import torch

from dawgen.errors import UserError
from dawgen.methods import Source, alone, spot
from dawgen.streams import Streams
from tests.methods.toy_pairs import (
    assert_unchanged,
    bare,
    pair_rows,
    small,
    three_way,
    toy_shots,
    toy_task,
    two_way,
    weights_of,
)


def stored(folder: Path) -> list[Path]:
    return sorted(folder.glob("spot/*/adapter_model.safetensors"))


def tensor(file: Path) -> torch.Tensor:
    return safetensors.torch.load_file(file)["prompt_embeddings"]


def refuse(*args: object, **kwargs: object) -> None:
    raise AssertionError("trained again")


@pytest.mark.parametrize("name", ["tiny_bart", "tiny_t5", "tiny_gpt2"])
def test_the_start_is_the_stored_prompt_and_nothing_trains_twice(
    name, request, tmp_path, monkeypatch
):
    backbone, card = request.getfixturevalue(name), two_way("qqp")
    task, before = toy_task(tmp_path, card, two_way("mrpc")), weights_of(backbone)
    job = spot.prepare(task, toy_shots(card), backbone, small(), Streams(13))
    (file,) = stored(tmp_path)
    assert job.start is not None
    assert torch.equal(job.start, tensor(file))
    assert (job.arm.combine, job.arm.seed, job.settings) == ("real", 13, small().tuning)
    assert_unchanged(backbone, before)

    monkeypatch.setattr(spot, "fit_prompts", refuse)
    again = spot.prepare(task, toy_shots(card), backbone, small(), Streams(21))
    assert again.start is not None
    assert torch.equal(again.start, tensor(file))


def test_the_source_trains_on_its_own_card_rows_and_settings(tiny_bart, tmp_path, monkeypatch):
    asked = []
    inner = spot.fit_prompts

    def fit(card, arms, train, dev, synthetic, backbone, settings):
        asked.append((card, arms, train, dev, synthetic, settings))
        return inner(card, arms, train, dev, synthetic, backbone, settings)

    monkeypatch.setattr(spot, "fit_prompts", fit)
    task = toy_task(tmp_path, three_way(), two_way())
    assert task.source is not None
    found = alone(spot.prepare)(task, toy_shots(three_way()), tiny_bart, small(), Streams(13))
    assert found.probabilities.shape == (10, 3)
    ((card, (arm,), train, dev, synthetic, settings),) = asked
    assert card == two_way()
    assert (arm.combine, arm.learning_rate, settings.learning_rate) == ("real", 0.05, 0.05)
    assert (settings.steps, settings.batch_size, settings.patience) == (3, 4, None)
    assert (len(train), len(dev), list(synthetic)) == (16, 4, [])
    key = repr
    assert sorted([*train, *dev], key=key) == sorted(task.source.rows, key=key)


def test_what_the_source_prompt_depends_on_trains_it_anew(tiny_bart, tmp_path):
    card = three_way()
    task, shots = toy_task(tmp_path, card, two_way()), toy_shots(card)
    assert task.source is not None
    spot.prepare(task, shots, tiny_bart, small(), Streams(13))
    spot.prepare(task, shots, tiny_bart, small(ppt={"steps": 9}), Streams(13))
    assert len(stored(tmp_path)) == 1
    spot.prepare(task, shots, tiny_bart, small(spot={"steps": 4}), Streams(13))
    assert len(stored(tmp_path)) == 2
    fewer = replace(task, source=Source(two_way(), task.source.rows[1:]))
    spot.prepare(fewer, shots, tiny_bart, small(), Streams(13))
    assert len(stored(tmp_path)) == 3
    other = two_way().model_copy(update={"template": "{text1} ? {text2} answer:"})
    spot.prepare(
        replace(task, source=Source(other, task.source.rows)),
        shots,
        tiny_bart,
        small(),
        Streams(13),
    )
    assert len(stored(tmp_path)) == 4


def test_same_settings_same_bytes(tiny_bart, tmp_path):
    files = []
    for name in ("one", "two"):
        task = toy_task(tmp_path / name, three_way(), two_way())
        spot.prepare(task, toy_shots(three_way()), tiny_bart, small(), Streams(13))
        (file,) = stored(tmp_path / name)
        files.append(file.read_bytes())
    assert files[0] == files[1]


def test_kept_rows_are_a_fifth_at_most():
    rows = pair_rows(two_way(), 23, 0)
    train, dev = spot.split(rows, 500, "mrpc")
    assert (len(train), len(dev)) == (19, 4)
    assert len(spot.split(rows, 3, "mrpc")[1]) == 3
    assert not {id(row) for row in train} & {id(row) for row in dev}
    with pytest.raises(UserError, match="mrpc has only 4; give five"):
        spot.split(rows[:4], 500, "mrpc")


def test_without_a_source_or_its_labels_there_is_one_sentence(tiny_bart, tmp_path):
    card = three_way()
    task = toy_task(tmp_path, card)
    with pytest.raises(UserError, match="SPoT learns from a large labelled source task"):
        spot.prepare(task, toy_shots(card), tiny_bart, small(), Streams(13))
    rows = pair_rows(two_way(), 8, 0)
    for given, what in (([], "there are none"), (rows[:2] + bare(rows[2:]), "row 3 has no label")):
        sourced = replace(task, source=Source(two_way(), given))
        with pytest.raises(UserError, match=f"labelled rows of mrpc, and {what}"):
            spot.prepare(sourced, toy_shots(card), tiny_bart, small(), Streams(13))
