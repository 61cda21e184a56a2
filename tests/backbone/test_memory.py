"""Calls that memory does not hold: cut until they fit, the outcome as if they had."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from dawgen.backbone import Backbone, load_backbone, memory
from dawgen.backbone.calls import CallLimits
from dawgen.backbone.memory import (
    is_out_of_memory,
    memory_trouble,
    most_tokens,
    run_calls,
)
from dawgen.backbone.shape import shape_of
from dawgen.errors import UserError
from dawgen.evaluation.predict import label_probabilities
from dawgen.settings import BackboneSettings
from dawgen.synthesis.scoring import log_likelihoods
from dawgen.tuning.combine import Draw
from dawgen.tuning.develop import dev_scores
from dawgen.tuning.gradients import Gradients, both_gradients
from dawgen.tuning.rows import EncodedRows, encode, join
from tests.invariants.jobs import dawgen
from tests.tuning.toy import toy_card, toy_rows

MOST = 10**6
CPU = "[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory: 8 bytes"


@pytest.fixture
def backbone(tiny_bart: Backbone, monkeypatch: pytest.MonkeyPatch) -> Backbone:
    monkeypatch.setattr(tiny_bart, "limits", CallLimits())
    monkeypatch.setattr("dawgen.backbone.memory.call_cost", lambda _device: 10**6)
    return tiny_bart


@pytest.fixture
def holds(backbone: Backbone, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[int]]:
    """Give the backbone memory for so many rows a call; what it was asked for is listed."""

    def limit(most: int, error: Callable[[], Exception] = lambda: RuntimeError(CPU)) -> list[int]:
        asked: list[int] = []
        inner = backbone.label_hidden

        def limited(prompts, inputs, perturbation=None):  # type: ignore[no-untyped-def]
            asked.append(len(inputs))
            hidden = inner(prompts, inputs, perturbation)
            if len(inputs) > most:
                raise error()
            return hidden

        monkeypatch.setattr(backbone, "label_hidden", limited)
        return asked

    return limit


def gradients(backbone: Backbone) -> Gradients:
    card = toy_card()
    real, synthetic = (encode(card, toy_rows(8, seed), backbone, 4) for seed in (0, 1))
    draws = [Draw([0, 3, 5], [1, 2, 4, 7], 1.0, 0.5), Draw([2], [0, 6], 1.0, 0.5)]
    rows = join(draws, [real] * 2, [synthetic] * 2, [0.1, 0.0])
    prompts = torch.randn(2, 4, backbone.hidden_size, generator=torch.Generator().manual_seed(1))
    return both_gradients(prompts, rows, backbone.label_word_ids(card), backbone, MOST)


ERRORS = [lambda: RuntimeError(CPU), lambda: torch.OutOfMemoryError("CUDA out of memory.")]


@pytest.mark.parametrize("error", ERRORS)
def test_gradients_in_parts_are_those_of_the_whole(backbone, holds, error, capsys):
    whole = gradients(backbone)
    asked = holds(3, error)
    parts = gradients(backbone)
    assert asked[:3] == [10, 5, 3]  # whole, half, half of it, which fits
    assert max(asked[2:]) == 3
    assert sum(asked[2:]) == 10
    for one, other in zip(whole, parts, strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-5)
    asked.clear()
    gradients(backbone)
    assert max(asked) <= 3  # what worked is remembered
    assert capsys.readouterr().err.count("memory was too small for a call of") == 1


def test_an_attempt_that_fails_after_its_first_gradients_leaves_none(backbone, monkeypatch):
    whole = gradients(backbone)
    inner, tries = torch.autograd.grad, []

    def late(*arguments, **named):  # type: ignore[no-untyped-def]
        found = inner(*arguments, **named)
        tries.append(1)
        if len(tries) == 1:
            raise RuntimeError(CPU)
        return found

    monkeypatch.setattr(torch.autograd, "grad", late)
    for one, other in zip(whole, gradients(backbone), strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-5)
    assert len(tries) == 3
    assert all(weight.grad is None for weight in backbone.model.parameters())


def test_development_and_prediction_in_parts_are_those_of_the_whole(backbone, holds):
    card, words = toy_card(), backbone.label_word_ids(toy_card())
    rows = encode(card, toy_rows(9, 3), backbone, 4)
    prompt = torch.randn(4, backbone.hidden_size, generator=torch.Generator().manual_seed(2))

    def both() -> tuple[float, np.ndarray]:
        (score,) = dev_scores(prompt[None], [rows], words, backbone, MOST)
        return score.loss, label_probabilities(backbone, rows.ids, words, prompt, MOST)

    whole = both()
    asked = holds(2)
    parts = both()
    assert asked[0] == 9
    assert sum(n for n in asked if n <= 2) == 18
    assert parts[0] == pytest.approx(whole[0], rel=1e-5)
    np.testing.assert_allclose(parts[1], whole[1], atol=1e-6)


def test_texts_scored_in_parts_are_those_of_the_whole(backbone, monkeypatch):
    prompts = torch.randn(2, 4, 32, generator=torch.Generator().manual_seed(3))
    texts = [("a man", "a dog runs"), ("", "a cat"), ("a man", "no"), ("the park", "it is good")]
    whole = log_likelihoods(backbone, prompts, texts)
    inner, asked = backbone.token_log_probs, []

    def limited(prompts, sources, targets, source_of=None):  # type: ignore[no-untyped-def]
        asked.append(len(targets))
        if len(targets) > 2:  # two labels a text
            raise RuntimeError(CPU)
        return inner(prompts, sources, targets, source_of)

    monkeypatch.setattr(backbone, "token_log_probs", limited)
    torch.testing.assert_close(log_likelihoods(backbone, prompts, texts), whole)
    assert asked[0] == 8


def test_one_row_that_does_not_fit_is_for_the_user_to_mend(backbone, holds):
    holds(0)
    with pytest.raises(UserError, match=r"one row of \d+ .* \(128\), set backbone.checkpointing"):
        gradients(backbone)


def test_other_errors_are_not_taken_for_a_lack_of_memory(backbone, holds):
    asked = holds(0, lambda: RuntimeError("shapes differ"))
    with pytest.raises(RuntimeError, match="shapes differ"):
        gradients(backbone)
    assert len(asked) == 1
    assert not is_out_of_memory(ValueError(CPU))


def test_rows_of_each_call_are_done_once_and_in_order(backbone):
    done: list[list[int]] = []

    def work(rows: list[int]) -> None:
        if len(rows) > 2:
            raise MemoryError
        done.append(rows)

    run_calls(backbone, [[4, 2, 0], [1], [3, 5, 6, 7]], [1] * 8, work)
    assert done == [[4, 2], [0], [1], [3, 5], [6, 7]]


class TestBound:
    @pytest.fixture
    def free(self, monkeypatch: pytest.MonkeyPatch) -> dict[str, int | None]:
        found: dict[str, int | None] = {"bytes": None}
        monkeypatch.setattr(memory, "free_bytes", lambda _device: found["bytes"])
        return found

    def test_a_power_of_two_below_what_is_free_and_only_where_that_is_less(
        self, backbone, free, capsys
    ):
        token = shape_of(backbone).held_bytes(graph=True)
        free["bytes"] = int(700 * token / 0.8) + 1
        assert most_tokens(backbone, 600) == 512
        assert "free memory holds about 700 tokens a call instead of 600" in capsys.readouterr().err
        assert most_tokens(backbone, 100) == 100
        free["bytes"] = 10**12
        assert most_tokens(backbone, 600) == 512  # taken once: cutting stays what it was
        with torch.no_grad():  # two layers, one at a time
            backbone.limits.tokens.clear()
            free["bytes"] = int(700 * token / 0.8) + 1
            assert most_tokens(backbone, 10_000) == 1024

    def test_plenty_or_unknown_memory_changes_nothing(self, backbone, free, capsys):
        for amount in (10**12, None):
            backbone.limits.tokens.clear()
            free["bytes"] = amount
            assert most_tokens(backbone, 600) == 600
        assert capsys.readouterr().err == ""

    def test_no_memory_at_all_leaves_row_after_row(self, backbone, free):
        free["bytes"] = 0
        assert most_tokens(backbone, 600) == 1


def test_a_copy_has_limits_of_its_own(backbone):
    other = Backbone(
        copy.deepcopy(backbone.model), backbone.tokenizer, name="copy", fingerprint="copy"
    )
    other.limits.tokens[True] = 1
    assert backbone.limits.tokens == {}


def test_what_a_token_takes_is_no_less_than_what_its_graph_keeps():
    backbone = load_backbone(BackboneSettings())
    prompts = torch.zeros(4, 20, backbone.hidden_size, requires_grad=True)
    weights = {p.untyped_storage().data_ptr() for p in backbone.model.parameters()}
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        hidden = backbone.label_hidden(prompts, [[5] * 80] * 4)
    assert hidden.requires_grad
    assert 1.0 < shape_of(backbone).held_bytes(graph=True) / (sum(kept.values()) / 400) < 3.0


def test_the_command_line_says_it_in_one_sentence(tmp_path: Path, monkeypatch):
    def never(self, *arguments):  # type: ignore[no-untyped-def]
        raise RuntimeError(CPU)

    monkeypatch.setattr(Backbone, "_decode", never)
    monkeypatch.setattr("dawgen.backbone.load.check_head", lambda _backbone: None)
    monkeypatch.setattr(memory, "fitting_tokens", lambda *_: None)
    out = ["--out", tmp_path / "scores"]
    outcome = dawgen("evaluate", "demo", "--method", "zero-shot", *out)
    assert outcome.code == 2
    last = outcome.err.splitlines()[-1]
    assert last.startswith("dawgen: Memory is too small for one row of")
    assert last.endswith(f"PyTorch said: {CPU}.")


@pytest.mark.parametrize("error", [*ERRORS, MemoryError])
def test_a_step_that_cannot_be_cut_says_it_too(tmp_path: Path, monkeypatch, error):
    """The generator's step; another error of PyTorch is ours and comes with its traceback."""

    def never(*arguments, **named):  # type: ignore[no-untyped-def]
        raise error()

    monkeypatch.setattr("dawgen.pipeline.stages.fit_generator", never)
    outcome = dawgen("fit-generator", "demo", "--out", tmp_path / "run")
    assert outcome.code == 2
    last = outcome.err.splitlines()[-1]
    assert last.startswith("dawgen: Memory is too small for this step; lower its batch_size")
    assert last.endswith(f"PyTorch said: {str(error()).rstrip('.') or 'MemoryError'}.")
    assert not (tmp_path / "run" / "generator").exists()
    assert memory_trouble(RuntimeError("shapes do not match")) is None


def test_rows_without_words_in_common_keep_their_places(backbone, holds):
    """A part of a cut call goes to its rows' own places."""
    words = backbone.label_word_ids(toy_card())
    rows = EncodedRows([[5], [6, 7], [8, 9, 10]], torch.eye(2)[[0, 1, 0]])
    alone = [label_probabilities(backbone, [ids], words)[0] for ids in rows.ids]
    holds(1)
    np.testing.assert_allclose(label_probabilities(backbone, rows.ids, words), alone, atol=1e-6)
