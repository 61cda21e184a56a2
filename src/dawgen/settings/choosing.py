"""Settings of the choice among written rows by a reader that did not write them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from dawgen.settings.section import Section


class ChoosingSettings(Section):
    """Which clean rows are kept, by a reader that did not write them, method.md §2."""

    by: Literal["none", "reader"] = "none"
    """`reader` keeps the rows whose label is confirmed by the best classifier of the few shots
    alone (the prompt tuned on them, or a linear head of `selection.candidates`), and goes on
    writing until each label has `rows_per_label` of them; `none` keeps all clean rows."""
    relabel: Annotated[float, Field(ge=0)] | None = None
    """Where a head reads: each clean row takes the reader's label, its own or another, if
    that leads the next best by so many nats, and is rejected else. Not calibrated, and `min_margin`
    has no part. `null` keeps rows under their own labels, as rows from elsewhere always are."""
    calibrate: bool = True
    """Subtract each label's mean log-probability over a shard's clean rows first, so that a
    reader that favours one label still compares rows (batch calibration, Zhou et al. 2024)."""
    min_margin: Annotated[float, Field(ge=0)] = 0.0
    """The row's own label must lead the next best by so many nats; 0 keeps every agreement."""
