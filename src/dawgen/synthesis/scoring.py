"""How strongly a written row belongs to its label, by the generator's own judgement."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from dawgen.backbone import Backbone
from dawgen.backbone.frame import Frame, load_frame
from dawgen.backbone.memory import most_tokens, run_calls
from dawgen.backbone.packed import SharedPrompts
from dawgen.errors import UserError
from dawgen.generator.examples import label_groups
from dawgen.prompts import load_label_prompts
from dawgen.storage.folder import folder_hash
from dawgen.synthesis.rows import SyntheticRow
from dawgen.synthesis.sources import GENERATED
from dawgen.tasks import TaskCard

TOKENS_PER_BATCH = 8192
"""Tokens scored at once, soft prompts included; changes speed and memory only."""

Texts = Sequence[tuple[str, str]]
"""Pairs (source, target)."""

Score = Callable[[Tensor, Frame | None, Sequence[Texts]], Iterable[Tensor]]
"""(prompts [C,P,H], frame, batches) to each batch's log-likelihoods [n,C]."""


@dataclass(frozen=True)
class Scorer:
    """A tuned generator that scores rows, its own or others'.

    Attributes:
        prompts: [C,P,H], one soft prompt per label.
        frame: what the generator reads around a source.
        score: scores the batches elsewhere.
        fingerprint: hash of the label prompts' folder, where they come from one.
    """

    card: TaskCard
    backbone: Backbone
    prompts: Tensor
    frame: Frame | None = None
    score: Score | None = None
    fingerprint: str = ""

    @classmethod
    def load(cls, generator: Path, card: TaskCard, backbone: Backbone) -> Scorer:
        """From a generator's folder."""
        folder = generator / "label-prompts"
        prompts = load_label_prompts(folder, card.labels, backbone)
        frame = load_frame(generator)
        return cls(card, backbone, prompts, frame, fingerprint=folder_hash(folder))

    def __call__(self, rows: Sequence[SyntheticRow]) -> list[SyntheticRow]:
        """The rows with label ratio and log-likelihood of what was written.

        That is text2 of a pair, and text1 too where the generator wrote both. Of many labels each
        is compared with those of its group.
        """
        own = [self.card.label_index(str(row.label)) for row in rows]
        scored = list(rows)
        for group in label_groups(range(len(self.prompts))):
            places = [i for i, label in enumerate(own) if label in group]
            for i, row in zip(places, self._among(group, [rows[i] for i in places]), strict=True):
                scored[i] = row
        return scored

    def _among(self, group: Sequence[int], rows: Sequence[SyntheticRow]) -> list[SyntheticRow]:
        """Rows of a group's labels, compared with these."""
        if not rows:
            return []
        texts = [("", row.text1) if row.text2 is None else (row.text1, row.text2) for row in rows]
        scores = self._distinct(group, texts)
        own_first = [row.first_sentence == GENERATED.source for row in rows]
        both = [i for i, own in enumerate(own_first) if own and rows[i].text2 is not None]
        if both:
            scores[both] += self._distinct(group, [("", rows[i].text1) for i in both])
        ratios = label_ratios(scores)
        labels = [group.index(self.card.label_index(str(row.label))) for row in rows]
        return [
            replace(row, label_ratio=float(ratios[i, c]), log_likelihood=float(scores[i, c]))
            for i, (row, c) in enumerate(zip(rows, labels, strict=True))
        ]

    def _distinct(self, group: Sequence[int], texts: Texts) -> Tensor:
        """Scores [N,C] of (source, target) pairs under a group's prompts; equal pairs are scored
        once."""
        place = {text: i for i, text in enumerate(dict.fromkeys(texts))}
        prompts = self.prompts[list(group)]
        scores = log_likelihoods(self.backbone, prompts, list(place), self.frame, self.score)
        return scores[[place[text] for text in texts]]


def log_likelihoods(
    backbone: Backbone,
    prompts: Tensor,
    texts: Texts,
    frame: Frame | None = None,
    score: Score | None = None,
) -> Tensor:
    """log p(target | source, Q_l) of every text under every label's prompt.

    Args:
        prompts: [C,P,H], one prompt per label.
        texts: N pairs (source, target).
        frame: what the generator reads around a source.
        score: scores the batches elsewhere.

    Returns:
        fp64 [N,C] on the CPU, in nats, end mark included.

    Raises:
        UserError: a score is not finite (the text is named), or memory does not hold one text.
    """
    labels, length = prompts.shape[:2]
    sources = [backbone.encode_source(source, length, frame) for source, _ in texts]
    sizes = [
        len(ids) + len(backbone.encode_target(target, source, frame)) + length
        for ids, (source, target) in zip(sources, texts, strict=True)
    ]
    # Texts of one source side by side: a source is then encoded once a label, not once a text.
    order = sorted(range(len(texts)), key=lambda i: (len(sources[i]), texts[i][0], sizes[i], i))
    with torch.no_grad():
        most = most_tokens(backbone, TOKENS_PER_BATCH)
    batches = list(_buckets(sizes, most // labels, order))
    out = torch.zeros(len(texts), labels, dtype=torch.float64)

    def work(batch: list[int]) -> None:
        out[batch] = score_batch(backbone, prompts, [texts[i] for i in batch], frame)

    if score is None:
        with torch.no_grad():
            run_calls(backbone, batches, [labels * size for size in sizes], work)
    else:
        asked = [[texts[i] for i in batch] for batch in batches]
        for batch, scores in zip(batches, score(prompts, frame, asked), strict=True):
            out[batch] = scores
    broken = (~out.isfinite()).any(dim=1).nonzero().flatten().tolist()
    if broken:
        raise UserError(
            f"The generator's score of {texts[broken[0]]!r} is not finite; take backbone.dtype "
            "fp32, or tune it again with a lower generator.learning_rate."
        )
    return out


@torch.no_grad()
def score_batch(
    backbone: Backbone, prompts: Tensor, texts: Texts, frame: Frame | None = None
) -> Tensor:
    """As :func:`log_likelihoods`, [N,C], of texts that are scored at once."""
    labels, length = prompts.shape[:2]
    distinct = {text: backbone.encode_source(text, length, frame) for text, _ in texts}
    place = {text: number * labels for number, text in enumerate(distinct)}
    targets = [backbone.encode_target(target, source, frame) for source, target in texts]
    scores = backbone.token_log_probs(
        SharedPrompts(prompts, list(range(labels)) * len(distinct)),
        [source for source in distinct.values() for _ in range(labels)],
        [target for target in targets for _ in range(labels)],
        source_of=[place[text] + label for text, _ in texts for label in range(labels)],
    )
    summed = (scores.log_probs.double() * scores.mask).sum(dim=1)
    return summed.view(len(texts), labels).cpu()


def label_ratios(log_likelihoods: Tensor) -> Tensor:
    """Sentence version of the ratio in (3), method.md §2: p(x|Q_l) / sum_l' p(x|Q_l').

    [N,C] log-likelihoods -> [N,C], rows sum to 1.
    """
    return torch.softmax(log_likelihoods, dim=-1)


def _buckets(sizes: Sequence[int], budget: int, order: Sequence[int]) -> Iterator[list[int]]:
    """Indices in batches, in this order, no batch wider x longer than the budget."""
    batch: list[int] = []
    widest = 0
    for i in order:
        widest = max(widest, sizes[i])
        if batch and widest * (len(batch) + 1) > budget:
            yield batch
            batch, widest = [], sizes[i]
        batch.append(i)
    if batch:
        yield batch
