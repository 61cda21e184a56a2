"""A synthetic row: a labelled row and how it was made."""

from __future__ import annotations

from dataclasses import dataclass, replace

from dawgen.tasks import Row


@dataclass(frozen=True, slots=True)
class SyntheticRow(Row):
    """A written row, kept or rejected.

    Attributes:
        kept: whether it belongs to the dataset.
        reason: why not, else None.
        label_ratio: how strongly the row belongs to its label, in 0..1: the sentence version
            of the ratio in (3); None where a rule rejected the row before it was scored, or a
            reader chose instead.
        log_likelihood: log p(written text | its label's prompt), in nats; None likewise.
        first_sentence: where text1 comes from, such as `captions:1234`.
        shard: number of its shard.
        seed: of the random numbers that wrote it.
        written_for: the label that it was asked for, where a reader gave it another one.
        reader_probability: p(label) by the reader that chose, in 0..1, as calibrated; None without
            a reader, or where a rule rejected the row before.
    """

    kept: bool = True
    reason: str | None = None
    label_ratio: float | None = None
    log_likelihood: float | None = None
    first_sentence: str = ""
    shard: int = 0
    seed: int = 0
    written_for: str | None = None
    reader_probability: float | None = None

    @property
    def label_confidence(self) -> float | None:
        """How strongly the row belongs to its label: by the reader that chose it, else the label
        ratio; None where neither is known."""
        known = self.reader_probability
        return self.label_ratio if known is None else known

    @property
    def asked_for(self) -> str:
        """The label that it was written for, which counts its attempt."""
        return str(self.written_for or self.label)

    def relabelled(self, label: str) -> SyntheticRow:
        """The row under another label; its ratio was the old one's."""
        return replace(
            self, label=label, written_for=self.asked_for, label_ratio=None, log_likelihood=None
        )

    def rejected(self, reason: str | None) -> SyntheticRow:
        """The row as rejected for this reason; unchanged for None."""
        return self if reason is None else replace(self, kept=False, reason=reason)
