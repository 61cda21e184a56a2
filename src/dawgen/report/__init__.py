"""HTML pages about runs and benchmarks, each of them one self-contained file."""

from __future__ import annotations

from dawgen.report.bench import write_bench_report
from dawgen.report.compare import write_comparison
from dawgen.report.encodings import write_map
from dawgen.report.page import write_report

__all__ = ["write_bench_report", "write_comparison", "write_map", "write_report"]
