"""How a task's texts are decoded, from settings, card and few shots."""

from __future__ import annotations

import math
from collections.abc import Sequence

from dawgen.backbone import Backbone
from dawgen.backbone.frame import Frame
from dawgen.decoding.base import Decoding
from dawgen.errors import UserError
from dawgen.settings import SynthesisSettings
from dawgen.tasks import Row, TaskCard


def decoding_of(
    settings: SynthesisSettings,
    card: TaskCard,
    shots: Sequence[Row],
    backbone: Backbone,
    prompt_length: int,
    *,
    writes_first: bool,
    frame: Frame | None = None,
) -> Decoding:
    """The settings, over the card's own, with length bounds from the few shots.

    Args:
        prompt_length: vectors of a label prompt.
        writes_first: whether the generator writes text1 of pairs too.
        frame: what the generator reads around a source.

    Raises:
        UserError: a repetition penalty for a label that the task has not; texts longer than the
            model has positions for.
    """
    named = settings.for_card(card)
    texts = [row.text1 if row.text2 is None or writes_first else row.text2 for row in shots]
    texts += [row.text2 for row in shots if row.text2 is not None]
    lengths = [len(backbone.encode_target(text, frame=frame)) for text in texts]
    longest = min(named.max_new_tokens, math.ceil(named.longest_text * max(lengths)))
    room = backbone.text_room(prompt_length, frame)
    if room is not None and longest > room:
        raise UserError(
            f"Texts of up to {longest} tokens do not fit behind a label prompt of {prompt_length} "
            f"and its source, for which {backbone.name} has too few positions; lower "
            f"synthesis.max_new_tokens to {room}."
            if room > 0
            else f"generator.prompt_length = {prompt_length} leaves {backbone.name} no position "
            "to write in; lower it."
        )
    shortest = math.floor(named.shortest_text * (min(lengths) - 1))  # the end mark is no text
    return Decoding(
        temperature=named.temperature,
        top_k=named.top_k,
        top_p=named.top_p,
        repetition_penalty=_penalties(named.repetition_penalty, card),
        min_new_tokens=min(shortest, longest - 1),
        max_new_tokens=longest,
        batch_size=named.batch_size,
        frame=frame,
    )


def _penalties(given: float | dict[str, float], card: TaskCard) -> float | tuple[float, ...]:
    """One number, or one for each of the card's labels."""
    if not isinstance(given, dict):
        return given
    unknown = sorted(set(given) - set(card.labels))
    if unknown:
        raise UserError(
            f"synthesis.repetition_penalty has {unknown[0]!r}, which is no label of {card.name}; "
            f"its labels are {', '.join(card.labels)}."
        )
    return tuple(given.get(label, 1.0) for label in card.labels)
