"""The curves of a run sent to TensorBoard, Weights & Biases or MLflow, through accelerate."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dawgen.errors import UserError, first_line
from dawgen.terminal.harmless import hide_secrets

if TYPE_CHECKING:
    from dawgen.settings import Settings

OnStep = Callable[[Mapping[str, Any]], None]
Track = Callable[[str], OnStep | None]
"""Gives back, for a stage's name, what is to be called with each entry of its log."""

HOME = "tracking"
"""The folder of a run in which trackers write, links too."""


def no_tracking(stage: str) -> OnStep | None:
    """Nothing is sent anywhere."""
    return None


@contextmanager
def tracked(settings: Settings, folder: Path) -> Iterator[Track]:
    """Start the trackers that ``tracking.to`` names, and end them; nothing without any.

    What they write locally comes to lie in ``folder/tracking``.

    Raises:
        UserError: a tracker is not installed, or does not start.
    """
    chosen = settings.tracking.to
    if not chosen:
        yield no_tracking
        return
    for name in chosen:
        if find_spec(name) is None:
            raise UserError(
                f"tracking.to has {name}, which is not installed: pip install {name}, or take it "
                "out of the settings."
            )
    from accelerate import Accelerator

    home = folder / HOME
    home.mkdir(parents=True, exist_ok=True)
    accelerator = Accelerator(log_with=list(chosen), project_dir=home)
    try:
        accelerator.init_trackers(settings.tracking.project, config=_flat(settings))
    except Exception as error:  # each tracker raises its own
        reason = first_line(error)
        raise UserError(f"Tracking with {', '.join(chosen)} did not start ({reason}).") from error
    try:
        yield _rising(accelerator.log)
    finally:
        accelerator.end_training()


def _rising(log: Callable[..., None]) -> Track:
    """Steps of one stage after the other, as trackers want them: each under its stage's name."""
    last = -1

    def track(stage: str) -> OnStep:
        first = last + 1

        def on_step(entry: Mapping[str, Any]) -> None:
            nonlocal last
            step = first + int(entry.get("step", 0))
            last = max(last, step)
            name = f"{stage}/{entry['arm']}" if "arm" in entry else stage
            values = {
                f"{name}/{key}": float(value)
                for key, value in entry.items()
                if key != "step" and isinstance(value, int | float)
            }
            log(values, step=step)

        return on_step

    return track


def _flat(settings: Settings) -> dict[str, str | int | float | bool]:
    """Every setting by its dotted name, as trackers show them."""

    def parts(tree: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
        for key, value in tree.items():
            if isinstance(value, dict) and value:
                yield from parts(value, f"{prefix}{key}.")
            else:
                yield f"{prefix}{key}", value

    return {
        key: value if isinstance(value, str | int | float | bool) else str(value)
        for key, value in parts(hide_secrets(settings.model_dump(mode="json")), "")
    }
