"""From few-shot rows to what the generator is tuned on, and to batches that compare labels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from dawgen.errors import UserError
from dawgen.terminal.progress import warn

if TYPE_CHECKING:
    from dawgen.backbone import Backbone
    from dawgen.backbone.frame import Frame
    from dawgen.streams import Streams
    from dawgen.tasks import Row, TaskCard

MOST_COMPARED = 8
"""Labels that (3) and (4) compare at once (ours; the paper's tasks have three at most). With as
many in a batch, time grows with the labels and not with their square, and memory not at all."""


@dataclass(frozen=True, slots=True)
class Example:
    """One text to be generated: what is read before it, and the text with its end mark."""

    source: list[int]
    target: list[int]


@dataclass(frozen=True, slots=True)
class Shot:
    """One few-shot row: its place among the shots, its label's index and its examples.

    A pair has one example, text1 → text2; where first sentences are generated too it also has
    "" → text1, and both together are the "whole of X". A single sentence has "" → text1 alone.
    """

    row: int
    label: int
    examples: tuple[Example, ...]


@dataclass(frozen=True, slots=True)
class Batch:
    """The examples of some shots, one row of the model each: B examples of R shots."""

    shots: tuple[Shot, ...]

    @property
    def examples(self) -> list[Example]:
        """All B of them, shot by shot."""
        return [example for shot in self.shots for example in shot.examples]

    @property
    def sources(self) -> list[list[int]]:
        """B sources."""
        return [example.source for example in self.examples]

    @property
    def targets(self) -> list[list[int]]:
        """B targets."""
        return [example.target for example in self.examples]

    @property
    def labels(self) -> Tensor:
        """Label index of each example, [B]."""
        return torch.tensor([shot.label for shot in self.shots for _ in shot.examples])

    @property
    def shot_labels(self) -> Tensor:
        """Label index of each shot, [R]."""
        return torch.tensor([shot.label for shot in self.shots])

    @property
    def owners(self) -> Tensor:
        """Which shot of the batch each example belongs to, [B] of 0..R-1."""
        return torch.tensor([i for i, shot in enumerate(self.shots) for _ in shot.examples])


def make_shots(
    card: TaskCard,
    rows: Sequence[Row],
    backbone: Backbone,
    *,
    prompt_length: int,
    max_length: int,
    write_first: bool,
    frame: Frame | None = None,
    tell: bool = True,
) -> list[Shot]:
    """Encode the few shots. A text longer than ``max_length`` tokens, end mark included, or than
    the model has positions for, costs its row: cut short, it would teach the generator never to
    end.

    Args:
        frame: what a causal model reads around the texts.
        tell: warn of rows that are left out, and of first texts that are cut.

    Raises:
        UserError: a label has no row, or none short enough.
    """
    shots, long = [], 0
    room = backbone.text_room(prompt_length, frame)
    max_length = max_length if room is None else min(max_length, room)
    with backbone.warning_of_cut_sources("generator tuning", len(rows)) if tell else nullcontext():
        encoded = [
            tuple(
                Example(
                    backbone.encode_source(source, prompt_length, frame),
                    backbone.encode_target(text, source, frame),
                )
                for source, text in _pairs(row, is_pair=card.is_pair, write_first=write_first)
            )
            for row in rows
        ]
    for index, (row, examples) in enumerate(zip(rows, encoded, strict=True)):
        if any(len(example.target) > max_length for example in examples):
            long += 1
        elif row.label is not None:
            shots.append(Shot(index, card.label_index(row.label), examples))
    if long and tell:
        warn(
            f"{card.name}: {long} of {len(rows)} few shots are longer than {max_length} tokens "
            "(generator.max_length, or what the model has positions for) and are left out of "
            "generator tuning."
        )
    _check_labels(card, shots, max_length)
    return shots


def _pairs(row: Row, *, is_pair: bool, write_first: bool) -> list[tuple[str, str]]:
    if not is_pair or row.text2 is None:
        return [("", row.text1)]
    first = [("", row.text1)] if write_first else []
    return [*first, (row.text1, row.text2)]


def _check_labels(card: TaskCard, shots: Sequence[Shot], max_length: int) -> None:
    present = {shot.label for shot in shots}
    missing = [label for i, label in enumerate(card.labels) if i not in present]
    if missing:
        raise UserError(
            f"{card.name}: generator tuning has no row for {', '.join(map(repr, missing))} "
            f"(texts of more than {max_length} tokens do not count); give it some, or raise "
            "generator.max_length."
        )


def label_groups(labels: Sequence[int]) -> list[list[int]]:
    """The labels in their order, in groups of like size and ``MOST_COMPARED`` at most."""
    parts = -(-len(labels) // MOST_COMPARED)
    return [part.tolist() for part in np.array_split(np.array(labels), parts)]


def steps_per_epoch(shots: Sequence[Shot], batch_size: int) -> int:
    """Batches of ``batch_size`` rows per label until the commonest label's rows are through."""
    counts = np.bincount([shot.label for shot in shots])
    return len(label_groups(range(len(counts)))) * len(_batch_starts(int(counts.max()), batch_size))


def _batch_starts(rows: int, batch_size: int) -> list[int]:
    """Where each batch of one pass over ``rows`` rows starts.

    One row left over at the end joins the batch before it: alone, it would leave (4) without
    two rows of a label.
    """
    starts = list(range(0, rows, batch_size))
    return starts[:-1] if len(starts) > 1 and 1 == rows - starts[-1] < batch_size else starts


def epoch_batches(
    shots: Sequence[Shot], batch_size: int, streams: Streams, epoch: int
) -> Iterator[Batch]:
    """One pass over the shots in batches of ``batch_size`` rows of **every** label.

    (3) and (4) compare labels, so each batch holds them all; of more than ``MOST_COMPARED`` as
    many as that at most, which are drawn anew for each pass. A label with fewer rows goes round
    again; the last batch is as small as what is left, where that is more than one row. The order
    depends on the seed and the epoch's number only, so a stopped run finds its place again.
    """
    rng = streams.numpy("generator", "batches", str(epoch))
    by_label = [[s for s in shots if s.label == c] for c in range(1 + max(s.label for s in shots))]
    longest = max(len(group) for group in by_label)
    orders = [
        np.concatenate([rng.permutation(len(g)) for _ in range(-(-longest // len(g)))])[:longest]
        for g in by_label
    ]
    spans = list(pairwise([*_batch_starts(longest, batch_size), longest]))
    plan = [(list(range(len(by_label))), span) for span in spans]
    if len(by_label) > MOST_COMPARED:
        groups = label_groups(rng.permutation(len(by_label)).tolist())
        plan = [(sorted(group), span) for span in spans for group in groups]
    for labels, (start, end) in plan:
        yield Batch(tuple(by_label[c][int(i)] for c in labels for i in orders[c][start:end]))
