"""What a backbone is told apart by: every file that it is loaded from, or the hub's commit."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Iterator
from pathlib import Path, PurePath

from transformers import PreTrainedModel

from dawgen.backbone.cache import PROVENANCE
from dawgen.backbone.gguf import find_gguf
from dawgen.backbone.kind import cached_file, read_object
from dawgen.errors import UserError
from dawgen.settings import BackboneSettings
from dawgen.storage.seals import file_hash

TINY = "dawgen/tiny"
_CONFIG, _ADAPTER = "config.json", "adapter_config.json"
_READ = (
    ".safetensors",
    ".gguf",
    ".json",
    ".model",
    ".spm",
    ".bpe",
    ".tiktoken",
    ".txt",
    ".py",
    ".jinja",
)
_MEBIBYTE = 1 << 20


def fingerprint_of(place: str, model: PreTrainedModel | None, settings: BackboneSettings) -> str:
    """A hash of the files that a model was loaded from; of a hub model its commit.

    Every byte counts in a folder, where weights may be merged in place without changing in size.
    Of the packaged model, which nobody changes, both ends do. Where an adapter was loaded, its
    base counts too, and so does code that came with the model.

    Args:
        place: the model's folder, file or hub name.
        model: the loaded model.
    """
    digest = hashlib.sha256(f"{settings.dtype} {settings.max_length}".encode())
    base = _base(place, settings.revision)
    for part in [place] if base is None else [place, base]:
        for line in _lines(part, settings):
            digest.update(line)
    if model is not None and type(model).__module__.startswith("transformers_modules."):
        for file in sorted(Path(inspect.getfile(type(model))).parent.glob("*.py")):
            digest.update(f"{file.name} {file_hash(file)}".encode())
    return digest.hexdigest()


def model_files(folder: Path) -> list[Path]:
    """The files of a model's folder that are read when it is loaded, sorted by name.

    These are the folder's own, and the weights that an index or ``config.json`` names below it.

    Raises:
        UserError: one of these names leads out of the folder.
    """
    own = [path.name for path in folder.iterdir() if path.suffix in _READ and path.is_file()]
    named = read_object(folder / _CONFIG).get("transformers_weights")
    indexes = [name for name in own if name.endswith(".index.json")]
    names = dict.fromkeys(own)
    for name in [*indexes, *([named] if isinstance(named, str) else [])]:
        _check_inside(folder, name, _CONFIG)
        weights = read_object(folder / name).get("weight_map") if name.endswith(".json") else None
        for weight in weights.values() if isinstance(weights, dict) else ():
            _check_inside(folder, str(weight), name)
            names[str(weight)] = None
        names[name] = None
    return [path for name in sorted(names) if (path := folder / name).is_file()]


def _lines(place: str, settings: BackboneSettings) -> Iterator[bytes]:
    """What is hashed of one folder, file or hub name, in order."""
    folder = Path(place)
    if gguf := find_gguf(folder):
        yield f"gguf {file_hash(gguf)}".encode()
        return
    if not folder.is_dir():
        yield f"{place}@{_commit(place, settings.revision)}".encode()
        return
    for file in model_files(folder):
        if file.name == PROVENANCE:  # says when and from where, which changes no figure
            continue
        name = file.relative_to(folder).as_posix()
        if settings.path != TINY:
            yield f"{name} {file_hash(file)}".encode()
            continue
        size = file.stat().st_size
        yield f"{name} {size}".encode()
        with file.open("rb") as stream:
            yield stream.read(_MEBIBYTE)
            stream.seek(max(0, size - _MEBIBYTE))
            yield stream.read()


def _commit(name: str, revision: str | None) -> str | None:
    """The commit of a hub model that has been loaded: its files are in a folder of that name."""
    for file in (_CONFIG, _ADAPTER):
        if (path := cached_file(name, file, revision)) is not None:
            return path.parent.name
    return None


def _base(place: str, revision: str | None) -> str | None:
    """The model that an adapter is put on, as transformers finds it; None for a whole model."""
    folder = Path(place)
    if folder.exists():
        adapter: Path | None = folder / _ADAPTER
        if folder.is_file() or (folder / _CONFIG).is_file():
            return None  # the adapter's base, if there is one, is in the folder itself
    else:
        adapter = cached_file(place, _ADAPTER, revision)
    base = read_object(adapter).get("base_model_name_or_path") if adapter is not None else None
    if isinstance(base, str) and ".." in PurePath(base).parts:
        raise UserError(
            f"{adapter} names its base {base!r}, which depends on the folder that you are in; "
            "name it by its hub name or its whole path."
        )
    return base if isinstance(base, str) else None


def _check_inside(folder: Path, name: str, source: str) -> None:
    if PurePath(name).is_absolute() or ".." in PurePath(name).parts:
        raise UserError(
            f"{folder / source} names weights outside of its folder ({name}), which are not "
            "read; put them into the folder and name them there."
        )
