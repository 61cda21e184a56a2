"""Causal models on a processor: rows end to end without padding, each soft prompt read once.

In a causal model what is read at a prompt's positions does not depend on the text behind it, so
rows that share a prompt share its states. All tokens are one sequence for the model,

    prompt 1 .. prompt S, row 1 .. row B,

whose linear layers, norms and MLPs see nothing else. Only attention knows which token sees which:
transformers calls :func:`_attend` in place of its own and passes the :class:`Layout` on to it.
Without a layout (writing texts, models read in other ways) that is PyTorch's attention.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor
from transformers import PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS, AttentionMaskInterface
from transformers.modeling_utils import AttentionInterface

from dawgen.backbone.calls import pieces
from dawgen.backbone.norm import quicken_norms

NAME = "dawgen_packed"
_KINDS = {"llama", "mistral", "qwen2", "qwen3", "smollm3", "gemma3_text"}
"""Models whose attention is causal, scaled and, in some layers, limited to a window; no more."""

# A block of rows costs some twenty calls of PyTorch a layer, whatever is in it: tokens that
# attention, which is a tenth of a layer, pads in the same time.
_BLOCK_COST, _BLOCK_TOKENS = 128, 1024


@dataclass(frozen=True)
class SharedPrompts:
    """Soft prompts [S,P,H] of which B rows read one each: row b reads the one at ``of[b]``."""

    prompts: Tensor
    of: Sequence[int]

    @classmethod
    def one(cls, prompt: Tensor, rows: int) -> SharedPrompts:
        """One prompt [P,H] for so many rows."""
        return cls(prompt[None], [0] * rows)

    @property
    def length(self) -> int:
        """P."""
        return int(self.prompts.shape[1])

    @property
    def shape(self) -> torch.Size:
        """(B, P, H)."""
        return torch.Size((len(self.of), *self.prompts.shape[1:]))

    def some(self, rows: Sequence[int]) -> SharedPrompts:
        """Those of some rows."""
        return SharedPrompts(self.prompts, [self.of[row] for row in rows])

    def each(self) -> Tensor:
        """Every row's own, [B,P,H]."""
        return self.prompts.index_select(0, torch.tensor(self.of, device=self.prompts.device))

    def used(self) -> SharedPrompts:
        """The same for the rows, without prompts that no row reads."""
        kept = sorted(set(self.of))
        if len(kept) == len(self.prompts):
            return self
        places = torch.tensor(kept, device=self.prompts.device)
        return SharedPrompts(
            self.prompts.index_select(0, places), [kept.index(place) for place in self.of]
        )


Prompts = Tensor | SharedPrompts | None
"""Soft prompts of B rows: [B,P,H], or shared, or none."""


def shared(prompts: Tensor | SharedPrompts) -> SharedPrompts:
    """The prompts as rows share them; [B,P,H] is one prompt a row."""
    if isinstance(prompts, Tensor):
        return SharedPrompts(prompts, range(len(prompts)))
    return prompts


class _Block(NamedTuple):
    """Rows of like length behind each other, as attention sees them: b rows, padded to T."""

    start: int  # token of the sequence where the first of them begins
    end: int
    rows: int
    width: int
    places: Tensor  # [end - start] of their tokens in the padded rectangle [b·T]
    of: Tensor  # [b] prompts

    def padded(self, x: Tensor) -> Tensor:
        """x [N,...] of the whole sequence -> [b,T,...] of these rows, zero at padding."""
        rectangle = x.new_zeros(self.rows * self.width, *x.shape[1:])
        rectangle = rectangle.index_copy(0, self.places, x[self.start : self.end])
        return rectangle.view(self.rows, self.width, *x.shape[1:])

    def tokens(self, x: Tensor) -> Tensor:
        """[b,T,...] -> [end - start,...], without padding."""
        return x.flatten(0, 1).index_select(0, self.places)


class Layout:
    """Which token of a sequence is whose.

    Attributes:
        order: rows in the order in which their tokens follow the prompts.
        first: [B] where each row's first token is.
        positions: [N] of each token in its own row, the prompt's before it counted.
    """

    def __init__(self, lengths: Sequence[int], prompts: SharedPrompts | None) -> None:
        self.count, self.length = (len(prompts.prompts), prompts.length) if prompts else (0, 0)
        self.own = self.count * self.length  # tokens of the prompts
        self.blocks: list[_Block] = []
        self.order: list[int] = []
        first, start = [0] * len(lengths), self.own
        positions = list(range(self.length)) * self.count
        for piece in pieces(lengths, _BLOCK_COST, _BLOCK_TOKENS):
            begin, width = start, max(1, *(lengths[row] for row in piece), 1)
            places: list[int] = []
            for number, row in enumerate(piece):
                first[row] = start
                start += lengths[row]
                places += range(number * width, number * width + lengths[row])
                positions += range(self.length, self.length + lengths[row])
            of = torch.tensor([prompts.of[row] if prompts else 0 for row in piece])
            self.blocks.append(_Block(begin, start, len(piece), width, torch.tensor(places), of))
            self.order += piece
        self.first, self.positions = torch.tensor(first), torch.tensor(positions)
        self._masks: dict[tuple[int, int, int | None, torch.dtype], Tensor] = {}

    def mask(self, queries: int, keys: int, window: int | None, dtype: torch.dtype) -> Tensor:
        """[T,L] added to scores: the T queries are the last of L positions."""
        key = (queries, keys, window, dtype)
        if key not in self._masks:
            distance = torch.arange(keys - queries, keys)[:, None] - torch.arange(keys)
            seen = (distance >= 0) & (distance < (window or keys))
            self._masks[key] = torch.zeros(seen.shape, dtype=dtype).masked_fill_(~seen, -torch.inf)
        return self._masks[key]


