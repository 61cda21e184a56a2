"""The loop: resume equals never having stopped, losses by hand, checkpoints kept."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer
from transformers import BartForConditionalGeneration

from tests.tools.conftest import CARDS, ROOT
from tools.pretrain import checkpoint, loss, train
from tools.pretrain.export import export
from tools.pretrain.mixture import Mixture, Row, load_sources
from tools.pretrain.recipe import Group, Recipe, read_recipe

RECIPE = Recipe(
    {
        "judge": Group(4, {"judge_mnli": 1, "judge_same": 1}, end_weight=0.1),
        "write": Group(4, {"write_mnli": 1}, contrast=0.5, rival_share=0.5, smoothing=0.1),
        "plain": Group(3, {"continue": 1, "denoise": 1}, freeze_encoder=True),
    },
    steps=8,
    decay_from=4,
    warm_up=2,
    pool=4,
    wikipedia_lines=100,
)


@pytest.fixture(scope="module")
def mixture(start: Path, world: Path) -> Mixture:
    """The mixture over the small world."""
    sources = load_sources(world / "data", world / "corpora", CARDS, 100, None)
    return Mixture(sources, Tokenizer.from_file(str(start / "tokenizer.json")))


def load(start: Path) -> BartForConditionalGeneration:
    """A fresh model."""
    return BartForConditionalGeneration.from_pretrained(str(start))


def test_resume_equals_never_having_stopped(start: Path, mixture: Mixture, tmp_path: Path) -> None:
    """Six steps at once, and three and three with a new process' worth of state between."""
    whole = load(start)
    train.run(whole, mixture, RECIPE, tmp_path / "whole", minutes=5, last_step=6)
    for last in (3, 6):
        halves = load(start)
        state = train.run(halves, mixture, RECIPE, tmp_path / "half", minutes=5, last_step=last)
    for (name, one), two in zip(whole.named_parameters(), halves.parameters(), strict=True):
        assert torch.equal(one, two), name
    other = json.loads((tmp_path / "whole" / "step-0000006" / "state.json").read_text())
    for key in ("step", "source_tokens", "target_tokens", "rows"):
        assert state[key] == other[key]
    assert len(checkpoint.checkpoints(tmp_path / "half")) == 2


def test_every_part_moves(start: Path, mixture: Mixture, tmp_path: Path) -> None:
    """After training every tensor that is used has moved."""
    model, before = load(start), load(start)
    train.run(model, mixture, RECIPE, tmp_path, minutes=5, last_step=2)
    same = [
        name
        for (name, new), old in zip(model.named_parameters(), before.parameters(), strict=True)
        if torch.equal(new, old)
    ]
    # A key's bias shifts all scores of a query alike: softmax does not see it.
    assert [name for name in same if not name.endswith("k_proj.bias")] == []


def test_time_is_a_budget(start: Path, mixture: Mixture, tmp_path: Path) -> None:
    """With no minutes left one step is taken and saved."""
    state = train.run(load(start), mixture, RECIPE, tmp_path, minutes=0)
    assert state["step"] == 1
    assert state["wall_minutes"] > 0
    assert [path.name for path in checkpoint.checkpoints(tmp_path)] == ["step-0000001"]


def test_a_frozen_encoder_gets_no_gradient(start: Path) -> None:
    """``freeze_encoder`` leaves the encoder's layers alone."""
    model = load(start)
    found = loss.batch_losses(model, [Row([2, 40, 3], [41, 3])], freeze_encoder=True)
    found.tokens.backward()
    assert model.model.encoder.layers[0].fc1.weight.grad is None
    assert model.model.decoder.layers[0].fc1.weight.grad is not None


def test_the_cut_stops_the_gradient(start: Path) -> None:
    """Below the cut nothing learns from the encoder; above it everything does."""
    model = load(start)
    train.cut_gradient(model, 1)
    loss.batch_losses(model, [Row([2, 40, 3], [41, 3])]).tokens.backward()
    assert model.model.encoder.layers[0].fc1.weight.grad is None
    assert model.model.encoder.layers[1].fc1.weight.grad is not None


def test_losses_against_the_models_own(start: Path) -> None:
    """Token loss equals the library's; the contrast is the soft-plus of the difference."""
    model = load(start).eval()
    row = Row([2, 40, 41, 3], [42, 43, 3], rival=[2, 50, 51, 52, 3])
    longer = Row([2, 44, 45, 46, 47, 3], [48, 3])

    def library(source: list[int], target: list[int]) -> float:
        inputs = torch.tensor([[2, *target[:-1]]])
        with torch.inference_mode():
            logits = model(input_ids=torch.tensor([source]), decoder_input_ids=inputs).logits
        return float(
            torch.nn.functional.cross_entropy(logits[0], torch.tensor(target), reduction="sum")
        )

    found = loss.batch_losses(model, [row, longer], rivals=True)
    mine, other = library(row.source, row.target), library(longer.source, longer.target)
    assert row.rival is not None
    rival = library(row.rival, row.target)
    assert float(found.tokens.detach()) == pytest.approx(mine + other, rel=1e-4)
    assert float(found.contrast.detach()) == pytest.approx(math.log1p(math.exp(mine - rival)), 1e-3)
    assert (found.rivals, found.weight) == (1, 5.0)
    assert (found.source_tokens, found.target_tokens) == (15, 8)


def test_chunks_respect_the_budget() -> None:
    """Sorted by length; a batch's padded size stays within the budget."""
    rows = [Row([1] * n, [1]) for n in (5, 3, 9, 2)]
    sizes = [[len(row.source) for row in batch] for batch in loss.chunks(rows, 10)]
    assert sizes == [[2, 3], [5], [9]]


def test_rate_by_hand() -> None:
    """Warm-up, constant, linear decay, floor."""
    assert [RECIPE.rate(step) for step in (0, 1, 4, 6)] == [0.5, 1.0, 1.0, 0.5]
    assert RECIPE.rate(8) == RECIPE.floor


def test_every_recipe_loads(mixture: Mixture) -> None:
    """The shipped recipes parse and name only kinds there are."""
    paths = sorted((ROOT / "tools" / "pretrain" / "recipes").glob("*.yaml"))
    assert paths
    for path in paths:
        for group in read_recipe(path).groups.values():
            assert set(group.kinds) <= set(mixture.kinds)


def test_export_is_small_and_loads(start: Path, mixture: Mixture, tmp_path: Path) -> None:
    """The exported folder holds bf16 weights of the checkpoint and loads offline."""
    model = load(start)
    train.run(model, mixture, RECIPE, tmp_path / "run", minutes=5, last_step=1)
    size = export(start, tmp_path / "out", tmp_path / "run" / "step-0000001")
    assert size == (tmp_path / "out" / "model.safetensors").stat().st_size
    found = BartForConditionalGeneration.from_pretrained(str(tmp_path / "out"), dtype=torch.float32)
    expected = model.model.decoder.layers[0].fc1.weight.detach().bfloat16().float()
    assert torch.equal(found.model.decoder.layers[0].fc1.weight, expected)
    assert not list((tmp_path / "out").glob(".export-*"))
