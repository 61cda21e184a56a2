"""Label words of several tokens: read behind a row that is read once, scored as each on its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from dawgen.backbone import Backbone, load_backbone
from dawgen.backbone.recompute import recompute
from dawgen.backbone.words import beginnings_to_read
from dawgen.settings import BackboneSettings
from tests.backbone.test_kinds import BART, LLAMA, WORKS, write_model

KINDS: dict[str, dict[str, Any]] = {
    **{kind: sizes for kind, sizes in WORKS.items() if "encoder_layers" not in sizes},
    "Bart": BART,
    "Bloom": {"hidden_size": 32, "n_layer": 2, "n_head": 2},  # places by distance alone
    "Mpt": {"d_model": 32, "n_layers": 2, "n_heads": 2, "max_seq_len": 64},
    "Gemma3Text": LLAMA | {"sliding_window": 8},
}
WORDS = [[5], [6, 7, 8], [6, 7, 9], [6, 9], [10, 5, 6, 5], [8, 8]]
ROWS = [[11, 12], [5, 9, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22], [30, 31, 8]]


def plain(backbone: Backbone, prompts: torch.Tensor | None) -> torch.Tensor:
    """Each row with each word alone, as texts are scored."""
    if prompts is None:
        prompts = torch.zeros(len(ROWS), 0, backbone.hidden_size)
    scores = [
        backbone.token_log_probs(prompt[None], [row], [word]).log_probs.sum()
        for prompt, row in zip(prompts, ROWS, strict=True)
        for word in WORDS
    ]
    return torch.stack(scores).view(len(ROWS), len(WORDS))


def loaded(kind: str, folder: Path) -> Backbone:
    write_model(folder, kind, KINDS[kind])
    return load_backbone(BackboneSettings(path=str(folder), dtype="fp32"))


def drawn(backbone: Backbone) -> torch.Tensor:
    stream = torch.Generator().manual_seed(0)
    return 0.2 * torch.randn(len(ROWS), 4, backbone.hidden_size, generator=stream)


@pytest.mark.parametrize("kind", KINDS)
def test_scores_and_gradients_are_those_of_each_word_alone(kind: str, tmp_path: Path) -> None:
    backbone = loaded(kind, tmp_path)
    prompts = drawn(backbone).requires_grad_()
    expected = plain(backbone, prompts)
    found = backbone.label_scores(prompts, ROWS, WORDS)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    weights = torch.randn(expected.shape, generator=torch.Generator().manual_seed(1))
    (wanted,) = torch.autograd.grad((expected * weights).sum(), prompts)
    (gradient,) = torch.autograd.grad((found * weights).sum(), prompts)
    assert (gradient - wanted).abs().max() <= 1e-4 * wanted.abs().max()
    with torch.no_grad():
        bare = backbone.label_scores(None, ROWS, WORDS)
    torch.testing.assert_close(bare, plain(backbone, None), atol=1e-5, rtol=1e-5)


def test_a_row_is_read_once(tiny_gpt2: Backbone, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then [10,5,6], [6,7] and [8] behind it; [6] is read with [6,7]."""
    tokens, inner = [], tiny_gpt2.model.base_model.forward

    def forward(**given: Any) -> Any:
        tokens.append(given["inputs_embeds"].shape[1])
        return inner(**given)

    monkeypatch.setattr(tiny_gpt2.model.base_model, "forward", forward)
    with torch.no_grad():
        tiny_gpt2.label_scores(None, ROWS, WORDS)
    assert sorted(tokens) == [1, 2, 3, max(len(row) for row in ROWS)]


def test_recomputed_layers_do_not_keep_a_row_twice(tmp_path: Path) -> None:
    backbone = loaded("Llama", tmp_path)
    prompts = drawn(backbone).requires_grad_()
    scores = backbone.label_scores(prompts, ROWS, WORDS)
    (kept,) = torch.autograd.grad(scores.sum(), prompts)
    recompute(backbone.model, "llama")
    again = backbone.label_scores(prompts, ROWS, WORDS)
    (gradient,) = torch.autograd.grad(again.sum(), prompts)
    torch.testing.assert_close(again, scores, atol=1e-5, rtol=1e-5)
    assert (gradient - kept).abs().max() <= 1e-4 * kept.abs().max()


def test_beginnings_that_start_others_are_not_read_apart() -> None:
    assert beginnings_to_read(WORDS) == [(10, 5, 6), (6, 7), (8,)]
    assert beginnings_to_read([[1], [2]]) == [()]