def packs(model: PreTrainedModel) -> bool:
    """Whether rows of the model are read end to end now."""
    return model.config._attn_implementation == NAME and not model.training


def prepare(model: PreTrainedModel) -> None:
    """Have a model of a known kind on a processor read rows end to end, norms in fewer passes."""
    plain = model.config._attn_implementation == "sdpa"
    if plain and model.device.type == "cpu" and model.config.model_type in _KINDS:
        model.set_attn_implementation(NAME)
        quicken_norms(model)


def read(model: Any, vectors: Tensor, layout: Layout, prompts: SharedPrompts | None) -> Tensor:
    """Last hidden states [N,H] of embedded tokens [N - S·P,H] behind the prompts."""
    if prompts is not None:
        vectors = torch.cat([prompts.prompts.flatten(0, 1).to(vectors), vectors])
    out = model.base_model(
        inputs_embeds=vectors[None],
        attention_mask=vectors.new_zeros(1, 1, 1, 1),  # one that is not looked at, or one is made
        position_ids=layout.positions[None],
        use_cache=False,
        return_dict=True,
        layout=layout,
    )
    hidden: Tensor = out.last_hidden_state[0]
    return hidden


# --- attention ------------------------------------------------------------------------


def _attend(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    layout: Layout | None = None,
    scaling: float | None = None,
    sliding_window: int | None = None,
    **others: Any,
) -> tuple[Tensor, None]:
    """As transformers calls attention: query [1,Hq,N,D], key and value [1,Hk,N,D]."""
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    if layout is None and query.shape[2] == 1 and not query.requires_grad:
        return _attend_one(query * scale, key, value, attention_mask), None
    if layout is None:
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, scaling=scaling, **others
        )
    tokens = (x[0].transpose(0, 1) for x in (query, key, value))
    out: Tensor = _Attention.apply(*tokens, scale, sliding_window, layout)
    return out[None], None


