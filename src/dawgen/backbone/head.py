"""The language-model head, for chosen words only or for the whole vocabulary."""

from __future__ import annotations

from torch import Tensor
from transformers import PreTrainedModel

from dawgen.backbone.readout import Readout, log_probs
from dawgen.backbone.text import plain_config

_SCALED_WHERE_TIED = ("umt5", "switch_transformers")
"""Kinds of model that scale the decoder's output where its tables are tied, without saying so."""


class Head:
    """Logits from last hidden states, computed for just the tokens that are asked for.

    Knows the ways of scaling that seq2seq and causal models use: T5's scaled decoder output,
    BART's bias, logit scales and soft-capping.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        config = plain_config(model.config)
        layer = model.get_output_embeddings()
        self.weight: Tensor = layer.weight
        bias = getattr(layer, "bias", None)
        final = getattr(model, "final_logits_bias", None)
        self.bias: Tensor | None = final[0] if final is not None else bias
        scale = 1.0
        tied = config.model_type in _SCALED_WHERE_TIED and config.tie_word_embeddings
        if tied or getattr(config, "scale_decoder_outputs", False):
            scale *= config.d_model**-0.5
        scale *= getattr(config, "logit_scale", None) or 1.0
        scale /= getattr(config, "logits_scaling", None) or 1.0
        self.scale = scale
        self.cap: float | None = getattr(config, "final_logit_softcapping", None)

    def logits(self, hidden: Tensor, ids: Tensor | None = None) -> Tensor:
        """hidden [...,H] -> fp32 logits [...,N] of the tokens ``ids`` [N] (all V without).

        Those of chosen tokens are computed in fp32 too: bf16 has eight bits, which rounds a
        logit of 20 to the next eighth and makes different rows' label scores the same.
        """
        if ids is None:
            return Readout(self.weight, self.bias, self.scale, self.cap).logits(hidden)
        bias = None if self.bias is None else self.bias[ids].float()
        chosen = Readout(self.weight[ids].float(), bias, self.scale, self.cap)
        return chosen.logits(hidden.float())

    def log_probs(self, hidden: Tensor, targets: Tensor) -> Tensor:
        """hidden [N,H], targets [N] -> log p(target) [N] over the whole vocabulary."""
        return log_probs(Readout(self.weight, self.bias, self.scale, self.cap), hidden, targets)
