"""Exports for use without dawgen: checkpoints, model cards, uploads to the hub."""

from __future__ import annotations

from dawgen.exporting.export import KINDS, export_run
from dawgen.exporting.hub import Upload, planned_uploads, push

__all__ = ["KINDS", "Upload", "export_run", "planned_uploads", "push"]
