"""The record of a run: everything one needs to judge its figures or to make them again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import dawgen
from dawgen.backbone import Backbone
from dawgen.backbone.frame import frame_json, load_frame
from dawgen.machine.hardware import hardware, peak_memory_mib, versions
from dawgen.pipeline.stage import Context
from dawgen.settings import Settings
from dawgen.storage.reading import read_json
from dawgen.storage.seals import file_hash, read_seal
from dawgen.tasks.job import rows_hash
from dawgen.terminal.harmless import hide_secrets
from dawgen.use.finished import kept_hashes


def run_record(
    context: Context,
    settings: Settings,
    preset: str | None,
    command: Sequence[str],
    shared: int | None,
) -> dict[str, Any]:
    """The content of ``run.json``: what was asked, of what, by what, on what, and how long."""
    job, backbone, path = context.job, context.backbone, context.path
    files = ("scores.json", "predictions.parquet")
    synthetic = read_seal(path / "synthetic")
    choice = read_json(path / "choice" / "choice.json")
    record = {
        "dawgen": dawgen.__version__,
        "task": job.card.name,
        "seed": settings.seed,
        "preset": preset,
        "command": list(command),
        "rows": {
            "train": len(job.shots.train),
            "dev": len(job.shots.dev),
            "test": len(job.test) if job.test is not None else None,
            "used": choice.get("labelled_rows", len(job.shots.train)),
        },
        "choice": choice.get("name", "prompt"),
        "data": {
            "train": rows_hash(job.shots.train),
            "dev": rows_hash(job.shots.dev),
            "test": rows_hash(job.test),
            **({"unlabelled": rows_hash(job.unlabelled.rows)} if job.unlabelled else {}),
        },
        "overlap": shared,
        "synthetic": synthetic.inputs.get("source") if synthetic else None,
        "stages": context.folder.stages,
        "peak_memory_mib": peak_memory_mib(),
        "hardware": hardware(),
        "trust_remote_code": settings.backbone.trust_remote_code,
        "backbone": _described(backbone, settings.backbone.dtype),
        "writer": _described(context.writer, settings.writer.dtype),
        "template": backbone.template(job.card),
        "generator_frame": frame_json(load_frame(path / "generator")),
        "files": {name: file_hash(path / name) for name in files} | kept_hashes(path),
        "versions": versions(),
    }
    hidden: dict[str, Any] = hide_secrets(record)
    return hidden


def _described(model: Backbone, dtype: str) -> dict[str, Any]:
    return {
        "name": model.name,
        "fingerprint": model.fingerprint,
        "dtype": dtype,
        "quantization": model.quantization,
    }
