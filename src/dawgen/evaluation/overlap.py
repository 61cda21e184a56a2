"""Few-shot rows that stand in the test set too: shown, not claimed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dawgen.tasks.row import row_key

if TYPE_CHECKING:
    from dawgen.tasks import Row


@dataclass(frozen=True)
class Overlap:
    """Test rows whose texts are a few-shot row's too."""

    count: int
    rows: list[int]
    """Their places in the test set; the first row is 1."""
    n: int
    """Test rows in all."""

    def sentence(self) -> str:
        """The overlap in words."""
        if not self.count:
            return f"none of the {self.n} test rows is among the few shots"
        first = ", ".join(str(row) for row in self.rows[:5]) + (", ..." if self.count > 5 else "")
        are = "is" if self.count == 1 else "are"
        return (
            f"{self.count} of the {self.n} test rows {are} among the few shots too "
            f"(row {first}), so the score is too good"
        )


def overlap(shots: Iterable[Row], test: Sequence[Row]) -> Overlap:
    """Find test rows with the same texts as a few-shot row, whatever their labels.

    Case, white space, the spacing of punctuation and the style of quotes do not count as
    differences; for pairs both texts must be the same, in the same order.
    """
    keys = {row_key(row) for row in shots}
    found = [i for i, row in enumerate(test, start=1) if row_key(row) in keys]
    return Overlap(len(found), found, len(test))
