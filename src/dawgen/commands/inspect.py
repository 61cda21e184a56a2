"""`dawgen inspect`: what a run has learnt, in the terminal or as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from dawgen.errors import UserError
from dawgen.storage.reading import as_dawgen_writes, read_json
from dawgen.terminal.progress import shown

WEIGHTS = "token-weights.json"
END = "<end>"

inspect_app = typer.Typer(no_args_is_help=True)


@inspect_app.callback()
def inspect() -> None:
    """Show what a run has learnt."""


@inspect_app.command()
def weights(
    folder: Annotated[Path, typer.Argument(help="Run folder, or folder of a generator.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON with every figure.")] = False,
) -> None:
    """Print the weight and the label ratio of every token of the few shots."""
    texts = read_weights(folder)
    if as_json:
        typer.echo(json.dumps(texts, indent=2, ensure_ascii=False))
        return
    console = Console(soft_wrap=True, highlight=False)
    with as_dawgen_writes(folder):
        for line in weight_lines(texts, console.width):
            console.print(line)


def read_weights(folder: Path) -> list[dict[str, Any]]:
    """The token weights that lie in a generator's folder."""
    places = [folder / "generator" / WEIGHTS, folder / WEIGHTS]
    path = next((path for path in places if path.is_file()), None)
    if path is None:
        raise UserError(
            f"There are no token weights in {folder}; name the folder of a run whose generator was "
            "tuned by `dawgen run` or `dawgen fit-generator`."
        )
    texts: list[dict[str, Any]] = read_json(path, list)
    return texts


def weight_lines(texts: Sequence[dict[str, Any]], width: int) -> Iterator[Text]:
    """Each text as columns of token, weight and label ratio, no wider than ``width``.

    Tokens of more than the mean weight, 1, stand out: the redder, the heavier.
    """
    yield Text("weight: of the token in the loss, 1 on average; ratio: how it tells the label")
    for text in texts:
        yield Text("")
        yield Text(shown(f"few shot {text['row'] + 1}, {text['label']}"), style="bold")
        if text["source"]:
            yield Text(f"  after: {shown(text['source'])}", style="dim")
        yield from _columns(text["tokens"], width)


def _columns(tokens: Sequence[dict[str, Any]], width: int) -> Iterator[Text]:
    names = ("token ", "weight", "ratio ")
    lines = [Text(f"  {name}") for name in names]
    for token in tokens:
        cells = (
            shown(token["text"]).strip() or END,
            f"{token['weight']:.2f}",
            f"{token['label_ratio']:.2f}",
        )
        size = max(len(cell) for cell in cells)
        if lines[0].cell_len + size + 1 > width and lines[0].cell_len > len(names[0]) + 2:
            yield from lines
            lines = [Text(f"  {name}") for name in names]
        for line, cell in zip(lines, cells, strict=True):
            line.append(" ")
            style = weight_style(token["weight"]) if line is lines[0] else ""
            line.append(cell.ljust(size), style=style)
    yield from lines


def weight_style(weight: float) -> str:
    """A background from none (the mean weight or less) to full red (three times the mean)."""
    share = min(max((weight - 1) / 2, 0.0), 1.0)
    pale = round(255 * (1 - share))
    return f"black on rgb(255,{pale},{pale})" if share > 0.02 else ""
