"""Zero-shot label scores, perplexity and sampling with the backbone, for evaluation only."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from tokenizers import Tokenizer
from transformers import BartForConditionalGeneration

from tools.pretrain import loss, text
from tools.pretrain.mixture import PROMPT_LENGTH
from tools.pretrain.vocabulary import piece_id

LONGEST_TARGET = 48


def batches(lengths: Sequence[int], budget: int = 8192) -> Iterator[list[int]]:
    """Indices sorted by length, in groups of at most ``budget`` padded tokens."""
    group: list[int] = []
    for index in sorted(range(len(lengths)), key=lengths.__getitem__):
        if group and (len(group) + 1) * lengths[index] > budget:
            yield group
            group = []
        group.append(index)
    if group:
        yield group


def padded(
    model: BartForConditionalGeneration, rows: list[list[int]]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids and mask, both [B,T], of rows padded on the right."""
    padding = int(model.config.pad_token_id or 0)
    ids = loss.pad(rows, padding, model.device)
    return ids, ids.ne(padding).long()


@torch.inference_mode()
def label_scores(
    model: BartForConditionalGeneration,
    tokenizer: Tokenizer,
    card: text.Card,
    pairs: list[text.Pair],
    prefix: Sequence[int] = (),
) -> torch.Tensor:
    """Log-probabilities [N,C] of the card's label words, over the label words only."""
    cls, sep = piece_id(tokenizer, "[CLS]"), piece_id(tokenizer, "[SEP]")
    words = [piece_id(tokenizer, card.label_words[label]) for label in card.labels]
    encoded = tokenizer.encode_batch(
        [card.fill(p.text1, p.text2) for p in pairs], add_special_tokens=False
    )
    sources = [[*prefix, cls, *e.ids[:480], sep] for e in encoded]
    scores = torch.zeros(len(pairs), len(words))
    table = model.model.shared.weight[words]
    for group in batches([len(row) for row in sources]):
        source, mask = padded(model, [sources[i] for i in group])
        hidden = model.model(
            input_ids=source,
            attention_mask=mask,
            decoder_input_ids=torch.full((len(group), 1), cls, device=model.device),
            use_cache=False,
        )[0][:, 0]
        scores[group] = torch.log_softmax((hidden @ table.T).float(), -1).cpu()
    return scores


def accuracy(scores: torch.Tensor, card: text.Card, pairs: list[text.Pair]) -> float:
    """Share of the rows whose best label is the gold one."""
    gold = torch.tensor([card.labels.index(pair.label) for pair in pairs])
    return float((scores.argmax(-1) == gold).float().mean())


@torch.inference_mode()
def continuation_perplexity(
    model: BartForConditionalGeneration, tokenizer: Tokenizer, lines: list[str], mark: str
) -> float:
    """Perplexity per piece of the second part of each line, given its first third."""
    cls, sep = piece_id(tokenizer, "[CLS]"), piece_id(tokenizer, "[SEP]")
    sources, targets = [], []
    for line in lines:
        ids = tokenizer.encode(text.with_end(line, mark), add_special_tokens=False).ids
        cut = max(1, len(ids) // 3)
        if len(ids) >= 6 and len(ids) - cut <= LONGEST_TARGET:
            sources.append([cls, *ids[:cut], sep])
            targets.append([*ids[cut:], sep])
    total, count = 0.0, 0
    for group in batches([len(row) for row in targets], 2048):
        plain, _, _ = loss.token_losses(
            model, [sources[i] for i in group], [targets[i] for i in group], freeze_encoder=True
        )
        total, count = total + float(plain.sum()), count + len(plain)
    return math.exp(total / count)


@torch.inference_mode()
def write(
    model: BartForConditionalGeneration,
    tokenizer: Tokenizer,
    prompt: str,
    firsts: list[str],
    *,
    temperature: float,
    top_k: int,
    seed: int,
    batch: int = 64,
    longest: int = LONGEST_TARGET,
) -> tuple[list[str], list[list[int]]]:
    """A second sentence for each first one, sampled under a label prompt cycled to 20 pieces.

    Returns:
        the texts, and their piece ids including the end mark where there is one.
    """
    cls, sep = piece_id(tokenizer, "[CLS]"), piece_id(tokenizer, "[SEP]")
    ids = tokenizer.encode(prompt, add_special_tokens=False).ids
    prefix = [ids[i % len(ids)] for i in range(PROMPT_LENGTH)]
    encoded = tokenizer.encode_batch(firsts, add_special_tokens=False)
    sources = [[*prefix, cls, *e.ids[:200], sep] for e in encoded]
    out: list[list[int]] = [[] for _ in firsts]
    order = sorted(range(len(firsts)), key=lambda i: len(sources[i]))
    torch.manual_seed(seed)
    generate: Any = model.generate  # its declared self type fits no model class
    for at in range(0, len(order), batch):
        group = order[at : at + batch]
        source, mask = padded(model, [sources[i] for i in group])
        found = generate(
            input_ids=source,
            attention_mask=mask,
            do_sample=top_k > 1,
            temperature=temperature if top_k > 1 else None,
            top_k=top_k if top_k > 1 else None,
            top_p=None,
            max_new_tokens=longest + 1,
        )
        for index, row in zip(group, found.tolist(), strict=True):
            pieces = row[1:]
            if sep in pieces:
                pieces = pieces[: pieces.index(sep) + 1]
            out[index] = pieces
    texts = [tokenizer.decode(row, skip_special_tokens=True) for row in out]
    return texts, out
