"""What an exported script must know, for ``task.json``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dawgen.backbone.text import answered

if TYPE_CHECKING:
    from torch import Tensor

    from dawgen.backbone import Backbone
    from dawgen.tasks import TaskCard


def about_task(card: TaskCard) -> dict[str, Any]:
    """What rows are, and what they can be labelled."""
    return {
        "task": card.name,
        "labels": card.labels,
        "columns": {role: card.columns[role] for role in card.roles},
    }


def about_prompt(card: TaskCard, backbone: Backbone, prompt: Tensor) -> dict[str, Any]:
    """The same, and how a row is read behind a prompt [P,H]."""
    return about_task(card) | about_reading(card, backbone, len(prompt))


def about_reading(card: TaskCard, backbone: Backbone, prompt_length: int) -> dict[str, Any]:
    """How a row is filled in, and what stands for a label."""
    words, template, answer = backbone.label_word_ids(card), backbone.template(card), ""
    if not backbone.is_encoder_decoder:  # read with a word behind, which is then taken off
        template = template.rstrip(" ")
        answer = answered(template, card.label_words[card.labels[0]]).removeprefix(template)
    return {
        "template": template,
        "answer": answer,
        "answer_tokens": len(words[0]) if answer else 0,
        "label_words": [card.label_words[label] for label in card.labels],
        "label_word_ids": words,
        "encoder_decoder": backbone.is_encoder_decoder,
        "decoder_start": backbone.decoder_start if backbone.is_encoder_decoder else [],
        "end_id": backbone.end_id,
        "special_tokens": [str(token) for token in backbone.tokenizer.all_special_tokens],
        "prompt_length": prompt_length,
        "max_length": backbone.max_length,
        "dtype": str(backbone.dtype).removeprefix("torch."),
    }
