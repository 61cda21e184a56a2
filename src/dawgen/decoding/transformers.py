"""Decoding by a model of transformers in a loop of our own; the reference engine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from math import inf

import torch
from torch import Tensor

from dawgen.backbone import Backbone
from dawgen.backbone.memory import is_out_of_memory, run_calls, run_side_by_side
from dawgen.decoding.base import (
    Decoding,
    Generation,
    Request,
    allowed_tokens,
    encode_sources,
    read_ids,
)
from dawgen.decoding.sampling import Sampler
from dawgen.decoding.states import (
    CausalState,
    EncoderDecoderState,
    PlainCausalState,
    PromptCache,
    Source,
    State,
    columns_behind_prompts,
    columns_of,
)
from dawgen.errors import UserError

DROP = 1 / 8
"""Finished rows leave the batch when they are this share of it."""
_CHECKED = 6
"""Tokens of a text by which an engine is checked when it is made."""
WORTHWHILE = 8
"""Rows of a batch beside others: fewer are written together in about the same time."""


class TransformersEngine:
    """Batches of like source length; label prompts read once; finished rows leave.

    Counted in tokens through the model for N rows of S source and T text tokens behind a
    prompt of P: plain batched decoding reads N·(P+S) and then N·max(T), padding included. Here
    a causal model reads C·P once, then N·S, less what rows share of S, and the sum of T. The
    prompt of a sequence-to-sequence model meets its source in the bidirectional encoder, so
    there it is N·(P+S), less what rows share.

    A text depends on its request's seed only: not on its batch, nor on who left it when.
    """

    name = "transformers"

    def __init__(self, backbone: Backbone, prompts: Tensor, decoding: Decoding) -> None:
        """prompts: [C,P,H], one soft prompt per label."""
        self.backbone = backbone
        self.prompts = prompts.detach().to(backbone.device)
        self.decoding = decoding
        self.frame = decoding.frame
        self.end_id = backbone.end_of(self.frame)
        self.sampler = Sampler(allowed_tokens(backbone, self.frame), self.end_id, decoding)
        self.label_prompts: PromptCache | None = None
        self.most_columns = 0.0
        if not backbone.is_encoder_decoder:
            self.most_columns = columns_behind_prompts(backbone)
            if self.most_columns >= prompts.shape[1]:
                with torch.inference_mode():
                    self.label_prompts = PromptCache(backbone, self.prompts)
        self.one_length = not backbone.is_encoder_decoder and self.label_prompts is None
        self._check()

    @torch.inference_mode()
    def _check(self) -> None:
        """See that token by token the model says what it says in one pass.

        Raises:
            UserError: it does not, as where its memory is of a kind that is not known here.
        """
        try:
            ours, theirs = self._both_ways()
        except Exception as error:  # a foreign model can fail in any of its lines
            if isinstance(error, UserError) or is_out_of_memory(error):
                raise
            raise UserError(
                f"{self.backbone.name} cannot write token by token here "
                f"({type(error).__name__}); take another backbone."
            ) from error
        exact = self.backbone.dtype == torch.float32
        atol, rtol = (1e-2, 1e-3) if exact else (0.3, 0.1)
        if not torch.allclose(ours, theirs, atol=atol, rtol=rtol):
            raise UserError(
                f"{self.backbone.name} says something else token by token than in one pass, so its "
                "texts cannot be trusted; take another backbone."
            )

    def _both_ways(self) -> tuple[Tensor, Tensor]:
        """log p of likely tokens behind sources of two lengths: by steps, and in one pass [2,6]."""
        backbone, length = self.backbone, self.prompts.shape[1]
        sources = [backbone.encode_source(text, length, self.frame) for text in ("a", "a a a")]
        rows = [(0, tuple(source)) for source in sources]
        if not (backbone.is_encoder_decoder or self._fits(rows, _CHECKED)):
            sources, rows = [sources[0]] * 2, [rows[0]] * 2  # all of one length
        targets = self._likeliest(rows, _CHECKED)
        by_steps = self._step_log_probs(rows, targets, self.sampler.forbidden[:0])
        prompts = self.prompts[[0, 0]].to(backbone.dtype)
        scores = backbone.token_log_probs(prompts, sources, targets.tolist())
        return by_steps.float(), scores.log_probs.view(targets.shape).float()

    def _likeliest(self, rows: Sequence[Source], count: int) -> Tensor:
        """[B,count] ids of the text that the model finds likeliest behind each row. Of unlikely
        ones, 50 nats away, bf16 gives the log-probability to a nat or two only."""
        state = self._start(rows, count)
        hidden, found = state.first, []
        for _ in range(count):
            scores = self.backbone.head.logits(hidden)
            scores[:, self.sampler.forbidden] = -torch.inf
            scores[:, self.end_id] = -torch.inf
            found.append(scores.argmax(-1))
            hidden = state.read(found[-1])
        return torch.stack(found, dim=1)

    def generate(self, requests: Sequence[Request]) -> list[Generation]:
        """One generation a request, in the requests' order.

        On a processor, batches are decoded side by side, one on each of PyTorch's threads.

        Raises:
            UserError: memory does not hold a single row.
        """
        length = self.prompts.shape[1]
        sources = encode_sources(self.backbone, requests, length, self.frame)
        beside = length + self.decoding.max_new_tokens
        sizes = [beside + len(source) for source in sources]
        written: dict[int, Generation] = {}

        @torch.inference_mode()
        def work(batch: list[int]) -> None:
            # where memory was short this is a part of a batch, which may be wider than the whole
            for some in self._that_fit(batch, requests, sources):
                ids = self._write([requests[i] for i in some], [sources[i] for i in some])
                texts = [read_ids(self.backbone, row, self.frame) for row in ids.tolist()]
                written.update(zip(some, texts, strict=True))

        calls = list(self._batches(requests, sources))
        if self.backbone.device.type == "cpu":
            calls = run_side_by_side(calls, work)
        run_calls(self.backbone, calls, sizes, work)
        return [written[i] for i in range(len(requests))]

    def batches(self, requests: Sequence[Request]) -> list[list[int]]:
        """The requests' places, batch by batch as they are decoded."""
        sources = encode_sources(self.backbone, requests, self.prompts.shape[1], self.frame)
        return list(self._batches(requests, sources))

    @torch.inference_mode()
    def log_probs(self, label: int, source: Sequence[int], target: Sequence[int]) -> list[float]:
        """log p(x_t | x_<t, source, label's prompt) of the target's ids, allowed tokens only.

        Read token by token, as when writing; the decoding settings play no part.
        """
        rows = [(label, tuple(source))]
        targets = torch.tensor([list(target)], device=self.backbone.device)
        found = self._step_log_probs(rows, targets, self.sampler.forbidden)
        scores: list[float] = found[0].tolist()
        return scores

    def _step_log_probs(self, rows: Sequence[Source], targets: Tensor, forbidden: Tensor) -> Tensor:
        """log p of the targets' ids [B,T] behind the rows, token by token, others forbidden."""
        state = self._start(rows, targets.shape[1])
        hidden, log_probs = state.first, []
        for tokens in targets.T:
            scores = self.backbone.head.logits(hidden)
            scores[:, forbidden] = -torch.inf
            log_probs.append(scores.log_softmax(-1).gather(1, tokens[:, None])[:, 0])
            hidden = state.read(tokens)
        return torch.stack(log_probs, dim=1)

    def _batches(
        self, requests: Sequence[Request], sources: Sequence[Sequence[int]]
    ) -> Iterator[list[int]]:
        """Indices in batches, shortest sources first; requests that read the same turns stay
        together, and count as long as the longest of them."""
        groups = [(r.label, r.turns) if r.turns else (i,) for i, r in enumerate(requests)]
        longest: dict[tuple[object, ...], int] = {}
        for group, source in zip(groups, sources, strict=True):
            longest[group] = max(len(source), longest.get(group, 0))
        place = {group: number for number, group in enumerate(longest)}
        order = sorted(
            range(len(requests)),
            key=lambda i: (longest[groups[i]], place[groups[i]], len(sources[i]), i),
        )
        size = self._batch_size(len(requests))
        batch: list[int] = []
        for i in order:
            other = self.one_length and batch and len(sources[i]) != len(sources[batch[0]])
            if len(batch) == size or other:
                yield from self._that_fit(batch, requests, sources)
                batch = []
            batch.append(i)
        if batch:
            yield from self._that_fit(batch, requests, sources)

    def _that_fit(
        self, batch: list[int], requests: Sequence[Request], sources: Sequence[Sequence[int]]
    ) -> Iterator[list[int]]:
        """The batch as one; where it is wider than a sliding window, its rows by their length."""
        rows = [(requests[i].label, tuple(sources[i])) for i in batch]
        if self.label_prompts is None or self._fits(rows, self.decoding.max_new_tokens):
            yield batch
            return

        def length(i: int) -> int:
            return len(sources[i])

        for _, some in groupby(sorted(batch, key=length), length):
            yield list(some)

    def _fits(self, rows: Sequence[Source], columns: int) -> bool:
        """Whether rows of a causal model can go on from a cached prompt, to texts of ``columns``
        tokens."""
        if self.label_prompts is None:
            return False
        if self.most_columns == inf:
            return True
        return self.label_prompts.length + columns_of(rows) + columns <= self.most_columns

    def _batch_size(self, requests: int) -> int:
        """Rows of a batch: such that there is one for every thread, if it is worth it."""
        size, threads = self.decoding.batch_size, torch.get_num_threads()
        if self.backbone.device.type != "cpu" or requests < threads * WORTHWHILE:
            return size
        return min(size, -(-requests // threads))

    def _write(self, requests: Sequence[Request], sources: Sequence[tuple[int, ...]]) -> Tensor:
        """Token ids [B,max_new_tokens] of a batch; behind an end mark they mean nothing."""
        device, longest = self.backbone.device, self.decoding.max_new_tokens
        rows_of = [(r.label, source) for r, source in zip(requests, sources, strict=True)]
        state = self._start(rows_of, longest)
        labels = torch.tensor([r.label for r in requests], device=device)
        seeds = torch.tensor([r.seed for r in requests], dtype=torch.int64, device=device)
        texts = torch.full((len(requests), longest), self.end_id, device=device)
        rows = torch.arange(len(requests), device=device)  # of texts, in the state's order
        written = texts.clone()
        going = torch.ones_like(rows, dtype=torch.bool)
        hidden = state.first
        for step in range(longest):
            scores = self.backbone.head.logits(hidden)
            chosen = self.sampler.choose(scores, written[:, :step], labels, seeds)
            written[:, step] = chosen
            going &= chosen != self.end_id
            left = int(going.sum())
            if not left or step + 1 == longest:
                break
            if len(rows) - left >= DROP * len(rows) and not isinstance(state, PlainCausalState):
                texts[rows] = written
                stay = _fill_from_the_end(going)
                state.keep(stay)
                rows, labels, seeds = rows[stay], labels[stay], seeds[stay]
                written, going, chosen = written[stay], going[stay], chosen[stay]
            hidden = state.read(chosen)
        texts[rows] = written
        return texts

    def _start(self, rows: Sequence[Source], columns: int) -> State:
        if self.backbone.is_encoder_decoder:
            return EncoderDecoderState(self.backbone, self.prompts, rows, columns)
        if self.label_prompts is not None and self._fits(rows, columns):
            return CausalState(self.backbone, self.label_prompts, rows, columns)
        return PlainCausalState(self.backbone, self.prompts, rows)


def _fill_from_the_end(going: Tensor) -> Tensor:
    """Indices [N] of the rows that go on, as few as possible of them moved: the places of
    finished rows are taken by the last ones."""
    count = int(going.sum())
    stay = torch.arange(count, device=going.device)
    holes = (~going[:count]).nonzero()[:, 0]
    stay[holes] = count + going[count:].nonzero()[:, 0]
    return stay
