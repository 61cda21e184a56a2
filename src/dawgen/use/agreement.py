"""How often a classifier gives a row the label that the row was written for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from dawgen.backbone import load_backbone
from dawgen.errors import UserError, first_line
from dawgen.prompts import load_prompt
from dawgen.settings import Settings
from dawgen.synthesis.shards import label_name
from dawgen.tasks import Row, TaskCard
from dawgen.use.classifier import Classifier

_BATCH = 64


def agreement(
    classifier: Path, card: TaskCard, rows: Sequence[Row], settings: Settings
) -> dict[str, Any]:
    """Shares of the rows to which the classifier gives their own label.

    It is told apart from truth: a classifier that errs as the generator does agrees with it.

    Args:
        classifier: the folder of a transformers sequence-classification model, of a dawgen run,
            or of a tuned prompt (for the backbone of ``settings``).

    Raises:
        UserError: the folder is none of these, or its labels are not the task's.
    """
    predictions = _predictions(classifier, card, rows, settings)
    pairs = Counter(zip((row.label for row in rows), predictions, strict=True))

    def share(labels: Sequence[str], n: int) -> float | None:
        return round(sum(pairs[label, label] for label in labels) / n, 4) if n else None

    by_label = {}
    for label in card.labels:
        predicted = {name: pairs[label, name] for name in card.labels}
        n = sum(predicted.values())
        by_label[label] = {"rows": n, "agreement": share([label], n), "predicted": predicted}
    whole = share(card.labels, len(rows))
    return {"classifier": classifier.resolve().name, "all": whole, "labels": by_label}


def _predictions(
    classifier: Path, card: TaskCard, rows: Sequence[Row], settings: Settings
) -> list[str]:
    """The label that the classifier gives to each row."""
    check_classifier(classifier)
    if (classifier / "task.yaml").is_file():
        prompted = Classifier.load(classifier)
        if set(prompted.labels) != set(card.labels):
            raise _other_labels(classifier, prompted.labels, card)
    elif (classifier / "adapter_config.json").is_file():
        backbone = load_backbone(settings.backbone)
        prompted = Classifier(card, backbone, load_prompt(classifier, backbone), settings)
    else:
        return _sequence_classification(classifier, card, rows)
    return prompted.names(prompted.of_rows(rows))


def check_classifier(folder: Path) -> None:
    """Raise UserError where the folder holds none of the three, before any long work."""
    if not any((folder / n).is_file() for n in ("task.yaml", "adapter_config.json", "config.json")):
        raise UserError(
            f"{folder} holds no classifier: name the folder of a transformers "
            "sequence-classification model, of a dawgen run or of a tuned prompt."
        )


def _other_labels(classifier: Path, labels: Sequence[str], card: TaskCard) -> UserError:
    return UserError(
        f"The classifier {classifier} knows the labels {', '.join(map(str, labels))}, but task "
        f"{card.name} has {', '.join(card.labels)}; name one that was trained for this task."
    )


@torch.no_grad()
def _sequence_classification(classifier: Path, card: TaskCard, rows: Sequence[Row]) -> list[str]:
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(classifier)
        model = AutoModelForSequenceClassification.from_pretrained(classifier, use_safetensors=True)
    except (OSError, ValueError) as error:
        reason = first_line(error)
        raise UserError(f"The classifier {classifier} cannot be loaded: {reason}.") from None
    names = [model.config.id2label[i] for i in range(model.config.num_labels)]
    labels = [_label(str(name), card) for name in names]
    if set(labels) != set(card.labels):
        raise _other_labels(classifier, names, card)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model.eval().to(device)
    found: list[str] = []
    for start in range(0, len(rows), _BATCH):
        batch = rows[start : start + _BATCH]
        seconds = [row.text2 or "" for row in batch] if card.is_pair else None
        inputs = tokenizer(
            [row.text1 for row in batch],
            seconds,
            truncation=True,
            padding=True,
            split_special_tokens=True,  # "[SEP]" in a text is text
            return_tensors="pt",
        )
        chosen = model(**inputs.to(device)).logits.argmax(dim=-1).tolist()
        found += [labels[i] for i in chosen]
    return found


def _label(name: str, card: TaskCard) -> str:
    """The task's label by the classifier's name for it: NOT-ENTAILMENT, LABEL_1 and the like."""
    plain = {_plain(label): label for label in card.labels}
    return plain.get(_plain(name)) or label_name(name.upper().removeprefix("LABEL_"), card)


def _plain(name: str) -> str:
    return name.casefold().replace("-", "_").replace(" ", "_")
