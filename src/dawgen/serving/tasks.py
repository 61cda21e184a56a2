"""Finished runs as tasks that rows are sent to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dawgen.errors import UserError
from dawgen.selection.parts import PromptPart
from dawgen.selection.store import Choice
from dawgen.serving.models import SharedModels, Shelf
from dawgen.tasks import Row, TaskCard
from dawgen.tasks.texts import as_texts
from dawgen.use.classifier import read_choice
from dawgen.use.finished import open_run

_ANY = Row("a", "a", None)


@dataclass(frozen=True)
class ServedTask:
    """A run: its card, and what it ships."""

    name: str
    card: TaskCard
    choice: Choice

    def about(self) -> dict[str, Any]:
        """What a client must know of it."""
        return {
            "name": self.name,
            "task": self.card.name,
            "labels": self.card.labels,
            "texts": list(self.card.roles) if self.card.is_pair else ["text"],
            "classifier": self.choice.name,
        }

    def as_rows(self, rows: Sequence[Any]) -> list[Row]:
        """Texts, pairs of texts, or objects with the texts by name, as rows.

        An object's texts are called ``text`` or ``text1`` and ``text2``, or as the card calls
        their columns; what else it holds is not read.

        Raises:
            UserError: a text is missing, empty or something else; names the row.
        """
        texts = [self._texts(row, number) for number, row in enumerate(rows, start=1)]
        checked = as_texts(texts, width=len(self.card.roles))
        return [Row(row[0], row[1] if self.card.is_pair else None, None) for row in checked]

    def _texts(self, row: Any, number: int) -> Any:
        if not isinstance(row, dict):
            return row
        found = []
        for role in self.card.roles:
            names = (role, self.card.columns[role], *(() if self.card.is_pair else ("text",)))
            name = next((name for name in names if name in row), None)
            if name is None:
                wanted = "text1 and text2" if self.card.is_pair else "text"
                raise UserError(f"row {number}: it has no {role}; name its {wanted}.")
            found.append(row[name])
        return tuple(found) if self.card.is_pair else found[0]


def open_tasks(
    folders: Sequence[Path], overrides: Sequence[str] = (), shelf: Shelf | None = None
) -> dict[str, ServedTask]:
    """The runs by the names of their folders, whose models are loaded.

    Args:
        overrides: see :func:`dawgen.use.finished.open_run`.

    Raises:
        UserError: no finished run, a model that cannot be loaded, or two runs of one name.
    """
    homes: dict[str, Path] = {}
    for folder in folders:
        name = folder.resolve().name
        if name in homes:
            raise UserError(
                f"{homes[name]} and {folder} would both be served as {name!r}; rename one folder."
            )
        homes[name] = folder
    shelf = shelf or Shelf()
    return {name: open_task(name, folder, overrides, shelf) for name, folder in homes.items()}


def open_task(name: str, folder: Path, overrides: Sequence[str], shelf: Shelf) -> ServedTask:
    """One run, checked as far as that can be done without a row; raises as :func:`open_tasks`."""
    card, settings = open_run(folder, overrides)
    choice = read_choice(folder, SharedModels(card, settings, shelf))
    for part in choice.parts:
        if isinstance(part, PromptPart):
            models, length = part.models, 0 if part.prompt is None else len(part.prompt)
            models.backbone.encode_rows(card, [_ANY], length)
            assert models.label_words  # which raises where they cannot be told apart
    return ServedTask(name, card, choice)
