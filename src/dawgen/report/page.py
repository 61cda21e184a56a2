"""Writing ``report.html``, the page of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dawgen.report import candidates, results, rows, training
from dawgen.report.environment import render_page
from dawgen.report.read import RunFiles, read_run
from dawgen.report.tokens import shot_texts
from dawgen.report.verdicts import tune_command, verdicts
from dawgen.storage.folder import write_text
from dawgen.storage.reading import as_dawgen_writes
from dawgen.synthesis.quality import measure_lines


def write_report(folder: Path) -> Path:
    """Write ``folder/report.html`` from the run folder's own files.

    The page is one file that loads nothing: styles, charts, rows and scripts are inside it, and
    every text of the run is escaped. Words and figures are there without scripts too.

    Raises:
        UserError: no such folder, or a file of it is damaged.
    """
    path = folder / "report.html"
    with as_dawgen_writes(folder):
        context = _context(read_run(folder))
        write_text(path, render_page("report.html.j2", context, ("viewer.js", "map.js", "rows.js")))
    return path


def _context(files: RunFiles) -> dict[str, Any]:
    run, scores = files.run, files.scores
    seed = files.seed
    shots = (run.get("rows") or {}).get("dev")
    compared = results.results(scores)
    account = rows.ledger_table(files.ledger)
    table = rows.table_data(files)
    metric = results.metric_name(scores)
    selection = (run.get("stages") or {}).get("selection") or {}
    seconds = selection.get("candidates") or {}
    return {
        "name": files.name,
        "task": files.task,
        "seed": seed,
        "run": run,
        "scores": scores,
        "words": results.words(files),
        "verdicts": verdicts(files),
        "key_figures": results.key_figures(files),
        "scored_on": scores.get("scored_on", "test rows"),
        "results": compared,
        "results_chart": results.results_chart(compared, results.shipped(scores), seed, metric),
        "by_reader": any(value is not None for value in table["sure"]),
        "metric": metric,
        "confusion": results.confusion(scores),
        "reliability": results.reliability_figure(files.predictions, seed),
        "wrong": results.wrong(files.predictions),
        "shots": shots,
        "arm": files.arm,
        "settings": files.settings,
        "shot_texts": shot_texts(files),
        "generator_charts": training.generator_charts(files.generator_log),
        "tuning_charts": training.tuning_charts(files.tuning_log, files.baseline_log, shots),
        "tuning_details": training.tuning_details(files.tuning_log, files.baseline_log),
        "candidates": candidates.table(scores, results.metric_of(scores), seconds),
        "shipped": candidates.shipped(files.scores),
        "ledger": account,
        "ledger_chart": rows.ledger_chart(files.ledger, seed),
        "measures": measure_lines(files.quality),
        "reasons": sorted({reason for row in account for reason in row["reasons"]}),
        "samples": rows.samples(files.synthetic),
        "rejected": files.rejected,
        "rejected_written": any(not row["kept"] for row in files.synthetic),
        "synthetic_count": len(files.synthetic),
        "most_rows": rows.MOST_ROWS,
        "lengths": rows.lengths_chart(files),
        "phrases": rows.phrase_charts(files),
        "table": table,
        "tests": rows.scored_data(files),
        "predicted_count": len(files.predictions),
        "tune_command": tune_command(files),
        "map": rows.map_data(files, table["labels"]),
        "static_map": rows.static_map(files, table["labels"]),
    }
