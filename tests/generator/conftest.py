"""Small models for the meta-step's tests, called through plain transformers, in fp32 or fp64."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn
from transformers import (
    BartConfig,
    BartForConditionalGeneration,
    GPT2Config,
    GPT2LMHeadModel,
    PreTrainedModel,
    T5Config,
    T5ForConditionalGeneration,
)
from transformers.models.t5.modeling_t5 import T5LayerNorm

from tests.conftest import causal_config, causal_model

C, B, P, T, H, V = 3, 6, 3, 5, 16, 24


@dataclass
class Problem:
    """A batch and a model: all that the meta-step needs.

    ``score(prompts [B',P,H], index [B'])`` gives log-probabilities [B',T] and hidden states
    [B',T,H] of the batch's examples ``index`` under the prompts.
    """

    score: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
    prompts: Tensor  # [C,P,H]
    labels: Tensor  # [B]
    mask: Tensor  # [B,T]
    weights: Tensor  # [B,T], mean 1 over the mask

    def token_losses(self, prompts: Tensor) -> Tensor:
        """ℓ [B,T] under each example's own label's prompt."""
        return -self.score(prompts[self.labels], torch.arange(B))[0]

    def every_label(self, prompts: Tensor) -> tuple[Tensor, Tensor]:
        """Log-probabilities [C,B,T] under all prompts, hidden states [B,T,H] under the own."""
        log_probs, hidden = self.score(prompts.repeat_interleave(B, 0), torch.arange(B).repeat(C))
        own = hidden.view(C, B, T, -1)[self.labels, torch.arange(B)]
        return log_probs.view(C, B, T), own


def _batch(dtype: torch.dtype, scale: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    rng = torch.Generator().manual_seed(7)
    prompts = scale * torch.randn(C, P, H, generator=rng, dtype=torch.float64)
    labels = torch.tensor([0, 1, 2, 0, 1, 2])
    mask = torch.ones(B, T, dtype=torch.bool)
    mask[1, 4:] = mask[3, 3:] = False
    weights = torch.rand(B, T, generator=rng, dtype=torch.float64) + 0.2
    weights = weights * mask / (weights * mask).sum() * mask.sum()
    return prompts.to(dtype), labels, mask, weights.to(dtype)


def smooth_problem(dtype: torch.dtype) -> Problem:
    """A transparent model: logits are linear in tanh of the prompt's mean plus the position."""
    rng = torch.Generator().manual_seed(3)
    head = torch.randn(V, H, generator=rng, dtype=torch.float64).to(dtype)
    places = torch.randn(B, T, H, generator=rng, dtype=torch.float64).to(dtype)
    targets = torch.randint(V, (B, T), generator=rng)
    prompts, labels, mask, weights = _batch(dtype, 1.0)

    def score(prompts: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
        hidden = torch.tanh(prompts.mean(1, keepdim=True) + places[index])
        log_probs = (hidden @ head.T).log_softmax(-1)
        return log_probs.gather(-1, targets[index][..., None])[..., 0], hidden

    return Problem(score, prompts, labels, mask, weights)


def _model(shape: str) -> PreTrainedModel:
    if shape in CAUSAL_SHAPES:
        config = causal_config(shape, V, hidden_size=H, attn_implementation="eager")
        model: PreTrainedModel = causal_model(config)
        return model
    torch.manual_seed(0)
    ids = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    if shape == "gpt2":
        gpt2 = GPT2Config(
            vocab_size=V, n_embd=H, n_layer=2, n_head=2, n_positions=32, initializer_range=0.2,
            attn_implementation="eager", **ids,
        )  # fmt: skip
        return GPT2LMHeadModel(gpt2)
    if shape == "bart":
        bart = BartConfig(
            vocab_size=V, d_model=H, encoder_layers=2, decoder_layers=2, encoder_attention_heads=2,
            decoder_attention_heads=2, encoder_ffn_dim=32, decoder_ffn_dim=32, init_std=0.15,
            max_position_embeddings=32, decoder_start_token_id=2, forced_eos_token_id=None,
            attn_implementation="eager", **ids,
        )  # fmt: skip
        return BartForConditionalGeneration(bart)
    t5 = T5Config(
        vocab_size=V, d_model=H, d_kv=8, d_ff=32, num_layers=2, num_heads=2, dropout_rate=0.0,
        feed_forward_proj="gated-gelu", tie_word_embeddings=False, decoder_start_token_id=0,
        attn_implementation="eager", **ids,
    )  # fmt: skip
    model = T5ForConditionalGeneration(t5)
    _replace_t5_norms(model)
    return model


def _replace_t5_norms(module: nn.Module) -> None:
    """T5LayerNorm is an RMS norm that takes its mean square in fp32 whatever the model's dtype,
    which buries a finite difference in fp64; this is the same norm in the model's own."""
    for name, child in module.named_children():
        if isinstance(child, T5LayerNorm):
            norm = nn.RMSNorm(H, eps=child.variance_epsilon)
            norm.weight = child.weight
            setattr(module, name, norm)
        else:
            _replace_t5_norms(child)


def transformer_problem(shape: str, dtype: torch.dtype) -> Problem:
    """A random model of the given shape ("gpt2", "llama"...), 2 layers, 16 units."""
    model = _model(shape).eval().requires_grad_(False).to(dtype)
    rng = torch.Generator().manual_seed(5)
    sources = torch.randint(3, V, (B, 4), generator=rng)
    targets = torch.randint(3, V, (B, T), generator=rng)
    prompts, labels, mask, weights = _batch(dtype, 2.0 if shape == "t5" else 1.0)
    embed = model.get_input_embeddings()

    def score(prompts: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
        read = torch.cat([prompts, embed(sources[index])], 1)
        goal = targets[index]
        if model.config.is_encoder_decoder:
            start = torch.full_like(goal[:, :1], model.config.decoder_start_token_id)
            out = model(
                inputs_embeds=read,
                decoder_input_ids=torch.cat([start, goal], 1),
                output_hidden_states=True,
                use_cache=False,
            )
            logits, hidden = out.logits, out.decoder_hidden_states[-1]
        else:
            whole = torch.cat([read, embed(goal)], 1)
            out = model(inputs_embeds=whole, output_hidden_states=True, use_cache=False)
            at = read.shape[1] - 1
            logits, hidden = out.logits[:, at:], out.hidden_states[-1][:, at:]
        log_probs = logits[:, :-1].log_softmax(-1).gather(-1, goal[..., None])[..., 0]
        return log_probs, hidden[:, 1:]

    return Problem(score, prompts, labels, mask, weights)


SHAPES = ("gpt2", "bart", "t5")
CAUSAL_SHAPES = ("llama", "gemma", "qwen")
"""Models whose norms and attention compute in fp32 whatever the model's dtype: not for fp64."""


@pytest.fixture(params=("smooth", *SHAPES))
def problem_of(request: pytest.FixtureRequest) -> Callable[[torch.dtype], Problem]:
    """``problem_of(dtype)``: each model in turn."""
    if request.param == "smooth":
        return smooth_problem
    return lambda dtype: transformer_problem(request.param, dtype)


@pytest.fixture(params=("smooth", *SHAPES, *CAUSAL_SHAPES))
def fp32_problem(request: pytest.FixtureRequest) -> Problem:
    """Each model in turn, in fp32."""
    if request.param == "smooth":
        return smooth_problem(torch.float32)
    return transformer_problem(request.param, torch.float32)
