"""What a finished run folder keeps for use: its card, its settings, its prompt and its choice."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from torch import Tensor

from dawgen.backbone import Backbone
from dawgen.errors import UserError
from dawgen.prompts import load_prompt
from dawgen.settings import Settings
from dawgen.settings.layers import build_settings
from dawgen.storage.folder import write_json
from dawgen.storage.locking import refuse_links
from dawgen.storage.reading import read_json
from dawgen.storage.seals import check_seal, file_hash, read_seal
from dawgen.tasks import TaskCard, load_card
from dawgen.terminal.progress import warn

RECORD, PROMPT, CHOICE = "run.json", "prompt", "choice"
_FILES = ("task.yaml", "config.yaml")
_OF_THE_MACHINE = ("backbone.", "generator.backbone", "evaluation.", "selection.encoder")


def open_run(folder: str | Path, overrides: Sequence[str] = ()) -> tuple[TaskCard, Settings]:
    """The card and the settings that a run folder keeps.

    Args:
        overrides: settings of this machine, such as ``backbone.device=cpu``.

    Raises:
        UserError: no finished run, a setting that has made the run and cannot be changed, or a
            file that is not as ``run.json`` says.
    """
    path = Path(folder)
    for text in overrides:
        if not text.strip().startswith(_OF_THE_MACHINE):
            raise UserError(
                f"-s {text}: of a finished run only backbone.*, generator.backbone, evaluation.* "
                "and selection.encoder can be set, such as backbone.device=cpu."
            )
    made = PROMPT if (path / PROMPT).exists() or not (path / CHOICE).exists() else CHOICE
    kept = (*_FILES, made)  # a task of several labels per text has no prompt
    for name in kept:
        if not (path / name).exists():
            raise UserError(
                f"{path} is no finished run folder: it has no {name}; make one with `dawgen run`."
            )
    refuse_links(*(path / name for name in (*kept, CHOICE)))
    for name in (PROMPT, CHOICE):
        check_seal(path / name)
    _check_record(path)
    settings, _ = build_settings(file=path / "config.yaml", overrides=overrides)
    return load_card(str(path / "task.yaml")), settings


def shipped_name(run: Path) -> str | None:
    """The candidate that a run ships, such as ``prompt``; None where it has not chosen."""
    return read_json(run / CHOICE / f"{CHOICE}.json").get("name")


def kept_hashes(run: Path) -> dict[str, str]:
    """Hashes of what predicting reads from a run folder, by name, as ``run.json`` holds them."""
    homes = [run / PROMPT, run / CHOICE]
    inside = [path for home in homes for path in sorted(home.rglob("*")) if path.is_file()]
    names = [*_FILES, *(path.relative_to(run).as_posix() for path in inside)]
    return {name: file_hash(run / name) for name in names}


def renew_record(run: Path) -> None:
    """Bring the hashes in ``run.json`` up to date after dawgen itself has written settings anew."""
    with suppress(UserError):  # one that cannot be read is written anew or refused by predict
        record = read_json(run / RECORD)
        if isinstance(files := record.get("files"), dict):
            there = {name: value for name, value in files.items() if (run / name).exists()}
            write_json(run / RECORD, record | {"files": there | kept_hashes(run)})


def _check_record(run: Path) -> None:
    """See that card, settings, prompt and choice are as ``run.json`` says, if it says anything.

    A folder contains its own seal, so a prompt that is put there brings one along.
    """
    files = read_json(run / RECORD).get("files")
    known = files if isinstance(files, dict) else {}
    current = kept_hashes(run) if known else {}
    for name in known:
        ours = name in _FILES or name.startswith((f"{PROMPT}/", f"{CHOICE}/"))
        if ours and current.get(name) != known[name]:
            raise UserError(
                f"{run / name} is not the file that the run wrote: its hash is not the one in "
                f"{RECORD}. Run the command that made the run again; settings of this machine go "
                "with -s, such as -s backbone.path=FOLDER."
            )


def load_run_prompt(folder: str | Path, backbone: Backbone) -> Tensor:
    """The tuned prompt [P,H] of a run; warns where the backbone is not what it was tuned on."""
    place = Path(folder) / PROMPT
    prompt = load_prompt(place, backbone)
    seal = read_seal(place)
    tuned_on = seal.inputs.get("backbone") if seal else None
    if tuned_on not in (None, backbone.fingerprint):
        warn(
            f"the backbone {backbone.name} is not as it was when the prompt in {place} was tuned "
            "(its files, backbone.dtype or backbone.max_length), so labels may differ; tune again, "
            "or name the old one with -s backbone.path."
        )
    return prompt
