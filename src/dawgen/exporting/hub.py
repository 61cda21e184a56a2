"""Taking a run's prompt and rows to the hub."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml
from huggingface_hub import DatasetCard, HfApi, ModelCard
from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

from dawgen.errors import UserError, first_line
from dawgen.exporting.export import export_run
from dawgen.storage.locking import refuse_links
from dawgen.storage.seals import check_seal


@dataclass(frozen=True)
class Upload:
    """A folder and where it goes.

    Attributes:
        kind: "model" or "dataset", in the hub's words.
        files: name and size in bytes of every file, in the order of names.
    """

    kind: str
    repo: str
    folder: Path
    files: list[tuple[str, int]]


def planned_uploads(
    run: Path,
    work: Path,
    *,
    model: str | None,
    dataset: str | None,
    to: str = "peft",
    overrides: Sequence[str] = (),
) -> list[Upload]:
    """What a push takes where; looks at everything that can be looked at without the hub.

    Args:
        work: an empty folder for the export.
        model: the repository for the prompt, such as ``owner/name``; None for none.
        dataset: the one for the synthetic rows, likewise.
        to: the form of the prompt, see :func:`dawgen.exporting.export_run`.
        overrides: see :func:`dawgen.use.finished.open_run`.

    Raises:
        UserError: nothing to push, a name that is none, or a card that the hub would refuse.
    """
    if model is None and dataset is None:
        raise UserError("Name where to push: the prompt with --model, the rows with --dataset.")
    for name in filter(None, (model, dataset)):
        try:
            validate_repo_id(name)
        except HFValidationError as error:
            reason = first_line(error)
            raise UserError(f"{name!r} is no name of a repository on the hub: {reason}.") from None
    uploads = []
    if model is not None:
        uploads.append(_upload("model", model, export_run(run, to, work / "model", overrides)))
    if dataset is not None:
        rows = run / "synthetic"
        if not list(rows.glob("shard-*.parquet")):
            raise UserError(f"{run} holds no synthetic rows to push.")
        check_seal(rows)
        uploads.append(_upload("dataset", dataset, rows))
    return uploads


def push(uploads: Sequence[Upload], *, private: bool = False) -> list[str]:
    """Make the repositories where they are not there, and upload; gives back their addresses.

    Who pushes is known from ``hf auth login`` or the variable HF_TOKEN.

    Raises:
        UserError: the hub refuses, or cannot be reached.
    """
    api, addresses = HfApi(), []
    for upload in uploads:
        try:
            address = api.create_repo(
                upload.repo, repo_type=upload.kind, private=private, exist_ok=True
            )
            api.upload_folder(
                repo_id=upload.repo,
                repo_type=upload.kind,
                folder_path=upload.folder,
                allow_patterns=[name for name, _ in upload.files],
                commit_message="Upload by dawgen",
            )
        except Exception as error:  # the client raises many kinds, none of them ours to mend
            reason = first_line(error)
            raise UserError(
                f"{upload.repo} could not be pushed ({reason}); check the name, `hf auth login` "
                "and the connection, then run the same command again."
            ) from error
        addresses.append(str(address))
    return addresses


def _upload(kind: str, repo: str, folder: Path) -> Upload:
    """The folder's files but fingerprints, which are a run's own business."""
    refuse_links(folder)
    paths = sorted(p for p in folder.rglob("*") if p.is_file() and p.name != "fingerprint.json")
    files = [(path.relative_to(folder).as_posix(), path.stat().st_size) for path in paths]
    reader = ModelCard if kind == "model" else DatasetCard
    try:
        reader.load(folder / "README.md").data.to_dict()
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise UserError(
            f"The card in {folder} cannot be read as the hub reads it: {error}."
        ) from None
    return Upload(kind, repo, folder, files)
