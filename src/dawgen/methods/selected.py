"""DawGen's rows of highest label ratio only, mixed with the real ones: no surgery.

Not in the paper. It is what practitioners would try first against noisy synthetic rows: throw
out the doubtful half and mix the rest in. The label ratio is the sentence version of (3), the
generator's own judgement; see the method page.
"""

from __future__ import annotations

from collections.abc import Sequence

from dawgen.methods.synthetic import combined
from dawgen.synthesis import SyntheticRow

SHARE = 0.5


def best_of_each_label(rows: Sequence[SyntheticRow], share: float = SHARE) -> list[SyntheticRow]:
    """The ``share`` of each label's rows with the highest label ratio, in the rows' order.

    A row without a ratio, somebody else's, counts as the most doubtful. Every label keeps a row.
    """
    chosen: set[int] = set()
    for label in {row.label for row in rows}:
        mine = [number for number, row in enumerate(rows) if row.label == label]
        mine.sort(key=lambda number: -(rows[number].label_ratio or 0.0))
        chosen.update(mine[: max(1, round(share * len(mine)))])
    return [rows[number] for number in sorted(chosen)]


PREPARED = {"dawgen-selected": combined("dawgen", "mixed", best_of_each_label)}
