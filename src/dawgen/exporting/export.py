"""A run's tuned prompt in the form that other people's software takes."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dawgen.backbone import load_backbone
from dawgen.backbone.place import model_place
from dawgen.backbone.quiet import quiet
from dawgen.backbone.text import answered
from dawgen.decoding.baking import prompt_ids
from dawgen.decoding.base import Decoding
from dawgen.decoding.ctranslate2 import CTranslate2Engine, UnsupportedError
from dawgen.errors import UserError
from dawgen.exporting.card import is_local, model_card
from dawgen.prompts import save_prompt
from dawgen.storage.atomic import whole_folder
from dawgen.storage.folder import write_json, write_text
from dawgen.storage.locking import locked_target, refuse_links_between
from dawgen.synthesis.provenance import model_name
from dawgen.terminal.progress import warn
from dawgen.use.finished import PROMPT, load_run_prompt, open_run, shipped_name

if TYPE_CHECKING:
    from torch import Tensor

    from dawgen.backbone import Backbone
    from dawgen.tasks import TaskCard

TASK = "task.json"
TOKENS = "text_tokenizer.py"
"""dawgen's own module, which the scripts of all kinds share."""


def export_run(run: Path, to: str, out: Path, overrides: Sequence[str] = ()) -> Path:
    """Write a run's prompt for use without dawgen, with card and a script that labels rows.

    The folder appears whole or not at all.

    Args:
        to: one of :data:`KINDS`.
        out: the new folder.
        overrides: see :func:`dawgen.use.finished.open_run`.

    Raises:
        UserError: no finished run, a kind that does not exist, or ``out`` is there already.
    """
    if to not in KINDS:
        raise UserError(f"There is no export {to!r}; choose one of {', '.join(KINDS)}.")
    _check_out(run, out)
    card, settings = open_run(run, overrides)
    if card.takes_many:
        raise UserError(f"{run} has no prompt to export: its task has several labels per text.")
    if (ships := shipped_name(run)) not in (None, PROMPT):
        warn(
            f"{run} ships {ships}, which was better on held-out rows; its tuned prompt is exported."
        )
    with locked_target(out):
        _check_out(run, out)
        backbone = load_backbone(settings.backbone)
        prompt = load_run_prompt(run, backbone)
        with whole_folder(out) as partial, quiet():
            about = _about(card, backbone, prompt) | KINDS[to](partial, backbone, prompt)
            write_json(partial / TASK, about)
            home = resources.files("dawgen")
            scripts = home / "exporting" / "scripts"
            files = {"predict.py": scripts / f"{to}.py", "rows.py": scripts / "rows.py"}
            for name, source in (files | {TOKENS: home / "backbone" / TOKENS}).items():
                write_text(partial / name, source.read_text("utf-8"))
            write_text(partial / "README.md", model_card(run, card, settings, backbone, to))
            _share(partial)
    return out


def local_base(run: Path, overrides: Sequence[str] = ()) -> str | None:
    """The folder of a run's backbone; None where it has a name on the hub."""
    place = model_place(open_run(run, overrides)[1].backbone.path)
    return place if Path(place).is_dir() else None


def _check_out(run: Path, out: Path) -> None:
    """Refuse a place that is taken, or that a link inside the run folder leads to."""
    refuse_links_between(run, out)
    if os.path.lexists(out):
        raise UserError(f"{out} exists already; name another folder with --out.")


def _share(folder: Path) -> None:
    """Make all files as readable as one of ours; safetensors lets nobody else read its own."""
    mode = (folder / TASK).stat().st_mode
    for path in folder.rglob("*"):
        if path.is_file():
            path.chmod(mode)


def _about(card: TaskCard, backbone: Backbone, prompt: Tensor) -> dict[str, Any]:
    """What a script must know to label a row: how it is filled in, and what stands for a label."""
    words, template, answer = backbone.label_word_ids(card), backbone.template(card), ""
    if not backbone.is_encoder_decoder:  # read with a word behind, which is then taken off
        template = template.rstrip(" ")
        answer = answered(template, card.label_words[card.labels[0]]).removeprefix(template)
    return {
        "task": card.name,
        "labels": card.labels,
        "columns": {role: card.columns[role] for role in card.roles},
        "template": template,
        "answer": answer,
        "answer_tokens": len(words[0]) if answer else 0,
        "label_words": [card.label_words[label] for label in card.labels],
        "label_word_ids": words,
        "encoder_decoder": backbone.is_encoder_decoder,
        "decoder_start": backbone.decoder_start if backbone.is_encoder_decoder else [],
        "end_id": backbone.end_id,
        "special_tokens": [str(token) for token in backbone.tokenizer.all_special_tokens],
        "prompt_length": len(prompt),
        "max_length": backbone.max_length,
        "dtype": str(backbone.dtype).removeprefix("torch."),
    }


def _to_peft(folder: Path, backbone: Backbone, prompt: Tensor) -> dict[str, Any]:
    """The adapter alone: some kB, whatever the size of the backbone, which its user has."""
    local, name = is_local(backbone.name), model_name(backbone.name)
    save_prompt(prompt, folder, backbone, name_base=not local)
    return {"backbone": name, "base": None if local else name}


def _to_hf(folder: Path, backbone: Backbone, prompt: Tensor) -> dict[str, Any]:
    """A checkpoint whose tokenizer puts the prompt, as tokens, before every text."""
    from dawgen.exporting.checkpoint import write_checkpoint

    return {"prompt_ids": write_checkpoint(folder, backbone, prompt)}


def _to_ctranslate2(folder: Path, backbone: Backbone, prompt: Tensor) -> dict[str, Any]:
    """CTranslate2's model, whose tokens are called by their numbers, and the tokenizer."""
    try:
        engine = CTranslate2Engine(backbone, prompt[None], Decoding())  # which checks what it says
    except UnsupportedError as error:
        raise UserError(f"{str(error).rpartition(';')[0]}; export to hf or peft instead.") from None
    for path in engine.path.iterdir():
        shutil.move(path, folder / path.name)
    backbone.tokenizer.backend_tokenizer.save(str(folder / "tokenizer.json"))
    return {"prompt_ids": prompt_ids(backbone, prompt[None], 0)}


KINDS = {"peft": _to_peft, "hf": _to_hf, "ctranslate2": _to_ctranslate2}
"""What ``--to`` names: each fills a folder and gives back what its script must know besides."""
