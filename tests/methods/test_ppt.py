"""PPT: the pre-trained prompt is made once, stored, and is what the tuning starts from."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import safetensors.torch
import torch

from dawgen.backbone import Backbone
from dawgen.errors import UserError
from dawgen.methods import alone, ppt, prompted
from dawgen.methods.prompted import PromptJob
from dawgen.settings import Settings
from dawgen.streams import Streams
from dawgen.tuning.start import start_prompt
from tests.methods.toy_pairs import (
    assert_unchanged,
    small,
    three_way,
    toy_shots,
    toy_task,
    two_way,
    weights_of,
)

TEXT = """the man runs in the park
he was very old
a dog plays with it

two children sleeps under the house
it is boring
the cat looks at a movie
no one was there
"""


@pytest.fixture
def text(tmp_path: Path) -> str:
    file = tmp_path / "text.txt"
    file.write_text(TEXT, "utf-8")
    return str(file)


def prepare(folder: Path, backbone: Backbone, settings: Settings, card=None, seed=13) -> PromptJob:
    card = card or three_way()
    task = toy_task(folder, card)
    return ppt.prepare(task, toy_shots(card), backbone, settings, Streams(seed))


def stored(folder: Path) -> list[Path]:
    return sorted(path.parent for path in folder.glob("ppt/*/adapter_model.safetensors"))


def refuse(*args: object, **kwargs: object) -> None:
    raise AssertionError("trained again")


def test_the_rate_follows_noam():
    """Warm-up 4, peak 0.1: a quarter at 1, half at 2, the peak at 4, half again at 16."""
    rates = [ppt.noam(step, 0.1, 4) for step in (1, 2, 4, 16, 400)]
    assert rates == pytest.approx([0.025, 0.05, 0.1, 0.05, 0.01])


@pytest.mark.parametrize("name", ["tiny_bart", "tiny_t5", "tiny_gpt2"])
def test_the_start_is_the_stored_prompt_and_nothing_trains_twice(
    name, request, tmp_path, text, monkeypatch
):
    backbone = request.getfixturevalue(name)
    settings, before = small(ppt={"corpus": text}), weights_of(backbone)
    job = prepare(tmp_path, backbone, settings)
    (folder,) = stored(tmp_path)
    tensor = safetensors.torch.load_file(folder / "adapter_model.safetensors")["prompt_embeddings"]
    assert job.start is not None
    assert torch.equal(job.start, tensor)
    untrained = start_prompt(backbone, three_way(), settings.tuning, ppt.SEED)
    assert not torch.equal(job.start, untrained)
    assert_unchanged(backbone, before)

    monkeypatch.setattr(ppt, "pretrain", refuse)
    again = prepare(tmp_path, backbone, settings, seed=21)
    assert again.start is not None
    assert torch.equal(again.start, tensor)
    assert again.arm.seed == 21


def test_the_tuned_run_starts_there(tiny_bart, tmp_path, text, monkeypatch):
    started = []
    inner = prompted.fit_stack

    def fit(*args, **kwargs):
        started.extend(kwargs["starts"])
        return inner(*args, **kwargs)

    monkeypatch.setattr(prompted, "fit_stack", fit)
    card, settings = three_way(), small(ppt={"corpus": text})
    method = alone(ppt.prepare)
    found = method(toy_task(tmp_path, card), toy_shots(card), tiny_bart, settings, Streams(13))
    (folder,) = stored(tmp_path)
    tensor = safetensors.torch.load_file(folder / "adapter_model.safetensors")["prompt_embeddings"]
    assert len(started) == 1
    assert torch.equal(started[0], tensor)
    assert found.probabilities.shape == (10, 3)


def test_tuning_has_ppts_own_rate_batch_and_passes(tiny_bart, tmp_path, text):
    settings = small(ppt={"corpus": text, "tuning_learning_rate": 0.07})
    tuning = prepare(tmp_path, tiny_bart, settings).settings
    assert (tuning.combine, tuning.schedule, tuning.batch_size) == ("real", "constant", 4)
    assert (tuning.steps, tuning.eval_every) == (4, 2)  # 6 rows: 2 steps a pass, 2 passes
    assert tuning.learning_rate == 0.07
    assert prepare(tmp_path, tiny_bart, settings).arm.learning_rate == 0.07


def test_what_the_prompt_depends_on_trains_it_anew(tiny_bart, tmp_path, text):
    base = {"corpus": text}
    prepare(tmp_path, tiny_bart, small(ppt=base))
    prepare(tmp_path, tiny_bart, small(ppt={**base, "tuning_epochs": 5}))
    assert len(stored(tmp_path)) == 1  # of the tuning alone
    prepare(tmp_path, tiny_bart, small(ppt={**base, "learning_rate": 0.2}))
    assert len(stored(tmp_path)) == 2
    prepare(tmp_path, tiny_bart, small(ppt=base), card=two_way())
    assert len(stored(tmp_path)) == 3
    longer = small(ppt=base)
    tuning = longer.tuning.model_copy(update={"prompt_length": 5})
    prepare(tmp_path, tiny_bart, longer.model_copy(update={"tuning": tuning}))
    assert len(stored(tmp_path)) == 4
    Path(text).write_text(TEXT + "a man\n", "utf-8")
    prepare(tmp_path, tiny_bart, small(ppt=base))
    folders = stored(tmp_path)
    assert len(folders) == 5
    prompts = {(folder / "adapter_model.safetensors").read_bytes() for folder in folders}
    assert len(prompts) == 5


def test_same_settings_same_bytes(tiny_bart, tmp_path, text):
    settings = small(ppt={"corpus": text})
    files = []
    for name in ("one", "two"):
        prepare(tmp_path / name, tiny_bart, settings)
        (folder,) = stored(tmp_path / name)
        files.append({path.name: path.read_bytes() for path in folder.iterdir()})
    assert files[0] == files[1]
    assert set(files[0]) >= {"adapter_config.json", "adapter_model.safetensors", "log.jsonl"}


def test_pre_training_learns_pairs_that_can_be_told_apart(tiny_bart, tmp_path):
    """One document of good films, one of bad dogs: two-way pairs are told by their words."""
    documents = [["good film"] * 6, ["bad dog"] * 6]
    settings = small(ppt={"steps": 60, "batch_size": 16, "learning_rate": 0.1, "warmup_steps": 10})
    _, log = ppt.pretrain(two_way(), documents, tiny_bart, settings)
    assert log[-1]["step"] == 60
    early = ppt.pretrain(two_way(), documents, tiny_bart, small(ppt={"steps": 1}))[1][0]
    assert log[-1]["mean_loss"] < 0.9 * early["mean_loss"]


def test_the_packaged_corpus_is_used_by_default(tiny_bart, tmp_path):
    job = prepare(tmp_path, tiny_bart, small(ppt={"steps": 1}))
    assert len(stored(tmp_path)) == 1
    assert job.start is not None
    assert job.start.isfinite().all()


def test_a_loss_that_is_not_finite_names_step_and_task_and_leaves_nothing(
    tiny_bart, tmp_path, text, monkeypatch
):
    inner, calls = tiny_bart.label_scores, []

    def scores(prompts, inputs, words):
        calls.append(len(inputs))
        found = inner(prompts, inputs, words)
        return found * math.nan if sum(calls) > 6 else found  # from the second batch of 6 on

    monkeypatch.setattr(tiny_bart, "label_scores", scores)
    with pytest.raises(UserError, match="snli, step 2 of PPT's pre-training: the loss is not"):
        prepare(tmp_path, tiny_bart, small(ppt={"corpus": text}))
    assert stored(tmp_path) == []