def _attend_one(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> Tensor:
    """A text's last token over all that it may see, [B,1,Hq,D]: query [B,Hq,1,D], key and value
    [B,Hk,L,D], mask [B,1,1,L].

    PyTorch's attention takes three times as long for it in bf16 on a processor.
    """
    b, heads, _, size = query.shape
    q = query.reshape(b * key.shape[1], -1, size)
    # The product with keys in a larger cache takes four times as long as with a copy of them.
    keys = key.flatten(0, 1).contiguous().transpose(1, 2)
    scores = torch.bmm(q, keys).unflatten(0, key.shape[:2])  # [B,Hk,G,L]
    if mask is not None and mask.dtype == torch.bool:
        scores = scores.masked_fill(~mask, -torch.inf)
    elif mask is not None:
        scores = scores + mask
    shares = torch.softmax(scores, -1, dtype=torch.float32).to(q.dtype)
    return torch.bmm(shares.flatten(0, 1), value.flatten(0, 1)).view(b, 1, heads, size)


AttentionInterface.register(NAME, _attend)
AttentionMaskInterface.register(NAME, ALL_MASK_ATTENTION_FUNCTIONS["sdpa"])


class _Attention(torch.autograd.Function):
    """query [N,Hq,D], key and value [N,Hk,D] -> [N,Hq,D].

    Nothing but the inputs is kept for the backward pass: probabilities are computed again, which
    is a hundredth of a layer.
    """

    @staticmethod
    def forward(
        ctx: Any, q: Tensor, k: Tensor, v: Tensor, scale: float, window: int | None, layout: Layout
    ) -> Tensor:
        ctx.save_for_backward(q, k, v)
        ctx.how = scale, window, layout
        return _attention(q, k, v, scale, window, layout)

    @staticmethod
    def backward(ctx: Any, of_out: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v = ctx.saved_tensors
        scale, window, layout = ctx.how
        if torch.is_grad_enabled():  # a graph through the gradient itself is asked for
            out = _attention(q, k, v, scale, window, layout)
            found = torch.autograd.grad(out, (q, k, v), of_out, create_graph=True)
        else:
            found = _gradients(q, k, v, of_out, scale, window, layout)
        return *found, None, None, None


def _attention(
    q: Tensor, k: Tensor, v: Tensor, scale: float, window: int | None, layout: Layout
) -> Tensor:
    """By operations that any derivative goes through."""
    out = []
    if layout.own:
        first, *both = (x[: layout.own].unflatten(0, (layout.count, -1)) for x in (q, k, v))
        out.append(_Heads(first, both, scale, window, layout).out().flatten(0, 1))
    for block in layout.blocks:
        heads = _Heads(block.padded(q), _keys(block, layout, k, v), scale, window, layout)
        out.append(block.tokens(heads.out()))
    return torch.cat(out)


def _gradients(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    of_out: Tensor,
    scale: float,
    window: int | None,
    layout: Layout,
) -> tuple[Tensor, Tensor, Tensor]:
    """By q, k and v; those of keys and values of prompts add up in fp32."""
    by_q, by_k, by_v = (x.new_empty(x.shape) for x in (q, k, v))
    own = [x[: layout.own].unflatten(0, (max(1, layout.count), -1)) for x in (q, k, v, of_out)]
    if layout.own:
        first, *prompt = _Heads(own[0], own[1:3], scale, window, layout).gradients(own[3])
        by_q[: layout.own] = first.flatten(0, 1)
        sums = [part.float() for part in prompt]
    for block in layout.blocks:
        heads = _Heads(block.padded(q), _keys(block, layout, k, v), scale, window, layout)
        first, *others = heads.gradients(block.padded(of_out))
        by_q[block.start : block.end] = block.tokens(first)
        for place, (whole, part) in enumerate(zip((by_k, by_v), others, strict=True)):
            whole[block.start : block.end] = block.tokens(part[:, layout.length :])
            if layout.own:
                sums[place].index_add_(0, block.of, part[:, : layout.length].float())
    if layout.own:
        for whole, total in zip((by_k, by_v), sums, strict=True):
            whole[: layout.own] = total.flatten(0, 1)
    return by_q, by_k, by_v


def _keys(block: _Block, layout: Layout, *both: Tensor) -> Sequence[Tensor]:
    """Keys or values [b,P+T,Hk,D] of a block's rows: the prompt's and their own."""
    if not layout.own:
        return tuple(block.padded(x) for x in both)
    own = (x[: layout.own].unflatten(0, (layout.count, -1)) for x in both)
    return tuple(
        torch.cat([prompts.index_select(0, block.of), block.padded(x)], dim=1)
        for prompts, x in zip(own, both, strict=True)
    )


class _Heads:
    """q [b,T,Hq,D] over ``both`` keys and values [b,L,Hk,D], each head for G = Hq / Hk queries.

    Products run over b·Hk heads of G·T queries, so that keys need no copies.
    """

    def __init__(
        self,
        q: Tensor,
        both: Sequence[Tensor],
        scale: float,
        window: int | None,
        layout: Layout,
    ) -> None:
        k, v = both
        self.shape = (*q.shape[:2], k.shape[2], q.shape[2] // k.shape[2])  # b, T, Hk, G
        self.scale = scale
        self.q = self._fold(q) * scale
        self.k, self.v = (x.transpose(1, 2).flatten(0, 1) for x in (k, v))  # [b·Hk,L,D]
        b, width, heads, group = self.shape
        scores = self.q @ self.k.transpose(1, 2)  # [b·Hk,G·T,L]
        mask = layout.mask(width, k.shape[1], window, scores.dtype)
        scores = scores.view(b * heads, group, width, -1) + mask
        self.shares = torch.softmax(scores, -1, dtype=torch.float32).to(q.dtype).flatten(1, 2)

    def out(self) -> Tensor:
        """[b,T,Hq,D]."""
        return self._unfold(self.shares @ self.v)

    def gradients(self, of_out: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """By q, k and v, from that by the result [b,T,Hq,D]."""
        folded, shares = self._fold(of_out), self.shares
        by_shares = folded @ self.v.transpose(1, 2)
        by_scores = torch._softmax_backward_data(by_shares, shares, -1, shares.dtype)
        by_k, by_v = by_scores.transpose(1, 2) @ self.q, shares.transpose(1, 2) @ folded
        by_q = self._unfold((by_scores @ self.k).mul_(self.scale))
        b, _, heads, _ = self.shape
        by_k, by_v = (x.unflatten(0, (b, heads)).transpose(1, 2) for x in (by_k, by_v))
        return by_q, by_k, by_v

    def _fold(self, x: Tensor) -> Tensor:
        b, width, heads, group = self.shape
        return (
            x.view(b, width, heads, group, -1)
            .permute(0, 2, 3, 1, 4)
            .reshape(b * heads, group * width, -1)
        )

    def _unfold(self, x: Tensor) -> Tensor:
        b, width, heads, group = self.shape
        return x.view(b, heads, group, width, -1).permute(0, 3, 1, 2, 4).flatten(2, 3)
