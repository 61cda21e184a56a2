"""The engine and the decoding of a task, from settings, card, few shots and model."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor

from dawgen.backbone import Backbone
from dawgen.backbone.frame import Frame
from dawgen.decoding.base import Decoding, Engine
from dawgen.decoding.ctranslate2 import CTranslate2Engine, UnsupportedError
from dawgen.decoding.transformers import TransformersEngine
from dawgen.errors import UserError
from dawgen.settings import SynthesisSettings
from dawgen.tasks import Row, TaskCard
from dawgen.terminal.progress import say


def choose_engine(
    settings: SynthesisSettings, backbone: Backbone, prompts: Tensor, decoding: Decoding
) -> Engine:
    """The engine that ``settings.engine`` names; says in one line what ``auto`` takes.

    ``auto`` takes ``transformers``, whose rows depend on their own seeds only, unless int8 is
    asked for, which only ``ctranslate2`` has. How much quicker the one or the other is here:
    ``python -m benchmarks.synthesis``.

    Args:
        prompts: [C,P,H], one soft prompt per label.

    Raises:
        UserError: the engine named cannot do what is asked.
    """
    check_engine(settings)
    int8 = settings.quantization == "int8"
    if settings.engine == "ctranslate2":
        return CTranslate2Engine(backbone, prompts, decoding, settings.quantization)
    if settings.engine == "auto" and int8:
        try:
            engine = CTranslate2Engine(backbone, prompts, decoding, settings.quantization)
        except UnsupportedError as error:
            say(f"  decoding with transformers, and so without int8: {error}")
        else:
            say("  decoding with ctranslate2, which has int8")
            return engine
    elif settings.engine == "auto":
        say("  decoding with transformers")
    return TransformersEngine(backbone, prompts, decoding)


def check_engine(settings: SynthesisSettings) -> None:
    """Raise UserError where the named engine does not support the settings, whatever the model."""
    if settings.engine == "transformers" and settings.quantization == "int8":
        raise UserError(
            "The engine transformers does not quantize; set synthesis.engine to auto or "
            "ctranslate2, or synthesis.quantization to none."
        )


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
            model has positions for; shots in context of a model that has no such thing.
    """
    named = settings.for_card(card)
    if named.shots_in_context and backbone.is_encoder_decoder:
        raise UserError(
            f"{backbone.name} is a sequence-to-sequence model and reads no earlier turns; set "
            "synthesis.shots_in_context to 0."
        )
    texts = [row.text1 if row.text2 is None or writes_first else row.text2 for row in shots]
    texts += [row.text2 for row in shots if row.text2 is not None]
    lengths = [len(backbone.encode_target(text, frame=frame)) for text in texts]
    longest = min(named.max_new_tokens, math.ceil(named.longest_text * max(lengths)))
    room = backbone.text_room(prompt_length, frame, turns=named.shots_in_context > 0)
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


def _penalties(setting: float | dict[str, float], card: TaskCard) -> float | tuple[float, ...]:
    """One number, or one for each of the card's labels."""
    if not isinstance(setting, dict):
        return setting
    unknown = sorted(set(setting) - set(card.labels))
    if unknown:
        raise UserError(
            f"synthesis.repetition_penalty has {unknown[0]!r}, which is no label of {card.name}; "
            f"its labels are {', '.join(card.labels)}."
        )
    return tuple(setting.get(label, 1.0) for label in card.labels)
