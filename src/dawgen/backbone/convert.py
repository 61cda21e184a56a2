"""From fetched files to a model folder: bf16 safetensors, tokenizer, licence, provenance."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path
from typing import Any

import dawgen
from dawgen.backbone.cache import PROVENANCE
from dawgen.backbone.known import KnownBackbone
from dawgen.storage.atomic import write_text
from dawgen.storage.seals import file_hash


def convert_gguf(file: Path, target: Path) -> dict[str, Any]:
    """Dequantise a GGUF file into a model folder; gives back what to say of it."""
    import torch

    from dawgen.backbone.gguf import check_gguf, load_gguf, load_gguf_tokenizer
    from dawgen.backbone.quiet import quiet

    header = check_gguf(file)
    with quiet():
        model, _ = load_gguf(file, torch.bfloat16)
        model.save_pretrained(target)
        load_gguf_tokenizer(header).save_pretrained(target)
    return {"quantization": header.quantization}


def convert_folder(folder: Path, target: Path) -> dict[str, Any]:
    """Save a causal model of the hub's again in bf16; its tokenizer files are kept as they are."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from dawgen.backbone.quiet import quiet

    with quiet():
        model = AutoModelForCausalLM.from_pretrained(
            folder, dtype=torch.bfloat16, use_safetensors=True
        )
        model.save_pretrained(target)
        AutoTokenizer.from_pretrained(folder).save_pretrained(target)
    return {"quantization": None}


def finish(known: KnownBackbone, target: Path, facts: dict[str, Any]) -> None:
    """Lay the licence and the provenance beside a model's files; the folder is whole then."""
    licences = resources.files("dawgen.backbone") / "licences"
    licence = (licences / f"{known.licence_id}.txt").read_text("utf-8")
    write_text(target / "LICENSE", licence)
    for path in target.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)  # safetensors' own are for one user alone
    names = sorted(path.relative_to(target) for path in target.rglob("*") if path.is_file())
    provenance = {
        "name": known.name,
        "model": known.title,
        "licence": known.licence,
        "terms": known.terms,
        "licence_text": "LICENSE",
        **facts,
        "made_by": f"dawgen {dawgen.__version__}",
        "files": {
            name.as_posix(): {
                "bytes": (target / name).stat().st_size,
                "sha256": file_hash(target / name),
            }
            for name in names
        },
    }
    write_text(target / PROVENANCE, json.dumps(provenance, indent=2) + "\n")
