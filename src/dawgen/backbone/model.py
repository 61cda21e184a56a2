"""A frozen language model behind one small interface, sequence-to-sequence or causal.

Soft prompts enter as vectors before the input's own embeddings (on the encoder side for
sequence-to-sequence models), so nothing of a model's caches or layers is touched.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from transformers.modeling_outputs import BaseModelOutput

from dawgen.backbone import packed
from dawgen.backbone.calls import CallLimits, call_cost, pieces, runs, tokens_at_once
from dawgen.backbone.head import Head
from dawgen.backbone.inputs import pad_right
from dawgen.backbone.linear import quicken
from dawgen.backbone.packed import Prompts, SharedPrompts, shared
from dawgen.backbone.recompute import kept
from dawgen.backbone.text import BackboneText
from dawgen.backbone.threads import differentiable, jobs_at_once
from dawgen.backbone.watch import Watch
from dawgen.backbone.words import Read, beginnings_to_read, behind_rows, word_log_probs


@dataclass(frozen=True)
class TokenScores:
    """What the generator makes of given texts.

    Attributes:
        log_probs: [B,T] log p(x_t | x_<t), fp32, 0 where there is no token.
        mask: [B,T] True where a token is; the end mark is one.
        hidden: [B,T,H] last hidden state after reading x_t, fp32; 0 where there is no token.
    """

    log_probs: Tensor
    mask: Tensor
    hidden: Tensor


@dataclass(frozen=True)
class _States:
    """A causal model's last hidden states, however its tokens lie.

    Attributes:
        hidden: [M,H], of all tokens.
        first: [B] where each row's first token is.
        prompt: [B] where the prompt that it reads begins; P tokens long.
        length: P.
    """

    hidden: Tensor
    first: Tensor
    prompt: Tensor
    length: int

    def at(self, positions: Tensor) -> Tensor:
        """Of rows' positions [B,n] from the prompt's first token on: [B,n,H]."""
        behind = positions - self.length
        own, soft = self.first[:, None] + behind, self.prompt[:, None] + positions
        return self.hidden[torch.where(behind < 0, soft, own)]


def _joined(parts: Sequence[TokenScores], rows: Sequence[Sequence[int]]) -> TokenScores:
    """Scores of pieces as those of all rows in order; ``rows`` are each piece's places."""
    width = max(part.mask.shape[1] for part in parts)
    missing = [width - part.mask.shape[1] for part in parts]
    order = torch.tensor([row for piece in rows for row in piece]).argsort()
    order = order.to(parts[0].mask.device)

    def join(tensors: Iterable[Tensor], after: int) -> Tensor:
        padded = [pad(t, (0, 0) * after + (0, n)) for t, n in zip(tensors, missing, strict=True)]
        return torch.cat(padded).index_select(0, order)

    return TokenScores(
        join((part.log_probs for part in parts), 0),
        join((part.mask for part in parts), 0),
        join((part.hidden for part in parts), 1),
    )


