"""dawgen's cache of backbones: one folder each, whole or not there at all."""

from __future__ import annotations

import json
import os
import shutil
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dawgen.backbone.known import KnownBackbone
from dawgen.errors import UserError
from dawgen.storage.atomic import move, partial_of, sweep, write_text
from dawgen.storage.locking import turn

PROVENANCE = "provenance.json"
_ACCEPTED = "accepted-licences.json"


def cache_folder() -> Path:
    """``DAWGEN_CACHE``, or else where this platform keeps caches."""
    if named := os.environ.get("DAWGEN_CACHE"):
        return Path(named).expanduser().absolute()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "dawgen"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").absolute() / "dawgen"


def cached(known: KnownBackbone) -> Path | None:
    """The backbone's folder, if it is in the cache with every file at its full size."""
    folder = cache_folder() / known.name
    files = read_provenance(folder).get("files")
    if not isinstance(files, dict) or not files:
        return None
    for name, facts in files.items():
        path = folder / name
        if not path.is_file() or path.stat().st_size != facts["bytes"]:
            return None
    return folder


def read_provenance(folder: Path) -> dict[str, Any]:
    """What a folder of the cache was made from; empty where that cannot be read."""
    try:
        found = json.loads((folder / PROVENANCE).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def put(made: Path, known: KnownBackbone) -> Path:
    """Move a finished folder to its place; what is there, older or damaged, is replaced."""
    place = cache_folder() / known.name
    old = partial_of(place.with_name(f"{place.name}.old"))
    if place.exists():
        move(place, old)
    move(made, place)
    shutil.rmtree(old, ignore_errors=True)
    return place


def remove(known: KnownBackbone) -> bool:
    """Delete the backbone and its downloads from the cache; False where there was nothing."""
    folder = cache_folder() / known.name
    if not folder.exists() and not downloads(known).exists():
        return False
    with turn(cache_folder()):
        sweep(cache_folder())
        if folder.exists():
            aside = partial_of(folder)
            move(folder, aside)  # so that nobody sees half of it
            shutil.rmtree(aside)
        if downloads(known).exists():
            shutil.rmtree(downloads(known))
    return True


def downloads(known: KnownBackbone) -> Path:
    """Where files wait until they are converted: those fetched, and those a user brings."""
    return cache_folder() / "downloads" / known.name


def check_terms(known: KnownBackbone, accept: bool) -> None:
    """Remember that the user accepts a backbone's terms, or see that they have.

    Raises:
        UserError: they have not.
    """
    if known.terms is None:
        return
    file = cache_folder() / _ACCEPTED
    try:
        accepted = dict(json.loads(file.read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        accepted = {}
    if accepted.get(known.name, {}).get("terms") == known.terms:
        return
    if not accept:
        raise UserError(
            f"{known.title} may be used under its own terms only: read {known.terms}, and if you "
            f"accept them, run: dawgen backbones get {known.name} --accept-licence"
        )
    accepted[known.name] = {"terms": known.terms, "accepted": datetime.now(UTC).isoformat()}
    write_text(file, json.dumps(accepted, indent=2) + "\n")
