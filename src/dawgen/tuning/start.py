"""What an arm's prompt starts from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from dawgen.prompts import cycle_tokens, random_normal, sample_tokens
from dawgen.settings import TuningSettings
from dawgen.streams import Streams

if TYPE_CHECKING:
    from dawgen.backbone import Backbone
    from dawgen.tasks import TaskCard

FREQUENT_WORDS = 5000  # as many as Lester et al. 2021 draw from


def start_prompt(
    backbone: Backbone,
    card: TaskCard,
    settings: TuningSettings,
    seed: int,
) -> Tensor:
    """The prompt [P, H] in fp32 before the first step.

    ``instruction``: the tokens of the card's instruction, cycled to P; ``label-words``: the
    label words' vectors, then frequent words drawn for the rest, as Lester et al. 2021 do;
    ``vocabulary``: frequent words alone; ``random``: normal numbers on the scale of all embeddings.
    Words enter as the model itself embeds them, which some models scale: Gemma by the square root
    of its width.
    """
    rng = Streams(seed).numpy("tuning", "start")
    length = settings.prompt_length
    if settings.init == "random":
        every = torch.arange(len(backbone.table()), device=backbone.device)
        return random_normal(backbone.embed(every), length, rng)
    ids: list[int] = []
    if settings.init == "instruction":
        ids = cycle_tokens(backbone.text_ids(card.instruction), length)
    elif settings.init == "label-words":
        ids = [token for word in backbone.label_word_ids(card) for token in word][:length]
    if len(ids) < length:
        ids += sample_tokens(frequent_words(backbone), length - len(ids), rng)
    tokens = torch.tensor(ids, device=backbone.device)
    return backbone.embed(tokens).detach().to(torch.float32, copy=True)


def frequent_words(backbone: Backbone, count: int = FREQUENT_WORDS) -> list[int]:
    """The first tokens of the vocabulary that are words of letters, ``count`` at most.

    Vocabularies list their pieces from frequent to rare. Specials and padding rows are never
    among them. A vocabulary without such words gives its first ordinary tokens.
    """
    ordinary = backbone.ordinary_token_ids()
    words: list[int] = []
    for token in ordinary:
        text = backbone.decode([token])
        if len(text) > 1 and text.isascii() and text.isalpha():
            words.append(token)
            if len(words) == count:
                break
    return words or ordinary[:count]
