"""HTML pages about runs and benchmarks, each of them one self-contained file."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dawgen.report.bench import write_bench_report
    from dawgen.report.compare import write_comparison
    from dawgen.report.encodings import write_map
    from dawgen.report.page import write_report

_HOMES = {
    "write_bench_report": "dawgen.report.bench",
    "write_comparison": "dawgen.report.compare",
    "write_map": "dawgen.report.encodings",
    "write_report": "dawgen.report.page",
}

__all__ = ["write_bench_report", "write_comparison", "write_map", "write_report"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'dawgen.report' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
