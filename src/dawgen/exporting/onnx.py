"""What a run ships as one ONNX graph, from a row's token ids to p(label)."""

from __future__ import annotations

import copy
import logging
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from dawgen.backbone.linear import relax
from dawgen.errors import UserError, first_line
from dawgen.selection.features import joined

if TYPE_CHECKING:
    from dawgen.backbone import Backbone
    from dawgen.selection.parts import HeadPart

FILE = "model.onnx"


class HeadOnEncoder(nn.Module):
    """A linear head on a sentence encoder's vectors of one text, or of two."""

    def __init__(self, encoder: Any, part: HeadPart) -> None:
        super().__init__()
        self.encoder = encoder
        self.weight = nn.Parameter(torch.from_numpy(part.head.weight), requires_grad=False)
        self.bias = nn.Parameter(torch.from_numpy(part.head.bias), requires_grad=False)

    def forward(self, ids1: Tensor, ids2: Tensor | None = None) -> Tensor:
        """Ids [1,T] of each text -> p(label) [C]."""
        u = self._vector(ids1)
        if ids2 is not None:
            u = joined(u, self._vector(ids2))
        return (u @ self.weight + self.bias).softmax(-1)

    def _vector(self, ids: Tensor) -> Tensor:
        states = self.encoder(input_ids=ids, attention_mask=torch.ones_like(ids))
        return nn.functional.normalize(states.last_hidden_state[0].mean(0), dim=0)


class PromptedModel(nn.Module):
    """A language model behind a soft prompt [P,H], which compares label words."""

    def __init__(
        self, model: Any, prompt: Tensor, words: Sequence[Sequence[int]], start: Sequence[int]
    ) -> None:
        """
        Args:
            words: token ids of C label words.
            start: what a decoder reads first; nothing of a causal model.
        """
        super().__init__()
        self.model, self.start, self.words = model, list(start), words
        self.prompt = nn.Parameter(prompt.float(), requires_grad=False)
        longest = max(map(len, words))
        self.padded = [[*word, *[word[-1]] * (longest - len(word))] for word in words]

    def forward(self, ids1: Tensor) -> Tensor:
        """Ids [1,T] of a row -> p(label) [C]."""
        text = self.model.get_input_embeddings()(ids1)
        vectors = torch.cat([self.prompt[None].to(text.dtype), text], dim=1)
        words = torch.tensor(self.padded)  # [C,L]
        logits = self._decoded(vectors, words) if self.start else self._read(vectors, words)
        if words.shape[1] == 1:
            return logits[0, 0, words[:, 0]].softmax(-1)
        log_probs = logits.log_softmax(-1).gather(-1, words[..., None])[..., 0]
        lengths = torch.tensor([[len(word)] for word in self.words])
        real = torch.arange(words.shape[1])[None] < lengths
        return (log_probs * real).sum(-1).softmax(-1)

    def _decoded(self, vectors: Tensor, words: Tensor) -> Tensor:
        """Logits [C,L,V] of an encoder-decoder model; [1,1,V] for single tokens."""
        start = torch.tensor([self.start])
        if words.shape[1] > 1:
            start = torch.cat([start.expand(len(words), -1), words[:, :-1]], dim=1)
        mask = torch.ones(vectors.shape[:2], dtype=torch.long)
        encoder = self.model.get_encoder()
        states = encoder(inputs_embeds=vectors, attention_mask=mask).last_hidden_state
        out = self.model(
            encoder_outputs=(states.expand(len(start), -1, -1),),
            attention_mask=mask.expand(len(start), -1),
            decoder_input_ids=start,
            use_cache=False,
        )
        return out.logits[:, len(self.start) - 1 :].float()

    def _read(self, vectors: Tensor, words: Tensor) -> Tensor:
        """The same of a causal model."""
        before = vectors.shape[1] - 1
        if words.shape[1] > 1:
            answers = self.model.get_input_embeddings()(words[:, :-1])
            vectors = torch.cat([vectors.expand(len(words), -1, -1), answers], dim=1)
        mask = torch.ones(vectors.shape[:2], dtype=torch.long)
        out = self.model(inputs_embeds=vectors, attention_mask=mask, use_cache=False)
        return out.logits[:, before:].float()


def write_head(folder: Path, model: Any, part: HeadPart, *, is_pair: bool) -> None:
    """Write ``model.onnx`` of a linear head on sentence embeddings; raises as :func:`_write`.

    Args:
        model: an encoder of its own, which is changed.
    """
    model = model.cpu()
    model.set_attn_implementation("eager")
    _write(folder, HeadOnEncoder(model, part), texts=2 if is_pair else 1)


def write_prompted(
    folder: Path, backbone: Backbone, prompt: Tensor, words: Sequence[Sequence[int]]
) -> None:
    """Write ``model.onnx`` of the backbone behind a prompt; raises as :func:`_write`."""
    model: Any = copy.deepcopy(backbone.model).cpu().float()
    relax(model)
    model.set_attn_implementation("eager")
    start = backbone.decoder_start if backbone.is_encoder_decoder else []
    _write(folder, PromptedModel(model, prompt.cpu(), words, start), texts=1)


def _write(folder: Path, model: nn.Module, texts: int) -> None:
    """
    Raises:
        UserError: packages are missing, or PyTorch cannot export the model.
    """
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    except ModuleNotFoundError as error:
        raise UserError(
            f"--to onnx needs {error.name}; install it with: pip install 'dawgen[onnx]'."
        ) from None
    tokens = [{1: torch.export.Dim.DYNAMIC} for _ in range(texts)]
    example = tuple(torch.arange(5, 12 + n)[None] for n in range(texts))
    logging.disable(logging.WARNING)  # of operators that no model here has
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                model.eval(),
                example,
                str(folder / FILE),
                input_names=[f"ids{n + 1}" for n in range(texts)],
                output_names=["probabilities"],
                dynamic_shapes=tokens,
                dynamo=True,
                external_data=False,
                verbose=False,
            )
    except Exception as error:  # an exporter may fail in any of a foreign model's lines
        raise UserError(
            f"PyTorch cannot export this model to ONNX: {first_line(error)}; take --to hf."
        ) from None
    finally:
        logging.disable(logging.NOTSET)
