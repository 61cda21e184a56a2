"""What methods of transfer ask of their source task."""

from __future__ import annotations

from dataclasses import replace

from dawgen.errors import UserError
from dawgen.methods.base import Source
from dawgen.tasks import Row, TaskCard


def labelled_rows(source: Source, method: str) -> list[Row]:
    """The source's rows, all of them labelled."""
    bare = next((i for i, row in enumerate(source.rows, 1) if row.label is None), None)
    if not source.rows or bare is not None:
        what = "there are none" if bare is None else f"row {bare} has no label"
        raise UserError(
            f"{method} learns from labelled rows of {source.card.name}, and {what}; "
            f"give labelled ones."
        )
    return list(source.rows)


def match_labels(source: TaskCard, target: TaskCard) -> dict[str, str]:
    """The target's label for each label of the source: of the same name, else of the same word."""
    if set(source.labels) == set(target.labels):
        return {label: label for label in source.labels}
    by_word = {target.label_words[label]: label for label in target.labels}
    words = [source.label_words[label] for label in source.labels]
    if set(words) == set(by_word):
        return {label: by_word[word] for label, word in zip(source.labels, words, strict=True)}
    raise UserError(
        f"The labels of {source.name} ({', '.join(source.labels)}) are not those of "
        f"{target.name} ({', '.join(target.labels)}), by name or by label word; "
        f"take a source task with the target's labels."
    )


def as_target(source: Source, target: TaskCard, method: str) -> Source:
    """The source with the target's labels and label words, in the target's order.

    The template stays the source's own, so one prompt reads both tasks and answers alike.

    Raises:
        UserError: as :func:`labelled_rows` and :func:`match_labels`.
    """
    labels = match_labels(source.card, target)
    rows = [
        replace(row, label=labels[row.label])
        for row in labelled_rows(source, method)
        if row.label is not None
    ]
    changes = {key: getattr(target, key) for key in ("labels", "label_words", "label_prompts")}
    return Source(source.card.model_copy(update=changes), rows)