class Backbone(BackboneText):
    """A frozen model with its tokenizer. Build one with :func:`load_backbone`."""

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        *,
        name: str,
        fingerprint: str,
        max_length: int = 512,
    ) -> None:
        self.model = model.eval().requires_grad_(False)
        quicken(self.model)
        packed.prepare(self.model)
        super().__init__(model.config, tokenizer, name=name, max_length=max_length)
        self.fingerprint = fingerprint
        self.quantization: str | None = None  # that the weights had before, such as Q4_1
        self.head = Head(model)
        self.limits = CallLimits()

    # --- what it is -----------------------------------------------------------------

    @property
    def device(self) -> torch.device:
        """Where the model lies."""
        return self.model.device

    @property
    def dtype(self) -> torch.dtype:
        """Number format of the weights."""
        return self.model.dtype

    @property
    def hidden_size(self) -> int:
        """H, the width of the input embeddings."""
        return int(self.table().shape[1])

    @property
    def is_packed(self) -> bool:
        """Whether rows are read end to end, see :mod:`dawgen.backbone.packed`."""
        return packed.packs(self.model)

    def table(self) -> Tensor:
        """The frozen input embedding table [V,H]."""
        weight: Tensor = self.model.get_input_embeddings().weight
        return weight

    def ordinary_token_ids(self) -> list[int]:
        """Ids of real words and pieces: no specials, no padding rows of the table.

        Tokens that a tokenizer lists as added are words too, where they are not special: Gemma's
        runs of line breaks.
        """
        special = {*self.tokenizer.all_special_ids, *self.texts.special.values()}
        size = min(len(self.tokenizer), self.table().shape[0])
        return [i for i in range(size) if i not in special]

    def line_break_ids(self) -> list[int]:
        """Ids of the ordinary tokens that have a line break in them."""
        ids = self.ordinary_token_ids()
        texts = self.texts.raw.decode_batch([[i] for i in ids], skip_special_tokens=False)
        return [i for i, text in zip(ids, texts, strict=True) if "\n" in text]

    @cached_property
    def embedding_scale(self) -> float:
        """Root mean square of the entries of the model's word vectors, as it embeds them.

        Of 4,096 rows of the table at most, spread evenly over it.
        """
        rows = len(self.table())
        ids = torch.arange(0, rows, max(1, rows // 4096), device=self.device)
        with torch.no_grad():
            return float(self.embed(ids).float().square().mean().sqrt())

    def rate_unit(self, unit: str) -> float:
        """What a prompt's learning rate in this unit is multiplied by."""
        return self.embedding_scale if unit == "embedding" else 1.0

    def embed(self, ids: Tensor) -> Tensor:
        """ids [...] -> vectors [...,H] as the model itself embeds them."""
        vectors: Tensor = self.model.get_input_embeddings()(ids)
        return vectors

    @contextmanager
    def eager_attention(self) -> Iterator[None]:
        """Run attention as plain products, which alone have a second derivative; so have those
        of :mod:`dawgen.backbone.packed`.

        Activations are kept meanwhile: the graph of a gradient does that in any case.
        """
        if self.is_packed:
            with kept(self.model):
                yield
            return
        before = self.model.config._attn_implementation
        self.model.set_attn_implementation("eager")
        try:
            with kept(self.model):
                yield
        finally:
            self.model.set_attn_implementation(before)

    # --- the model ------------------------------------------------------------------

    def _with_prompts(
        self,
        prompts: Prompts,
        rows: Sequence[Sequence[int]],
        device: torch.device,
        perturbation: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """[prompt ; embedded row + perturbation] -> vectors [B,P+T,H] and mask [B,P+T]."""
        padded = pad_right(rows, device)
        vectors = self.embed(padded.ids)
        if perturbation is not None:
            vectors = vectors + perturbation.to(device, vectors.dtype) * padded.mask[..., None]
        if prompts is None:
            return vectors, padded.mask
        prompts = prompts.each() if isinstance(prompts, SharedPrompts) else prompts
        soft = torch.ones(prompts.shape[:2], dtype=torch.bool, device=device)
        joined = torch.cat([prompts.to(device, vectors.dtype), vectors], dim=1)
        return joined, torch.cat([soft, padded.mask], dim=1)

    def _encode(
        self,
        prompts: Prompts,
        rows: Sequence[Sequence[int]],
        perturbation: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Encoder states [B,P+T,H] and their mask [B,P+T]."""
        vectors, mask = self._with_prompts(prompts, rows, self.device, perturbation)
        encoder: Any = self.model.get_encoder()
        out = encoder(inputs_embeds=vectors, attention_mask=mask.long(), return_dict=True)
        return out.last_hidden_state, mask

    def _decode(self, states: Tensor, mask: Tensor, ids: Tensor, id_mask: Tensor) -> Tensor:
        """Decoder's last hidden states [B,T,H] for input ids [B,T]."""
        decoder: Any = self.model.get_decoder()
        out = decoder(
            input_ids=ids,
            attention_mask=id_mask.long(),
            encoder_hidden_states=states,
            encoder_attention_mask=mask.long(),
            use_cache=False,
            return_dict=True,
        )
        hidden: Tensor = out.last_hidden_state
        return hidden

    def _read(
        self,
        prompts: Prompts,
        rows: Sequence[Sequence[int]],
        perturbation: Tensor | None = None,
    ) -> _States:
        """A causal model's last hidden states."""
        if self.is_packed and all(rows):  # a row without tokens has no place among them
            soft = None if prompts is None else shared(prompts)
            return self._read_packed(soft, rows, perturbation)
        vectors, mask = self._with_prompts(prompts, rows, self.device, perturbation)
        out = self.model.base_model(
            inputs_embeds=vectors, attention_mask=mask.long(), use_cache=False, return_dict=True
        )
        length = 0 if prompts is None else prompts.shape[1]
        begin = torch.arange(len(rows), device=self.device) * vectors.shape[1]
        return _States(out.last_hidden_state.flatten(0, 1), begin + length, begin, length)

    def _read_packed(
        self,
        prompts: SharedPrompts | None,
        rows: Sequence[Sequence[int]],
        perturbation: Tensor | None,
    ) -> _States:
        prompts = None if prompts is None else prompts.used()
        layout = packed.Layout([len(row) for row in rows], prompts)
        vectors = self.embed(torch.tensor([token for row in layout.order for token in rows[row]]))
        if perturbation is not None:
            parts = [perturbation[row, : len(rows[row])] for row in layout.order]
            vectors = vectors + torch.cat(parts).to(vectors)
        hidden = packed.read(self.model, vectors, layout, prompts)
        of = torch.tensor(prompts.of if prompts else [0] * len(rows))
        return _States(hidden, layout.first, of * layout.length, layout.length)

    # --- scoring labels -------------------------------------------------------------

    def label_scores(
        self,
        prompts: Prompts,
        inputs: Sequence[Sequence[int]],
        label_words: Sequence[Sequence[int]],
    ) -> Tensor:
        """Scores [B,C] in fp32 whose softmax is p(label | input).

        Args:
            prompts: [B,P,H], one soft prompt a row; shared by rows, which saves time; or None.
            inputs: B rows from :meth:`encode_rows`.
            label_words: C label words from :meth:`label_word_ids`.

        One-token words are compared by their logits at the label's position, without the
        rest of the vocabulary; for longer ones the tokens' log-probabilities are summed.
        """
        if all(len(word) == 1 for word in label_words):
            hidden = self.label_hidden(prompts, inputs)
            ids = torch.tensor([word[0] for word in label_words], device=self.device)
            return self.head.logits(hidden, ids)
        return word_log_probs(label_words, self._reader(prompts, inputs, label_words), self.head)

    @torch.no_grad()
    def word_log_probs(
        self, inputs: Sequence[Sequence[int]], label_words: Sequence[Sequence[int]]
    ) -> Tensor:
        """log p(label word | input) [B,C] over the whole vocabulary, without a soft prompt.

        Args:
            inputs: B rows from :meth:`encode_rows`.
            label_words: C label words from :meth:`label_word_ids`.
        """
        return word_log_probs(label_words, self._reader(None, inputs, label_words), self.head)

    def label_hidden(
        self,
        prompts: Prompts,
        inputs: Sequence[Sequence[int]],
        perturbation: Tensor | None = None,
    ) -> Tensor:
        """Last hidden state [B,H] from which the label word's first token is predicted.

        Args:
            prompts: as in :meth:`label_scores`.
            inputs: B rows from :meth:`encode_rows`.
            perturbation: [B,T,H], T the longest row's length, added to the rows' embedded
                tokens; what it holds beside them, at padding, is not read.
        """
        if self.is_encoder_decoder:
            states, mask = self._encode(prompts, inputs, perturbation)
            start = torch.tensor([self.decoder_start], device=self.device).expand(len(inputs), -1)
            return self._decode(states, mask, start, torch.ones_like(start))[:, -1]
        return self._at_ends(self._read(prompts, inputs, perturbation), inputs)

    def _at_ends(self, read: _States, inputs: Sequence[Sequence[int]]) -> Tensor:
        ends = torch.tensor([len(row) - 1 for row in inputs], device=self.device)
        return read.at(read.length + ends[:, None])[:, 0]

    def label_states(
        self, prompts: Prompts, inputs: Sequence[Sequence[int]], watch: Watch
    ) -> Tensor:
        """States [D+1,B,H] at the labels' places: after D watched layers, and the last one.

        Args:
            prompts, inputs: as in :meth:`label_hidden`, whose state is the last.
            watch: of :func:`dawgen.backbone.watch.watching` this model.
        """
        if self.is_encoder_decoder:
            last = self.label_hidden(prompts, inputs)
            return torch.stack([*(states[:, -1] for states in watch.outputs()), last])
        read = self._read(prompts, inputs)
        inner = [replace(read, hidden=states.flatten(0, 1)) for states in watch.outputs()]
        return torch.stack([self._at_ends(states, inputs) for states in (*inner, read)])

    def mean_encodings(self, inputs: Sequence[Sequence[int]]) -> Tensor:
        """Mean last hidden state [B,H] of each input's tokens in fp32, without any prompt.

        Of the encoder, where the model has one.
        """
        if self.is_encoder_decoder:
            states, mask = self._encode(None, inputs)
        else:
            mask = pad_right(inputs, self.device).mask
            places = torch.arange(mask.shape[1], device=self.device)
            last = mask.sum(1, keepdim=True) - 1
            states = self._read(None, inputs).at(torch.minimum(places, last))
        weights = mask[..., None].float()
        return (states.float() * weights).sum(1) / weights.sum(1)

    def _reader(
        self,
        prompts: Prompts,
        inputs: Sequence[Sequence[int]],
        label_words: Sequence[Sequence[int]],
    ) -> Read:
        """What reads the beginnings of label words behind the rows."""
        rows = len(inputs)
        if self.is_encoder_decoder:
            states, mask = self._encode(prompts, inputs)
            return lambda word: self._decoded_targets(states, mask, [word] * rows)
        several = len(beginnings_to_read(label_words)) > 1
        each = prompts.each() if isinstance(prompts, SharedPrompts) else prompts
        once = behind_rows(self, each, inputs) if several else None
        return once or (lambda word: self._read_targets(prompts, inputs, [word] * rows))

    # --- scoring texts --------------------------------------------------------------

    def token_log_probs(
        self,
        prompts: Tensor | SharedPrompts,
        sources: Sequence[Sequence[int]],
        targets: Sequence[Sequence[int]],
        source_of: Sequence[int] | None = None,
    ) -> TokenScores:
        """log p(x_t | x_<t, source, prompt) of every target token, and its hidden state.

        Args:
            prompts: [S,P,H], each source's label prompt, or shared.
            sources: S rows from :meth:`encode_source`.
            targets: B rows from :meth:`encode_target`.
            source_of: for each target its source's place; without, S = B and they go in pairs.
                Targets that share a source share its encoding. Pairs are cut into calls of like
                length; shared sources are the caller's to cut.
        """
        if source_of is not None:
            return self._token_log_probs(prompts, sources, targets, source_of)
        each = shared(prompts)
        length = each.length
        sizes = [(length + len(s), len(t) + 1) for s, t in zip(sources, targets, strict=True)]
        most = tokens_at_once(self.device, sum(map(sum, sizes)))
        threads = self._calls_at_once()
        if self.is_packed:
            lengths = [len(s) + len(t) for s, t in zip(sources, targets, strict=True)]
            cut = runs(lengths, most, threads, each.of if threads > 1 else None)
        else:
            cut = pieces(sizes, call_cost(self.device), most)
        if len(cut) < 2:
            return self._token_log_probs(prompts, sources, targets)

        def scores(piece: Sequence[int], soft: Tensor) -> TokenScores:
            some = SharedPrompts(soft, each.of).some(piece)
            return self._token_log_probs(
                some, [sources[row] for row in piece], [targets[row] for row in piece]
            )

        if threads < 2:
            return _joined([scores(piece, each.prompts) for piece in cut], cut)
        masks = [pad_right([targets[row] for row in piece], self.device).mask for piece in cut]

        def job(piece: Sequence[int], soft: Tensor) -> tuple[Tensor, ...]:
            found = scores(piece, soft)
            return found.log_probs, found.hidden

        found = differentiable([partial(job, piece) for piece in cut], each.prompts)
        return _joined([TokenScores(p, m, h) for (p, h), m in zip(found, masks, strict=True)], cut)

    def _calls_at_once(self) -> int:
        """PyTorch's threads where each takes a call: rows are read end to end, weights frozen."""
        tuned = any(weight.requires_grad for weight in self.model.parameters())
        return jobs_at_once() if self.is_packed and not tuned else 1

    def _token_log_probs(
        self,
        prompts: Tensor | SharedPrompts,
        sources: Sequence[Sequence[int]],
        targets: Sequence[Sequence[int]],
        source_of: Sequence[int] | None = None,
    ) -> TokenScores:
        """As :meth:`token_log_probs`, in one call."""
        if self.is_encoder_decoder:
            states, mask = self._encode(prompts, sources)
            if source_of is not None:
                states, mask = states[list(source_of)], mask[list(source_of)]
            hidden = self._decoded_targets(states, mask, targets)
        else:
            if source_of is not None:
                prompts, sources = (
                    shared(prompts).some(source_of),
                    [sources[i] for i in source_of],
                )
            hidden = self._read_targets(prompts, sources, targets)
        log_probs, target_mask = self._target_log_probs(hidden, targets)
        read = hidden[:, 1:].float() * target_mask[..., None]
        return TokenScores(log_probs, target_mask, read)

    def _decoded_targets(
        self, states: Tensor, mask: Tensor, targets: Sequence[Sequence[int]]
    ) -> Tensor:
        """Hidden states [B,1+T,H]: before the target's first token, then after each token."""
        lead = self.decoder_start
        ids = pad_right([[*lead, *target] for target in targets], self.device)
        return self._decode(states, mask, ids.ids, ids.mask)[:, len(lead) - 1 :]

    def _read_targets(
        self,
        prompts: Prompts,
        sources: Sequence[Sequence[int]],
        targets: Sequence[Sequence[int]],
    ) -> Tensor:
        """As :meth:`_decoded_targets`, for a causal model."""
        rows = [[*s, *t] for s, t in zip(sources, targets, strict=True)]
        states = self._read(prompts, rows)
        before = torch.tensor([len(s) - 1 for s in sources], device=self.device)
        ends = torch.tensor([len(row) - 1 for row in rows], device=self.device)
        width = max(len(t) for t in targets) + 1
        steps = before[:, None] + torch.arange(width, device=self.device)
        return states.at(states.length + torch.minimum(steps, ends[:, None]))

    def _target_log_probs(
        self, hidden: Tensor, targets: Sequence[Sequence[int]]
    ) -> tuple[Tensor, Tensor]:
        """hidden [B,1+T,H] -> log-probabilities [B,T] and mask [B,T] of the target tokens."""
        padded = pad_right(targets, self.device)
        row, column = padded.mask.nonzero(as_tuple=True)
        chosen = self.head.log_probs(hidden[row, column], padded.ids[row, column])
        empty = torch.zeros(padded.ids.shape, device=self.device, dtype=chosen.dtype)
        return empty.index_put((row, column), chosen), padded.mask

    # --- writing --------------------------------------------------------------------

    def generation_inputs(
        self, prompts: Tensor, sources: Sequence[Sequence[int]]
    ) -> dict[str, Any]:
        """Arguments for ``model.generate`` under soft prompts [B,P,H].

        Sequence-to-sequence: encoder states and the decoder's start. Causal: vectors padded
        on the left, as decoding from vectors needs.
        """
        if self.is_encoder_decoder:
            states, mask = self._encode(prompts, sources)
            start = torch.tensor([self.decoder_start], device=self.device)
            return {
                "encoder_outputs": BaseModelOutput(last_hidden_state=states),
                "attention_mask": mask.long(),
                "decoder_input_ids": start.expand(len(sources), -1).contiguous(),
            }
        width = max(len(source) for source in sources)
        vectors, masks = [], []
        for prompt, source in zip(prompts, sources, strict=True):
            ids = torch.tensor(source, dtype=torch.long, device=self.device)
            joined = torch.cat([prompt.to(self.device, self.dtype), self.embed(ids)])
            gap = width - len(source)
            vectors.append(torch.cat([joined.new_zeros(gap, joined.shape[1]), joined]))
            masks.append([0] * gap + [1] * len(joined))
        return {
            "inputs_embeds": torch.stack(vectors),
            "attention_mask": torch.tensor(masks, device=self.device),
        }
