"""The page a run writes about itself: one self-contained HTML file."""

from __future__ import annotations

from dawgen.report.page import write_report

__all__ = ["write_report"]
