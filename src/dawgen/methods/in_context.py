"""In-context learning: the few shots stand before the row as demonstrations (Brown et al. 2020).

The paper's "in-context learning" row; it says no more than that as many demonstrations are given
as fit. Ours: they come in whole rounds of one per label, so that no label is shown more often than
another, in an order drawn by the seed. A demonstration is the filled template and its label word;
a sequence-to-sequence model reads all of it with its encoder.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from dawgen.backbone import Backbone
from dawgen.backbone.text import answered
from dawgen.errors import UserError
from dawgen.evaluation.predict import label_probabilities
from dawgen.methods.base import Prediction, Task
from dawgen.settings import Settings
from dawgen.streams import Streams
from dawgen.tasks import Row, Shots, TaskCard

Demonstrations = list[list[int]]  # token ids of each


def in_context(
    task: Task, shots: Shots, backbone: Backbone, settings: Settings, streams: Streams
) -> Prediction:
    """p(label word | demonstrations, template) of every row.

    Raises:
        UserError: fewer demonstrations are asked for than one per label.
    """
    card = task.card
    words = backbone.label_word_ids(card)
    # A causal model's label word needs room behind the input; a decoder has its own.
    answer = 0 if backbone.is_encoder_decoder else max(len(word) for word in words)
    room = backbone.max_length - answer
    rounds = draw_rounds(card, shots.train, backbone, streams, room)[: _most_rounds(card, settings)]
    lead = len(backbone.texts.around[0])
    inputs, counts = [], []
    for row in backbone.encode_rows(card, task.rows, 0):
        chosen = fitting(rounds, room - len(row))
        shown = [token for demonstration in chosen for token in demonstration]
        inputs.append([*row[:lead], *shown, *row[lead:]])
        counts.append(len(chosen))
    found = label_probabilities(
        backbone, inputs, words, tokens_per_batch=settings.evaluation.tokens_per_batch
    )
    shown_counts = counts or [0]
    details = {
        "demonstrations_min": min(shown_counts),
        "demonstrations_median": median(shown_counts),
        "demonstrations_max": max(shown_counts),
        "rows_without_demonstrations": sum(count == 0 for count in shown_counts),
    }
    return Prediction(found, details)


def _most_rounds(card: TaskCard, settings: Settings) -> int | None:
    most = settings.methods.in_context.demonstrations
    if most is None:
        return None
    if most < len(card.labels):
        raise UserError(
            f"{card.name}: methods.in_context.demonstrations = {most} is fewer than one for each "
            f"of the {len(card.labels)} labels; set at least {len(card.labels)}."
        )
    return most // len(card.labels)


def draw_rounds(
    card: TaskCard, rows: Sequence[Row], backbone: Backbone, streams: Streams, room: int
) -> list[Demonstrations]:
    """Rounds of one demonstration per label: which, and in which order, is drawn by the seed.

    A demonstration that would not fit ``room`` tokens on its own is left out, and so are the
    rows of a label beyond those of the scarcest.
    """
    pools = []
    for label in card.labels:
        own = [encode_demonstration(card, row, backbone) for row in rows if row.label == label]
        order = streams.numpy("in-context", "rows", label).permutation(len(own))
        pools.append([own[i] for i in order if len(own[i]) <= room])
    stream = streams.numpy("in-context", "labels")
    return [
        [members[i] for i in stream.permutation(len(members))]
        for members in zip(*pools, strict=False)
    ]


def encode_demonstration(card: TaskCard, row: Row, backbone: Backbone) -> list[int]:
    """The filled template, the label word and a new line, where the tokenizer has one.

    Where it has none (T5, BERT) white space is no token, and what follows starts a word anyway.
    """
    assert row.label is not None
    filled = backbone.fill(backbone.marked(card), row)
    ids = backbone.text_ids(answered(filled, card.label_words[row.label]))
    line = backbone.text_ids("\n")
    return [*ids, *line] if "\n" in backbone.tokenizer.decode(line) else ids


def fitting(rounds: Sequence[Demonstrations], room: int) -> Demonstrations:
    """The demonstrations of the rounds that fit ``room`` tokens; one that does not is passed."""
    chosen: Demonstrations = []
    for members in rounds:
        size = sum(len(member) for member in members)
        if size <= room:
            chosen += members
            room -= size
    return chosen
