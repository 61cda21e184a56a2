"""The commands of the benchmark: run a grid, show its tables."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dawgen.commands.options import ClusterAddress, Set, WorkerGpus
from dawgen.errors import UserError
from dawgen.terminal.harmless import in_shell

_TABLES = ("1", "2", "3", "all")
Tasks = Annotated[str | None, typer.Option(help="Only these tasks, separated by commas.")]


def bench(
    grid: Annotated[
        str, typer.Argument(help="Shipped grid, such as table1, or path to a grid (YAML).")
    ],
    data: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder with TASK/train.jsonl and TASK/test.jsonl."),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for the cells.")] = Path("results/latest"),
    tasks: Tasks = None,
    methods: Annotated[
        str | None, typer.Option(help="Only these methods, separated by commas.")
    ] = None,
    seeds: Annotated[
        str | None, typer.Option(help="Only these seeds, separated by commas.")
    ] = None,
    backbones: Annotated[
        str | None, typer.Option(help="Only these backbones, or presets, separated by commas.")
    ] = None,
    test_rows: Annotated[
        int | None, typer.Option(min=1, help="Largest number of test rows per task.")
    ] = None,
    stack: Annotated[
        int | None, typer.Option(min=1, help="Largest number of prompts that train together.")
    ] = None,
    cluster: ClusterAddress = None,
    worker_gpus: WorkerGpus = 0.0,
    over: Set = None,
) -> None:
    """Run a grid of tasks, seeds, methods and backbones. Finished cells are skipped."""
    from dawgen.bench.grid import load_grid, narrow
    from dawgen.bench.run import run_grid
    from dawgen.cluster import Cluster
    from dawgen.report import write_bench_report

    chosen = narrow(
        load_grid(grid),
        tasks=_listed(tasks),
        methods=_listed(methods),
        seeds=_numbers(seeds),
        backbones=_listed(backbones),
    )
    changes = {"test_rows": test_rows, "stack": stack}
    chosen = chosen.model_copy(update={k: v for k, v in changes.items() if v is not None})
    nodes = Cluster.like_here(cluster, worker_gpus) if cluster else None
    outcome = run_grid(chosen, out, data=data, overrides=over or [], cluster=nodes)
    failed = len(outcome.failures)
    typer.echo(
        f"{outcome.total:,} cells: {outcome.there:,} were there, {outcome.made:,} made, "
        f"{failed:,} failed; {out / 'cells'}"
    )
    typer.echo(f"Tables: dawgen tables {in_shell(out)}")
    typer.echo(f"Page:   {write_bench_report(out)}")
    if failed:
        raise typer.Exit(outcome.exit_code)


def tables(
    folder: Annotated[Path, typer.Argument(help="The --out folder of `dawgen bench`.")],
    table: Annotated[str, typer.Option(help="Table: 1, 2, 3 or all.")] = "all",
    form: Annotated[
        str, typer.Option("--format", help="Format: terminal, markdown, csv or latex.")
    ] = "terminal",
    compare: Annotated[
        tuple[str, str] | None,
        typer.Option(metavar="METHOD METHOD", help="Test two methods; METHOD@BACKBONE works too."),
    ] = None,
    seeds: Annotated[bool, typer.Option("--seeds", help="Show every seed.")] = False,
    tasks: Tasks = None,
) -> None:
    """Print the paper's tables for a benchmark, with the paper's figures beside ours."""
    from dawgen.evaluation.compare import compare as compared
    from dawgen.evaluation.formats import FORMATS
    from dawgen.evaluation.results import read_results
    from dawgen.evaluation.tables import build_tables

    if table not in _TABLES:
        raise UserError(f"There is no table {table!r}; name one of {', '.join(_TABLES)}.")
    if form not in FORMATS:
        raise UserError(f"There is no format {form!r}; name one of {', '.join(FORMATS)}.")
    results = read_results(folder)
    if compare is not None:
        for line in compared(results, *compare, tasks=_listed(tasks)):
            typer.echo(line)
        return
    found = build_tables(results, None if table == "all" else int(table), _listed(tasks))
    typer.echo(FORMATS[form](found, seeds), nl=False)


def _listed(text: str | None) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()] if text else []


def _numbers(text: str | None) -> list[int]:
    try:
        return [int(part) for part in _listed(text)]
    except ValueError:
        raise UserError(f"--seeds {text!r}: write whole numbers with commas, as 13,21.") from None
