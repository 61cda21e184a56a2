"""The grid: which tasks, seeds, methods and backbones, on which rows, as one YAML file."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Sequence
from importlib import resources
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError, field_validator, model_validator

from dawgen.errors import UserError, explain
from dawgen.settings import Settings
from dawgen.settings.layers import as_overrides, build_settings, preset_names
from dawgen.settings.section import Positive, Section
from dawgen.settings.yamltext import parse_yaml

Names = Annotated[list[str], Field(min_length=1)]


class BackboneSpec(Section):
    """One backbone and what is set for it alone."""

    name: str = Field(pattern=r"^[\w.+-]+$")
    """What its cells and rows are called."""
    preset: str | None = None
    """Settings made for one backbone; those made for its path without."""
    settings: dict[str, Any] = Field(default={})
    """Such as `tuning.steps: 500`; they win over the grid's own."""


class Data(Section):
    """Where rows lie: a pattern with `{task}`, or `hub` for the card's own data set."""

    pool: str = "hub"
    """Labelled rows that the shots are drawn from; without labels, what methods may adapt to."""
    test: str = "hub"
    """Rows to score."""


class Grid(Section):
    """Every task with every seed, method and backbone is a cell."""

    name: str
    description: str = ""
    tasks: Names
    """Shipped cards by name, or card files."""
    seeds: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)]
    """Each draws its own shots from the pool."""
    methods: Names
    backbones: Annotated[list[BackboneSpec], Field(min_length=1)]
    data: Data = Data()
    test_rows: Positive | None = None
    """Most test rows of a task: the same ones for every method and seed."""
    sources: dict[str, str] = Field(default={})
    """The source task of each task, for methods of transfer."""
    settings: dict[str, Any] = Field(default={})
    """Such as `shots: 16`, for every backbone."""
    stack: Positive = 8
    """Most prompts that train at once; fewer need less memory."""

    @field_validator("tasks", "seeds", "methods")
    @classmethod
    def _no_doubles(cls, values: list[Any]) -> list[Any]:
        twice = [value for place, value in enumerate(values) if value in values[:place]]
        if twice:
            raise ValueError(f"{twice[0]!r} is listed twice")
        return values

    @model_validator(mode="after")
    def _backbones_differ(self) -> Grid:
        names = [spec.name for spec in self.backbones]
        if len(set(names)) < len(names):
            raise ValueError(f"two of the backbones have the same name ({', '.join(names)})")
        return self


_SHIPPED = resources.files("dawgen.bench") / "grids"


def grid_names() -> list[str]:
    """Names of the grids shipped with the package."""
    files = [path.name for path in _SHIPPED.iterdir() if path.name.endswith(".yaml")]
    return sorted(name.removesuffix(".yaml") for name in files)


def load_grid(name_or_path: str) -> Grid:
    """A shipped grid by its name, or the user's own by the path of its YAML file."""
    if name_or_path in grid_names():
        return parse_grid((_SHIPPED / f"{name_or_path}.yaml").read_text("utf-8"), name_or_path)
    path = Path(name_or_path)
    if not path.is_file():
        near = difflib.get_close_matches(name_or_path, grid_names(), n=1, cutoff=0.6)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(grid_names())}."
        raise UserError(f"There is no grid {name_or_path!r} and no grid file of that name; {hint}")
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        raise UserError(f"{path} cannot be read as a text file in UTF-8.") from None
    return parse_grid(text, name_or_path, default_name=path.stem)


def parse_grid(text: str, where: str, default_name: str | None = None) -> Grid:
    """A grid from its YAML text; ``where`` names it in errors."""
    tree = parse_yaml(text, where)
    if not isinstance(tree, dict):
        raise UserError(f"{where}: a grid is a list of `name: value` lines, and this is not.")
    if default_name:
        tree.setdefault("name", default_name)
    try:
        return Grid.model_validate(tree)
    except ValidationError as error:
        known = list(Grid.model_fields)
        why = explain(error, "grid entry", known, f"a grid has {', '.join(known)}.")
        raise UserError(f"{where}: {why}") from None


def narrow(
    grid: Grid,
    *,
    tasks: Sequence[str] = (),
    methods: Sequence[str] = (),
    seeds: Sequence[int] = (),
    backbones: Sequence[str] = (),
) -> Grid:
    """The part of the grid that is named; what is not named stays whole.

    A backbone may also be a preset's name, whether the grid has it or not.
    """
    chosen = {
        "tasks": _among("task", grid.tasks, tasks),
        "methods": _among("method", grid.methods, methods),
        "seeds": _among("seed", grid.seeds, seeds),
    }
    known = {spec.name: spec for spec in grid.backbones}
    presets = {n: BackboneSpec(name=n, preset=n) for n in preset_names() if n not in known}
    if backbones:
        names = _among("backbone", [*known, *presets], backbones)
        chosen["backbones"] = [(known | presets)[name] for name in names]
    return grid.model_copy(update=chosen)


def _among(kind: str, known: Sequence[Any], wanted: Sequence[Any]) -> list[Any]:
    for value in wanted:
        if value not in known:
            listed = ", ".join(str(one) for one in known)
            raise UserError(f"The grid has no {kind} {value}; it has {listed}.")
    return [value for value in known if value in wanted or not wanted]


def grid_settings(grid: Grid, overrides: Iterable[str] = ()) -> dict[str, Settings]:
    """Settings for each backbone's name: preset, then grid, then backbone, then ``-s``.

    A ``backbone.path`` among the overrides takes the place of the grid's backbone, and gives
    it its own last part as name.
    """
    overrides = list(overrides)
    given = [text.partition("=") for text in overrides]
    for tree in (grid.settings, *(spec.settings for spec in grid.backbones)):
        if "trust_remote_code" in json.dumps(tree, default=str):
            raise UserError(
                "A grid cannot allow a model's own code to run; if you have read that code, say "
                "-s backbone.trust_remote_code=true."
            )
    if "seed" in [key.strip() for key, _, _ in given] + [*grid.settings]:
        raise UserError("A grid lists its seeds, and --seeds chooses among them; set none.")
    paths = [value for key, _, value in given if key.strip() == "backbone.path"]
    if paths and len(grid.backbones) > 1:
        raise UserError("-s backbone.path names one backbone; choose one with --backbones.")
    own_name = ""
    if paths:
        own_name = folder_name(paths[-1].rstrip("/").rpartition("/")[2]) or "backbone"
    found = {}
    for spec in grid.backbones:
        files = as_overrides(grid.settings) + as_overrides(spec.settings)
        name = own_name or spec.name
        found[name] = build_settings(preset=spec.preset, overrides=[*files, *overrides])[0]
    return found


def folder_name(name: str) -> str:
    """A name as its folders are called."""
    return re.sub(r"[^\w.+-]+", "-", name)
