"""A tuned prompt that chooses synthetic rows: those to which it gives the label they have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from dawgen.backbone import Backbone
from dawgen.evaluation import predict
from dawgen.pipeline.stage import Context
from dawgen.prompts import load_prompt
from dawgen.settings import SynthesisSettings
from dawgen.storage.seals import read_seal
from dawgen.synthesis import SyntheticRow
from dawgen.synthesis.choosing import choose_rows
from dawgen.synthesis.provenance import prompts_hash
from dawgen.tasks import Row, TaskCard
from dawgen.terminal.progress import hushed, say


@dataclass(frozen=True)
class PromptReader:
    """Reads rows under a prompt [P,H]: rows to log p(label) [N,C] in fp64."""

    prompt: torch.Tensor
    backbone: Backbone
    card: TaskCard
    tokens_per_batch: int

    @classmethod
    def of(cls, context: Context, tokens_per_batch: int) -> PromptReader:
        """The run's prompt on the few shots alone."""
        prompt = load_prompt(context.path / "baseline", context.backbone)
        return cls(prompt, context.backbone, context.job.card, tokens_per_batch)

    @property
    def fingerprint(self) -> str:
        """Of the prompt's values."""
        return prompts_hash(self.prompt)

    def __call__(self, rows: Sequence[Row]) -> torch.Tensor:
        """The rows' labels are not looked at."""
        tokens = self.tokens_per_batch
        with hushed():
            chances = predict(self.backbone, self.card, self.prompt, rows, tokens_per_batch=tokens)
        return torch.from_numpy(chances).double().clamp(min=1e-30).log()


def chosen_rows(
    reader: PromptReader, settings: SynthesisSettings, rows: Sequence[SyntheticRow], source: Path
) -> list[SyntheticRow]:
    """Of synthetic rows from anywhere those that the reader chooses.

    A folder of rows that the same reader has chosen already, in the same way, is taken whole: its
    rows would be calibrated once more, and some of them lost.

    Raises:
        UserError: none of the rows is chosen.
    """
    seal = read_seal(source) if source.is_dir() else None
    made = seal.inputs if seal else {}
    how = (made.get("synthesis") or {}).get("choose")
    same = how == settings.choose.model_dump(mode="json")
    if same and made.get("reader") == reader.fingerprint:
        say(f"  the rows in {source} were chosen by this reader already")
        return list(rows)
    return choose_rows(rows, reader, reader.card, settings.choose)
