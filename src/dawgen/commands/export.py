"""`dawgen export` and `dawgen push`: a run's prompt and rows for other people's software."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dawgen.commands.options import MachineSet
from dawgen.terminal.harmless import in_shell

Run = Annotated[Path, typer.Argument(help="Folder of a finished run.")]


def export(
    run: Run,
    to: Annotated[
        str,
        typer.Option(
            help="Format: choice and onnx hold what the run ships; peft, hf, ctranslate2 "
            "and gguf its tuned prompt."
        ),
    ] = "choice",
    out: Annotated[Path | None, typer.Option(help="New folder. Default: RUN/exports/TO.")] = None,
    over: MachineSet = None,
) -> None:
    """Export a run for use without dawgen, with a model card and a script that labels rows."""
    from dawgen.exporting import export_run
    from dawgen.exporting.export import local_base

    folder = export_run(run, to, out or run / "exports" / to, over or [])
    base = local_base(run, over or []) if to == "peft" else None
    script = in_shell(folder / "predict.py")
    behind = f" {in_shell(Path(base))}" if base else ""
    typer.echo(f"Exported to {folder}; label rows with: python {script} ROWS.csv{behind}")


def push(
    run: Run,
    model: Annotated[
        str | None, typer.Option(help="Repository for the prompt, such as me/mood.")
    ] = None,
    dataset: Annotated[
        str | None, typer.Option(help="Repository for the synthetic rows, such as me/mood-rows.")
    ] = None,
    to: Annotated[str, typer.Option(help="Format, as of `dawgen export`.")] = "peft",
    private: Annotated[
        bool, typer.Option("--private", help="Create private repositories.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List what would be uploaded, and upload nothing.")
    ] = False,
    over: MachineSet = None,
) -> None:
    """Upload the prompt, the synthetic rows or both to the Hugging Face hub, with their cards."""
    import tempfile

    from dawgen import exporting

    with tempfile.TemporaryDirectory() as work:
        uploads = exporting.planned_uploads(
            run, Path(work), model=model, dataset=dataset, to=to, overrides=over or []
        )
        for upload in uploads:
            size = sum(size for _, size in upload.files)
            typer.echo(f"{upload.kind} {upload.repo}: {len(upload.files)} files, {_size(size)}")
            for name, part in upload.files:
                typer.echo(f"  {name}  {_size(part)}")
        if dry_run:
            typer.echo("Nothing was uploaded.")
            return
        for address in exporting.push(uploads, private=private):
            typer.echo(f"Pushed: {address}")


def _size(count: int) -> str:
    if count < 1000:
        return f"{count} B"
    return f"{count / 1000:,.1f} kB" if count < 1_000_000 else f"{count / 1_000_000:,.1f} MB"
