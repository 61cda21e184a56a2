"""A tuned prompt and its backbone, loaded once, for labelling rows from Python."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from dawgen.backbone import Backbone, load_backbone
from dawgen.errors import UserError
from dawgen.evaluation import predict as probabilities_of
from dawgen.settings import Settings
from dawgen.tasks import Row, TaskCard
from dawgen.tasks.texts import as_texts
from dawgen.use.finished import load_run_prompt, open_run

Text = str | tuple[str, str] | Sequence[str]
"""A text, or for a pair task two."""


class Classifier:
    """A finished run as a classifier.

        classifier = Classifier.load("runs/mood")
        classifier.predict(["Could not stop reading.", "A waste of an evening."])

    Attributes:
        card: the task.
        labels: C labels, in the order of every [C] axis.
    """

    def __init__(
        self, card: TaskCard, backbone: Backbone, prompt: Tensor, settings: Settings
    ) -> None:
        self.card, self.labels = card, list(card.labels)
        self._backbone, self._prompt, self._settings = backbone, prompt, settings

    @property
    def fingerprint(self) -> str:
        """Of the backbone."""
        return self._backbone.fingerprint

    @classmethod
    def load(cls, folder: str | Path, overrides: Sequence[str] = ()) -> Classifier:
        """From a run folder.

        Args:
            overrides: settings of this machine, such as ``backbone.device=cpu``.

        Raises:
            UserError: it is no finished run, or its backbone cannot be loaded.
        """
        card, settings = open_run(folder, overrides)
        backbone = load_backbone(settings.backbone)
        return cls(card, backbone, load_run_prompt(folder, backbone), settings)

    def predict_proba(self, rows: Sequence[Text]) -> npt.NDArray[np.float32]:
        """p(label) [N,C] of texts, or of pairs of texts for a pair task.

        Args:
            rows: a list, an array, a Series, or a data frame, which is read by the task's names
                of its columns where it has these, else must have one column per text.

        Raises:
            UserError: a row is missing, empty or has not as many texts as the task; it is named.
        """
        return self.of_rows(self.as_rows(rows))

    def as_rows(self, rows: Sequence[Text]) -> list[Row]:
        """Texts, or pairs of texts, as rows of the task; raises as :meth:`predict_proba`."""
        roles = self.card.roles
        texts = as_texts(
            rows, width=len(roles), columns=[self.card.columns[role] for role in roles]
        )
        return [Row(row[0], row[1] if self.card.is_pair else None, None) for row in texts]

    def predict(self, rows: Sequence[Text], abstain_below: float | None = None) -> list[str | None]:
        """The likeliest label of each row; None where its probability is under the threshold.

        Raises:
            UserError: as :meth:`predict_proba`, or the threshold is no probability.
        """
        check_threshold(abstain_below)
        chances = self.predict_proba(rows)
        return [
            None if abstain_below is not None and row.max() < abstain_below else label
            for row, label in zip(chances, self.names(chances), strict=True)
        ]

    def names(self, probabilities: npt.NDArray[np.floating[Any]]) -> list[str]:
        """The likeliest labels of probabilities [N,C]."""
        return [self.labels[place] for place in probabilities.argmax(axis=1)]

    def of_rows(self, rows: Sequence[Row]) -> npt.NDArray[np.float32]:
        """p(label) [N,C] of rows that were read from a file."""
        if not rows:
            return np.zeros((0, len(self.labels)), dtype=np.float32)
        return probabilities_of(
            self._backbone,
            self.card,
            self._prompt,
            rows,
            tokens_per_batch=self._settings.evaluation.tokens_per_batch,
        )


def check_threshold(abstain_below: float | None) -> None:
    """Raise UserError where the threshold for abstaining is no probability."""
    if abstain_below is None:
        return
    number = isinstance(abstain_below, int | float | np.number)
    if not number or isinstance(abstain_below, bool) or not 0 <= abstain_below <= 1:
        raise UserError(f"abstain_below is a probability, from 0 to 1, not {abstain_below!r}.")
