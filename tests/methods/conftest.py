"""The small job of the invariants, for methods run through the command line."""

from __future__ import annotations

from tests.invariants.conftest import job, model_folder

__all__ = ["job", "model_folder"]
