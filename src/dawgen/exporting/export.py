"""What a run ships, or its tuned prompt, in the form that other people's software takes."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from dawgen.backbone import load_backbone
from dawgen.backbone.place import model_place
from dawgen.backbone.quiet import quiet
from dawgen.decoding.baking import prompt_ids
from dawgen.decoding.base import Decoding
from dawgen.decoding.ctranslate2 import CTranslate2Engine, UnsupportedError
from dawgen.errors import UserError
from dawgen.exporting.about import about_prompt, about_task
from dawgen.exporting.card import Exported, is_local, model_card
from dawgen.exporting.heads import check_heads, write_heads
from dawgen.prompts import save_prompt
from dawgen.selection.parts import HeadPart, Models, PromptPart
from dawgen.selection.tuned import TunedVectors
from dawgen.storage.atomic import whole_folder
from dawgen.storage.folder import write_json, write_text
from dawgen.storage.locking import locked_target, refuse_links_between
from dawgen.synthesis.provenance import model_name
from dawgen.terminal.progress import warn
from dawgen.use.classifier import read_choice
from dawgen.use.finished import PROMPT, load_run_prompt, open_run, shipped_name

if TYPE_CHECKING:
    from torch import Tensor

    from dawgen.backbone import Backbone
    from dawgen.selection.store import Choice
    from dawgen.settings import Settings
    from dawgen.tasks import TaskCard

TASK = "task.json"
TOKENS = "text_tokenizer.py"
"""dawgen's own module, which the scripts of all kinds share."""
TOKENIZER = "tokenizer.json"
_IN_ONNX = ("embeddings", "tuned")


def export_run(run: Path, to: str, out: Path, overrides: Sequence[str] = ()) -> Path:
    """Write what a run ships, or its prompt, for use without dawgen.

    With it go a model card and a script that labels rows. The folder appears whole or not at all.

    Args:
        to: one of :data:`KINDS`. Those of :data:`OF_CHOICE` hold what the run ships, the others
            its tuned prompt.
        out: the new folder.
        overrides: see :func:`dawgen.use.finished.open_run`.

    Raises:
        UserError: no finished run, a kind that does not exist or does not take what is to be
            exported, or ``out`` is there already.
    """
    if to not in KINDS:
        raise UserError(f"There is no export {to!r}; choose one of {', '.join(KINDS)}.")
    _check_out(run, out)
    card, settings = open_run(run, overrides)
    if card.takes_many:
        raise UserError(f"{run} has no prompt to export: its task has several labels per text.")
    with locked_target(out):
        _check_out(run, out)
        prepared = _prepared(run, to, card, settings)
        with whole_folder(out) as partial, quiet():
            write_json(partial / TASK, prepared.write(partial))
            home = resources.files("dawgen")
            scripts = home / "exporting" / "scripts"
            files = {"predict.py": scripts / f"{prepared.to}.py", "rows.py": scripts / "rows.py"}
            for name, source in (files | {TOKENS: home / "backbone" / TOKENS}).items():
                write_text(partial / name, source.read_text("utf-8"))
            text = model_card(run, card, settings, prepared.exported, prepared.to)
            write_text(partial / "README.md", text)
            _share(partial)
    return out


@dataclass(frozen=True)
class _Prepared:
    """An export whose models are loaded.

    Attributes:
        to: the kind, whose script labels rows; a shipped prompt's is that of a checkpoint.
        exported: what the card tells of it.
        write: fills a folder and gives back what the script must know.
    """

    to: str
    exported: Exported
    write: Callable[[Path], dict[str, Any]]


def _prepared(run: Path, to: str, card: TaskCard, settings: Settings) -> _Prepared:
    if to not in OF_CHOICE:
        if (ships := shipped_name(run)) not in (None, PROMPT):
            warn(
                f"{run} ships {ships}, which was better on held-out rows; its tuned prompt is "
                "exported. --to choice exports what it ships."
            )
        backbone = load_backbone(settings.backbone)
        return _of_prompt(to, card, backbone, load_run_prompt(run, backbone), None)
    models = Models(card, settings)
    choice = read_choice(run, models)
    first, *others = choice.parts
    if isinstance(first, PromptPart) and not others:
        prompt = first.prompt
        if prompt is None:  # zero-shot
            prompt = torch.zeros(0, models.backbone.hidden_size)
        name = None if first.name == PROMPT else first.name
        return _of_prompt("hf" if to == "choice" else to, card, models.backbone, prompt, name)
    check_heads(run, choice)
    if to == "onnx":
        return _of_one_head(run, card, choice, models)
    needed, encoder = choice.reads_with, models.encoder_name
    exported = Exported(
        choice.name,
        models.backbone if "backbone" in needed else None,
        encoder if "encoder" in needed else None,
    )
    return _Prepared(
        to, exported, lambda folder: about_task(card) | write_heads(folder, choice, models)
    )


