"""What a run ships and the models it needs, loaded once, for labelling rows from Python."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, overload

import numpy as np
import numpy.typing as npt
from torch import Tensor

from dawgen.backbone import Backbone
from dawgen.errors import UserError
from dawgen.many.rows import names_of
from dawgen.many.scores import YES
from dawgen.selection.parts import Models, PromptPart
from dawgen.selection.store import Choice, load_choice
from dawgen.settings import Settings
from dawgen.tasks import Row, TaskCard
from dawgen.tasks.texts import as_texts
from dawgen.use.finished import CHOICE, PROMPT, load_run_prompt, open_run

Use = Literal["choice", "prompt"]
_MOST_SHOWN = 6
"""Labels that a classifier's repr names."""
Text = str | tuple[str, str] | Sequence[str]
"""A text, or for a pair task two."""
Chances = npt.NDArray[np.float32]


class Classifier:
    """A finished run as a classifier.

        classifier = Classifier.load("runs/mood")
        classifier.predict(["Could not stop reading.", "A waste of an evening."])
        classifier.predict("Could not stop reading.")

    Attributes:
        card: the task.
        labels: C labels, in the order of every [C] axis.
        name: which of the run's candidates it is, such as ``prompt`` or ``embeddings``.
    """

    def __init__(
        self, card: TaskCard, backbone: Backbone, prompt: Tensor, settings: Settings
    ) -> None:
        models = Models(card, settings, backbone)
        self._take(Choice(PROMPT, [PromptPart(PROMPT, prompt, models)]), models)

    def _take(self, choice: Choice, models: Models) -> None:
        self.card, self.labels = models.card, list(models.card.labels)
        self.name = choice.name
        self._choice, self._models = choice, models

    def __repr__(self) -> str:
        labels = ", ".join(map(repr, self.labels[:_MOST_SHOWN]))
        more = len(self.labels) - _MOST_SHOWN
        also = f" and {more} more" if more > 0 else ""
        return f"Classifier(task {self.card.name!r}, {self.name}; labels {labels}{also})"

    @property
    def fingerprint(self) -> str:
        """Of the models that it reads with."""
        return " ".join(
            getattr(self._models, name).fingerprint for name in sorted(self._choice.reads_with)
        )

    @classmethod
    def load(
        cls, folder: str | Path, overrides: Sequence[str] = (), use: Use = "choice"
    ) -> Classifier:
        """From a run folder.

        Args:
            overrides: settings of this machine, such as ``backbone.device=cpu``.
            use: what the run has chosen, or its tuned prompt in any case.

        Raises:
            UserError: it is no finished run, or a model that it needs cannot be loaded.
        """
        card, settings = open_run(folder, overrides)
        models = Models(card, settings)
        classifier = cls.__new__(cls)
        classifier._take(read_choice(folder, models, use), models)
        return classifier

    def predict_proba(self, rows: Text | Sequence[Text]) -> Chances:
        """p(label) [N,C] of texts, or of pairs of texts for a pair task; [C] of a single one.

        Args:
            rows: a list, an array, a Series, or a data frame, which is read by the task's names
                of its columns where it has these, else must have one column per text. Or one
                text: a string, and for a pair task a tuple of two.

        Raises:
            UserError: a row is missing, empty or has not as many texts as the task; it is named.
        """
        if self._is_one(rows):
            return self.of_rows(self.as_rows([rows]))[0]  # type: ignore[list-item]
        return self.of_rows(self.as_rows(rows))

    def _is_one(self, rows: object) -> bool:
        """Whether it is one row instead of several."""
        if not self.card.is_pair:
            return isinstance(rows, str)
        if isinstance(rows, tuple):
            return len(rows) == 2 and all(isinstance(part, str) for part in rows)
        return isinstance(rows, str)

    def as_rows(self, rows: Text | Sequence[Text]) -> list[Row]:
        """Texts, or pairs of texts, as rows of the task; raises as :meth:`predict_proba`."""
        roles = self.card.roles
        texts = as_texts(
            rows, width=len(roles), columns=[self.card.columns[role] for role in roles]
        )
        return [Row(row[0], row[1] if self.card.is_pair else None, None) for row in texts]

    @overload
    def predict(  # type: ignore[overload-overlap]
        self, rows: str | tuple[str, str], abstain_below: float | None = None
    ) -> str | None: ...

    @overload
    def predict(
        self, rows: Sequence[Text], abstain_below: float | None = None
    ) -> list[str | None]: ...

    def predict(
        self, rows: Text | Sequence[Text], abstain_below: float | None = None
    ) -> str | list[str | None] | None:
        """The likeliest label of each row; None where its probability is under the threshold.

        Of a task of several labels per text, all that it has, with ``|`` between them.

        Args:
            rows: as :meth:`predict_proba`: many rows give a list, one text its label.

        Raises:
            UserError: as :meth:`predict_proba`, or the threshold is no probability.
        """
        check_threshold(abstain_below)
        if self.card.takes_many and abstain_below is not None:
            raise UserError("abstain_below is for one label per text; here a text may have none.")
        chances = np.atleast_2d(self.predict_proba(rows))
        labels: list[str | None] = [
            None if abstain_below is not None and row.max() < abstain_below else label
            for row, label in zip(chances, self.names(chances), strict=True)
        ]
        return labels[0] if self._is_one(rows) else labels

    def names(self, probabilities: npt.NDArray[np.floating[Any]]) -> list[str]:
        """The likeliest labels of probabilities [N,C]; of a task of several labels per text those
        of probability 0.5 and more, with ``|`` between them."""
        if self.card.takes_many:
            return names_of(self.card, probabilities >= YES)
        return [self.labels[place] for place in probabilities.argmax(axis=1)]

    def of_rows(self, rows: Sequence[Row]) -> npt.NDArray[np.float32]:
        """p(label) [N,C] of rows that were read from a file."""
        if not rows:
            return np.zeros((0, len(self.labels)), dtype=np.float32)
        return self._choice.probabilities(rows)


def read_choice(folder: str | Path, models: Models, use: Use = "choice") -> Choice:
    """What labels a finished run's rows: its choice, or its tuned prompt where it has not chosen.

    Raises:
        UserError: a file is damaged, or a model cannot be loaded.
    """
    home = Path(folder) / CHOICE
    if use == "choice" and home.is_dir():
        return load_choice(home, models)
    if models.card.takes_many:
        raise UserError(f"{folder} has no tuned prompt: its task has several labels per text.")
    prompt = load_run_prompt(folder, models.backbone)
    return Choice(PROMPT, [PromptPart(PROMPT, prompt, models)])


def check_threshold(abstain_below: float | None) -> None:
    """Raise UserError where the threshold for abstaining is no probability."""
    if abstain_below is None:
        return
    number = isinstance(abstain_below, int | float | np.number)
    if not number or isinstance(abstain_below, bool) or not 0 <= abstain_below <= 1:
        raise UserError(f"abstain_below is a probability, from 0 to 1, not {abstain_below!r}.")
