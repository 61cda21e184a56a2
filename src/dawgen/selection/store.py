"""The shipped choice as files: ``choice/`` of a run folder, read back without any pickle."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import safetensors.numpy

from dawgen.selection.heads import Probabilities
from dawgen.selection.parts import ROWS_AT_ONCE, HeadPart, Kind, Models, Part, read_part
from dawgen.selection.pool import pooled, pooled_questions
from dawgen.storage.atomic import write_bytes
from dawgen.storage.folder import write_json
from dawgen.storage.reading import as_dawgen_writes, read_json
from dawgen.terminal.progress import warn

if TYPE_CHECKING:
    from dawgen.tasks import Row

FOLDER, CHOICE, NUMBERS = "choice", "choice.json", "choice.safetensors"
WORDS = "words.json"
_ON_ENCODER = ("embeddings", "alignment", "cross", "tuned-cross", "tuned")


@dataclass(frozen=True)
class Choice:
    """A classifier of one part or several.

    Attributes:
        groups: a number for each part. Probabilities of parts with the same number are multiplied,
            and then those of the groups averaged. Each part is a group of its own without.
    """

    name: str
    parts: Sequence[Part]
    groups: Sequence[int] = ()

    def probabilities(self, rows: Sequence[Row]) -> Probabilities:
        """p(label) [N,C]; the rows' labels are not looked at.

        Several parts read some thousands of rows in turn, while their encoder remembers them.
        """
        at_once = ROWS_AT_ONCE if len(self.parts) > 1 else max(1, len(rows))
        pieces = [rows[n : n + at_once] for n in range(0, len(rows), at_once)] or [rows]
        return np.concatenate(
            [self.pooled([part.probabilities(piece) for part in self.parts]) for piece in pieces]
        )

    def pooled(self, parts: Sequence[Probabilities]) -> Probabilities:
        """[N,C] of the parts' own [N,C]."""
        heads = [part.head for part in self.parts if isinstance(part, HeadPart)]
        pool = pooled_questions if any(head.independent for head in heads) else pooled
        return pool(parts, self.grouping)

    @property
    def grouping(self) -> list[int]:
        """A number for each part, also where none was given."""
        return list(self.groups or range(len(self.parts)))

    @property
    def reads_with(self) -> set[str]:
        """Which models it needs: ``backbone``, ``encoder``, both or none."""
        models = {**dict.fromkeys(_ON_ENCODER, "encoder"), "words": ""}
        return {models.get(part.kind, "backbone") for part in self.parts} - {""}

    @property
    def bytes(self) -> int:
        """Of its arrays and words, without the models that it reads with."""
        words = len(json.dumps([part.words() for part in self.parts], ensure_ascii=False).encode())
        return words + sum(a.nbytes for part in self.parts for a in part.numbers().values())

    def save(self, folder: Path, models: Models, about: dict[str, Any]) -> None:
        """Write the files; ``about`` is kept beside, for people."""
        folder.mkdir(parents=True, exist_ok=True)
        numbers = {
            f"{n}.{name}": np.ascontiguousarray(array)
            for n, part in enumerate(self.parts)
            for name, array in part.numbers().items()
        }
        write_bytes(folder / NUMBERS, safetensors.numpy.save(numbers))
        write_json(folder / WORDS, [part.words() for part in self.parts])
        parts = [
            {"name": part.name, "kind": part.kind, "group": group}
            for part, group in zip(self.parts, self.grouping, strict=True)
        ]
        prints = {name: getattr(models, name).fingerprint for name in sorted(self.reads_with)}
        write_json(folder / CHOICE, {"name": self.name, "parts": parts, "models": prints, **about})


def load_choice(folder: Path, models: Models) -> Choice:
    """Read a choice back; warns where a model is not the one that it was made with.

    Raises:
        UserError: a file is missing or damaged, or a model cannot be loaded.
    """
    about = read_json(folder / CHOICE)
    with as_dawgen_writes(folder):
        words = read_json(folder / WORDS, list)
        numbers = safetensors.numpy.load_file(folder / NUMBERS)
        parts = []
        for n, part in enumerate(about["parts"]):
            start = f"{n}."
            own = {k.removeprefix(start): v for k, v in numbers.items() if k.startswith(start)}
            kind: Kind = part["kind"]
            parts.append(read_part(str(part["name"]), kind, own, words[n], models))
        groups = [int(part.get("group", n)) for n, part in enumerate(about["parts"])]
        choice = Choice(str(about["name"]), parts, groups)
        prints = dict(about["models"])
    for name in sorted(choice.reads_with):
        if prints.get(name) != getattr(models, name).fingerprint:
            setting = "backbone.path" if name == "backbone" else "selection.encoder"
            warn(
                f"the {name} is not as it was when {folder} was made (its files or settings), so "
                f"labels may differ; run again, or name the old one with -s {setting}."
            )
    return choice