def _of_prompt(
    to: str, card: TaskCard, backbone: Backbone, prompt: Tensor, name: str | None
) -> _Prepared:
    """Export a prompt, which is called so unless it has another name."""

    def write(folder: Path) -> dict[str, Any]:
        return about_prompt(card, backbone, prompt) | KINDS[to](folder, card, backbone, prompt)

    return _Prepared(to, Exported(name, backbone, prompted=True), write)


def _of_one_head(run: Path, card: TaskCard, choice: Choice, models: Models) -> _Prepared:
    """Export a head on sentence embeddings as ONNX."""
    from dawgen.exporting.onnx import write_head

    part = choice.parts[0]
    if len(choice.parts) > 1 or not isinstance(part, HeadPart) or part.kind not in _IN_ONNX:
        raise UserError(
            f"{run} ships {choice.name}; of linear heads only one on sentence embeddings is "
            "exported to onnx. Export it with --to choice."
        )
    encoder, features = models.encoder, part.features

    def write(folder: Path) -> dict[str, Any]:
        changes = [features.adapter] if isinstance(features, TunedVectors) else []
        write_head(folder, encoder.with_changes(*changes), part, is_pair=card.is_pair)
        encoder.tokenizer.backend_tokenizer.save(str(folder / TOKENIZER))
        return about_task(card) | {
            "special_tokens": [str(token) for token in encoder.tokenizer.all_special_tokens],
            "max_length": encoder.max_length,
        }

    exported = Exported(choice.name, None, models.encoder_name)
    return _Prepared("onnx", exported, write)


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


def _to_peft(folder: Path, card: TaskCard, backbone: Backbone, prompt: Tensor) -> dict[str, Any]:
    """The adapter alone: some kB, whatever the size of the backbone, which its user has."""
    local, name = is_local(backbone.name), model_name(backbone.name)
    save_prompt(prompt, folder, backbone, name_base=not local)
    return {"backbone": name, "base": None if local else name}


def _to_hf(folder: Path, card: TaskCard, backbone: Backbone, prompt: Tensor) -> dict[str, Any]:
    """A checkpoint whose tokenizer puts the prompt, as tokens, before every text."""
    from dawgen.exporting.checkpoint import write_checkpoint

    return {"prompt_ids": write_checkpoint(folder, backbone, prompt)}


def _to_ctranslate2(
    folder: Path, card: TaskCard, backbone: Backbone, prompt: Tensor
) -> dict[str, Any]:
    """CTranslate2's model, whose tokens are called by their numbers, and the tokenizer."""
    try:
        engine = CTranslate2Engine(backbone, prompt[None], Decoding())  # which checks what it says
    except UnsupportedError as error:
        raise UserError(f"{str(error).rpartition(';')[0]}; export to hf or peft instead.") from None
    for path in engine.path.iterdir():
        shutil.move(path, folder / path.name)
    _save_tokenizer(folder, backbone)
    return {"prompt_ids": prompt_ids(backbone, prompt[None], 0)}


def _to_gguf(folder: Path, card: TaskCard, backbone: Backbone, prompt: Tensor) -> dict[str, Any]:
    """A Llama for llama.cpp, the tokenizer, and how to ask it in words."""
    from dawgen.exporting.asking import asking, modelfile
    from dawgen.exporting.gguf import write_gguf

    ids = write_gguf(folder, backbone, prompt)
    _save_tokenizer(folder, backbone)
    write_text(folder / "ask.md", asking(card, backbone, len(prompt)))
    write_text(folder / "Modelfile", modelfile(backbone, len(prompt)))
    return {"prompt_ids": ids}


def _to_onnx(folder: Path, card: TaskCard, backbone: Backbone, prompt: Tensor) -> dict[str, Any]:
    """A graph from the row's token ids to p(label), the prompt and the label words inside."""
    from dawgen.exporting.onnx import write_prompted

    write_prompted(folder, backbone, prompt, backbone.label_word_ids(card))
    _save_tokenizer(folder, backbone)
    return {}


def _save_tokenizer(folder: Path, backbone: Backbone) -> None:
    backbone.tokenizer.backend_tokenizer.save(str(folder / TOKENIZER))


KINDS: dict[str, Callable[[Path, TaskCard, Backbone, Tensor], dict[str, Any]]] = {
    "choice": _to_hf,
    "peft": _to_peft,
    "hf": _to_hf,
    "ctranslate2": _to_ctranslate2,
    "gguf": _to_gguf,
    "onnx": _to_onnx,
}
"""What ``--to`` names: each fills a folder and gives back what its script must know besides."""
OF_CHOICE = ("choice", "onnx")
"""Kinds that hold what a run ships, be it a prompt or not."""
