"""`dawgen serve`: finished runs over HTTP."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dawgen.commands.options import MachineSet
from dawgen.errors import UserError


def serve(
    folders: Annotated[list[Path], typer.Argument(help="Folders of finished runs.")],
    host: Annotated[
        str, typer.Option(help="Address to listen at; 0.0.0.0 is all of this machine's.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = 8000,
    over: MachineSet = None,
) -> None:
    """Label rows over HTTP with finished runs: JSON in and out, a route for each run.

    Each run is served under the name of its folder. Runs with the same model share it.
    """
    try:
        from dawgen.serving import server
    except ModuleNotFoundError as error:
        if error.name not in ("fastapi", "uvicorn", "starlette"):
            raise
        raise UserError(
            f"dawgen serve needs {error.name}; install it with: pip install 'dawgen[serve]'."
        ) from None
    server.serve(folders, host, port, over or [])
