"""What a tuned generator makes of every token of the few shots, for people and programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from dawgen.generator.examples import Shot
from dawgen.generator.fit import token_weights
from dawgen.generator.generator import Generator

if TYPE_CHECKING:
    from dawgen.backbone import Backbone
    from dawgen.tasks import Row, TaskCard

Texts = list[dict[str, Any]]


def weighted_texts(
    generator: Generator,
    shots: Sequence[Shot],
    rows: Sequence[Row],
    card: TaskCard,
    backbone: Backbone,
) -> Texts:
    """The few-shot texts that carry loss, token by token.

    Args:
        shots: as the generator was tuned on them.
        rows: the few-shot rows, which ``shots`` number.

    Returns:
        For each text its ``row`` (from 0), ``label``, the text it is written after (``source``,
        "" for none) and its ``tokens``: ``text`` (with the space before it, "" for the end
        mark), ``weight`` in (2), of mean 1 over all tokens, and ``label_ratio``, that of (3).
    """
    weights, ratios, mask = token_weights(generator, shots, backbone)
    texts: Texts = []
    for shot in shots:
        for place, example in enumerate(shot.examples):
            i = len(texts)
            pieces = token_texts(backbone, example.target)
            first = rows[shot.row].text2 is None or place < len(shot.examples) - 1
            texts.append(
                {
                    "row": shot.row,
                    "label": card.labels[shot.label],
                    "source": "" if first else rows[shot.row].text1,
                    "tokens": [
                        {"text": piece, "weight": round(w, 4), "label_ratio": round(r, 4)}
                        for piece, w, r in zip(
                            pieces,
                            weights[i][mask[i]].tolist(),
                            ratios[i][mask[i]].tolist(),
                            strict=True,
                        )
                    ],
                }
            )
    return texts


def token_texts(backbone: Backbone, ids: Sequence[int]) -> list[str]:
    """What each token adds to the text, which all of them give together."""
    pieces: list[str] = []
    before = ""
    for end in range(1, len(ids) + 1):
        after = backbone.decode(ids[:end])
        whole = after.startswith(before)
        pieces.append(after[len(before) :] if whole else backbone.decode(ids[end - 1 : end]))
        before = after
    return pieces
