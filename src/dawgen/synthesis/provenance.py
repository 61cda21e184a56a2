"""What a synthetic folder was made from, and under what licence that is."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import ModelCard, try_to_load_from_cache
from torch import Tensor

from dawgen.backbone import Backbone
from dawgen.backbone.gguf import find_gguf, read_header
from dawgen.backbone.registry import known_backbone
from dawgen.settings import SynthesisSettings
from dawgen.synthesis.sources import NAMED
from dawgen.tasks import Row, TaskCard

LICENCES = {
    "captions": ("COCO captions", "CC BY 4.0", "cc-by-4.0"),
    "questions": (
        "query-wellformedness and NQ-open",
        "CC BY-SA 4.0 and CC BY-SA 3.0",
        "cc-by-sa-4.0",
    ),
    "wikipedia": ("English Wikipedia, 2014", "CC BY-SA 3.0", "cc-by-sa-3.0"),
    "shots": ("the few-shot rows", "the licence of your few-shot rows", "unknown"),
    "file": ("a file of yours", "the licence of your file", "unknown"),
    "hub": ("a data set on the hub", "the licence on the data set's page", "unknown"),
    "import": ("rows that somebody else wrote", "the licence of those rows", "unknown"),
    "generator": ("written by the generator", "none but the generator's own", "unknown"),
}
"""By source: what it is, its licence in words, its licence as the hub names it."""


@dataclass(frozen=True)
class Provenance:
    """What a synthetic folder was made with. Nothing in it differs between equal runs.

    Attributes:
        shots: the few-shot rows.
        forbidden: rows that were not to be repeated.
        backbone: of the generator that wrote, or scored, the rows; None for imported rows that
            no generator has seen.
        prompts: the label prompts [C,P,H], likewise.
        imported: name of the file the rows were imported from, None where dawgen wrote them.
        engine: who decoded, such as "ctranslate2, int8"; None for imported rows.
    """

    card: TaskCard
    settings: SynthesisSettings
    seed: int
    shots: Sequence[Row]
    forbidden: Sequence[Row]
    backbone: Backbone | None = None
    prompts: Tensor | None = None
    imported: str | None = None
    engine: str | None = None


def prompts_hash(prompts: Tensor) -> str:
    """SHA-256 of the label prompts' fp32 values."""
    return hashlib.sha256(prompts.detach().float().cpu().contiguous().numpy().tobytes()).hexdigest()


def model_name(name: str) -> str:
    """A hub name as it is; of a folder its last part, for paths are private."""
    return Path(name).name if name.startswith((".", "/", "~")) else name


def model_licence(name: str) -> str:
    """The licence of a backbone by its own card, where this machine has it."""
    if known := known_backbone(name):
        return known.licence_id
    folder = Path(name).expanduser()
    if gguf := find_gguf(folder):
        return str(read_header(gguf).values.get("general.license") or "see the model's own page")
    card = folder / "README.md" if folder.is_dir() else try_to_load_from_cache(name, "README.md")
    if isinstance(card, str | Path) and Path(card).is_file():
        try:
            licence = ModelCard.load(str(card), ignore_metadata_errors=True).data.license
        except ValueError:  # front matter that is no YAML
            licence = None
        if licence:
            return str(licence)
    return "see the model's own page"


def source_name(choice: str | Mapping[str, float]) -> str:
    """The setting ``synthesis.first_sentences`` with files by their last part only."""
    if isinstance(choice, Mapping):
        return ", ".join(f"{source_name(name)}: {share:g}" for name, share in choice.items())
    return choice if choice in NAMED or choice.startswith("hub:") else Path(choice).name
