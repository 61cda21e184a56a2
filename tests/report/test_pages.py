"""The pages of several runs and of a benchmark."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dawgen.errors import UserError
from dawgen.evaluation.results import read_results
from dawgen.report import write_bench_report, write_comparison
from dawgen.report.bench import costs, significance
from dawgen.report.compare import difference, different_settings
from dawgen.report.read import read_run
from tests.report.folder import PREDICTIONS

# --- several runs ----------------------------------------------------------------------


@pytest.fixture
def two_runs(run_folder: Path) -> tuple[Path, Path]:
    """A run, and one beside it that answers one test row more rightly."""
    other = run_folder.parent / "pairs-21"
    shutil.copytree(run_folder, other)
    better = [row | {"prediction": "no"} if row["premise"] == "c" else row for row in PREDICTIONS]
    pq.write_table(pa.Table.from_pylist(better), other / "predictions.parquet")
    (other / "config.yaml").write_text("seed: 21\ntuning: {steps: 9}\n")
    return run_folder, other


def test_a_paired_difference_by_hand(two_runs: tuple[Path, Path]) -> None:
    first, second = (read_run(folder).predictions for folder in two_runs)
    found = difference(second, first)
    assert found is not None
    assert found.points == 25.0  # one row of four
    assert found.p == 1.0  # one row alone could as well have gone the other way
    assert difference(first, first[:3]) is None  # other test rows


def test_mcnemars_p_by_hand() -> None:
    def rows(right: str) -> list[dict[str, object]]:
        return [
            {"text1": str(i), "text2": None, "label": "a", "prediction": "a" if r == "1" else "b"}
            for i, r in enumerate(right)
        ]

    # 6 rows differ, all one way: 2 · 0.5^6 = 0.03125.
    found = difference(rows("11111111"), rows("00000011"))
    assert found is not None
    assert found.p == pytest.approx(0.03125)
    assert found.points == 75.0


def test_only_settings_that_differ_are_told(two_runs: tuple[Path, Path]) -> None:
    runs = [(folder.name, read_run(folder)) for folder in two_runs]
    assert different_settings(runs) == [("seed", ["13", "21"]), ("tuning.steps", ["–", "9"])]


def test_the_page_of_two_runs(two_runs: tuple[Path, Path]) -> None:
    page = write_comparison(two_runs, two_runs[0].parent / "page.html").read_text("utf-8")
    text = re.sub(r"<[^>]+>", " ", page)
    assert "pairs-21 is right on 50.0%, +25.0 points against pairs-13: no more than chance" in text
    assert "What the generators look at" in text
    assert page.count('class="tokens"') == 2  # one text, two runs
    assert "<img" not in page


def test_a_folder_without_a_run_is_refused(run_folder: Path) -> None:
    with pytest.raises(UserError, match=r"no run folder: it has no run\.json"):
        write_comparison([run_folder, run_folder.parent], run_folder / "page.html")


# --- a benchmark -----------------------------------------------------------------------

GOLD = [0, 1] * 10


def write_cells(out: Path) -> None:
    """Two methods, one task, three seeds; the second is right on 4, 2 and 0 rows fewer."""
    for method, wrong in (("dawgen-surgery", (2, 3, 4)), ("prompt-tuning", (6, 5, 4))):
        for seed, mistakes in zip((13, 21, 42), wrong, strict=True):
            right = np.arange(20) >= mistakes
            predicted = [g if r else 1 - g for g, r in zip(GOLD, right, strict=True)]
            cell = {
                "task": "sick",
                "method": method,
                "seed": seed,
                "backbone": "tiny",
                "accuracy": float(right.mean()),
                "data": {"test": "rows"},
                "settings_hash": "same",
                "gold": " ".join(map(str, GOLD)),
                "predicted": " ".join(map(str, predicted)),
                "wall_seconds": 10.0 * seed,
                "peak_memory_mib": 500.0 + seed,
                "energy_kwh": None,
            }
            path = out / "cells" / "tiny" / "sick" / f"{method}-{seed}.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(cell))


def test_significance_by_hand(tmp_path: Path) -> None:
    write_cells(tmp_path)
    (found,) = significance(read_results(tmp_path), "dawgen-surgery")
    assert (found.method, found.test.pairs) == ("prompt-tuning", 3)
    assert found.test.mean == pytest.approx(10.0)  # 20, 10 and 0 points
    # Of 8 patterns of signs those with 20 and 10 alike reach 30: ++±, --±.
    assert found.test.p == 0.5


def test_costs_are_means_and_peaks(tmp_path: Path) -> None:
    write_cells(tmp_path)
    ours = costs(read_results(tmp_path))[0]
    assert ours.method == "dawgen-surgery"
    assert ours.accuracy == pytest.approx(85.0)
    assert ours.seconds == pytest.approx(760 / 3)
    assert ours.memory_mib == 542
    assert ours.energy_wh is None


def test_the_benchmarks_page(tmp_path: Path) -> None:
    write_cells(tmp_path)
    page = write_bench_report(tmp_path).read_text("utf-8")
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))
    assert "6 cells are done: 2 methods on 1 task (sick)." in text
    assert "dawgen-surgery is +10.0 points against prompt tuning on tiny" in text
    assert "85.0 ± 5.0" in text
    assert page.count("seed 21: ") == 4  # a tip and its title for each point
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", page)
