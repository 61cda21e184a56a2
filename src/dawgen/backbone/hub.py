"""The full-precision weights of a named backbone from the hub, where it can be reached."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dawgen.backbone.known import KnownBackbone
from dawgen.backbone.wheels import UnavailableError
from dawgen.errors import UserError, disk_trouble
from dawgen.storage.atomic import write_bytes
from dawgen.storage.seals import file_hash

_SECONDS = 10.0
_WANTED = (".safetensors", ".json", ".jinja", ".model", ".txt")


def hub_files(known: KnownBackbone, folder: Path) -> dict[str, Any]:
    """Download the repository's model files, each held against the hash that the hub lists.

    What is there already is not fetched again. Returns the repository, its commit and the hashes.

    Raises:
        UserError: a file has another hash.
        UnavailableError: the hub cannot be reached, or does not let this user have the model.
    """
    try:
        return _fetch(known, folder)
    except OSError as error:
        if disk_trouble(error):
            raise
        raise UnavailableError(f"the hub: {_line(error)}") from None
    except UserError:
        raise
    except Exception as error:  # its client raises errors of many libraries
        raise UnavailableError(f"the hub: {_line(error)}") from None


def _fetch(known: KnownBackbone, folder: Path) -> dict[str, Any]:
    from huggingface_hub import HfApi, hf_hub_download

    repository = known.hub or ""
    info = HfApi().model_info(repository, files_metadata=True, timeout=_SECONDS)
    files = [s for s in info.siblings or [] if _is_wanted(s.rfilename)]
    weights = [file for file in files if file.rfilename.endswith(".safetensors")]
    if not weights or any(file.lfs is None for file in weights):
        raise UnavailableError(f"the hub: {repository} lists no safetensors weights with a hash")
    hashes = {}
    for file in files:
        path = Path(
            hf_hub_download(repository, file.rfilename, revision=info.sha, local_dir=folder)
        )
        hashes[file.rfilename] = file_hash(path)
        if file.lfs is not None and hashes[file.rfilename] != file.lfs.sha256:
            path.unlink()
            raise UserError(
                f"{file.rfilename} of {repository} arrived with another SHA-256 than the hub "
                "lists, so it was deleted; run the same command again."
            )
    return {"hub": repository, "commit": info.sha, "sha256": hashes}


def pinned_hub_files(known: KnownBackbone, folder: Path, target: Path) -> dict[str, Any]:
    """The files of a backbone that is used as it is, each the pinned one, into ``target``.

    Raises:
        UnavailableError: the hub cannot be reached, or has other files today.
    """
    found = hub_files(known, folder)
    for file in known.files:
        if found["sha256"].get(file.name) != file.sha256:
            raise UnavailableError(f"the hub: its {file.name} is not the pinned one")
    for file in known.files:
        write_bytes(target / file.name, (folder / file.name).read_bytes())
    return found


def _is_wanted(name: str) -> bool:
    inside = name.startswith(("onnx/", "openvino/", "runs/"))
    return name.endswith(_WANTED) and not inside


def _line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return (lines[0] if lines else type(error).__name__)[:200].rstrip(".")
