"""A run that only chooses a classifier: no rows are written and no prompt is tuned."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from dawgen.errors import UserError
from dawgen.pipeline.selecting import UNTUNED, selection
from dawgen.pipeline.stage import FOLDERS, Context, Stage
from dawgen.pipeline.stages import describe
from dawgen.selection.candidates import WRITTEN
from dawgen.selection.parts import Models
from dawgen.selection.select import wanted
from dawgen.selection.store import FOLDER
from dawgen.settings import Settings
from dawgen.storage.reading import read_json
from dawgen.tasks import TaskCard

_MADE_BEFORE = ("baseline", "prompt", "noisy-channel")
"""Candidates that other stages make."""


MOST_ROWS = 1_024
"""Labelled rows of all labels that a quick run takes where ``shots`` is not set."""


def with_all_rows(settings: Settings, card: TaskCard) -> Settings:
    """The settings of a quick run with as many shots per label as make ``MOST_ROWS``, unless
    ``shots`` is set."""
    if not settings.quick or "shots" in settings.model_fields_set:
        return settings
    shots = max(settings.shots, MOST_ROWS // (2 * len(card.labels)))
    return settings.model_copy(update={"shots": shots})


def names_alone(settings: Settings, card: TaskCard) -> list[str]:
    """The candidates that the labelled rows alone give.

    Raises:
        UserError: there is none among those of the settings.
    """
    asked = wanted(settings.selection, card)
    names = [name for name in asked if name not in _MADE_BEFORE and not name.endswith(WRITTEN)]
    if not names:
        raise UserError(
            f"With --quick no rows are written and no prompt is tuned, and "
            f"selection.candidates has nothing else ({', '.join(asked)}); leave it at quick, or "
            "leave out --quick."
        )
    return names


def quick_stage(context: Context, settings: Settings, models: Models) -> Stage:
    """Labelled rows -> the best classifier in ``choice/``, with settings and card beside it."""

    def after(changed: bool) -> None:
        for folder in FOLDERS:
            if folder != FOLDER:  # of an earlier run that was not quick
                context.folder.set_aside(folder)
        describe(context, settings)

    return replace(selection(context, settings, (), list, models), after=after)


def quick_scores(context: Context) -> dict[str, Any]:
    """What ``scores.json`` has of such a run."""
    home = context.path / FOLDER
    untuned = read_json(home / UNTUNED)
    return {
        **context.heading,
        **read_json(home / "scores.json"),
        **({"zero_shot": untuned} if untuned else {}),
        "choice": read_json(home / "choice.json")["name"],
        "candidates": read_json(home / "candidates.json", list),
    }
