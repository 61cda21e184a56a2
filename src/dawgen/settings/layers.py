"""Settings from their layers; later ones override earlier ones.

The layers are the defaults of :mod:`dawgen.settings`, the `decoding` section of the task card, a
preset (what differs for one backbone), the user's YAML file, and ``-s key=value``.
"""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Iterable, Mapping
from functools import cache, partial
from importlib import resources
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

import numpy as np
import yaml
from pydantic import BaseModel, ValidationError

from dawgen.backbone.kind import is_causal
from dawgen.backbone.registry import known_backbone
from dawgen.errors import UserError, explain
from dawgen.settings import BackboneSettings, Settings
from dawgen.settings.retired import RETIRED, without_retired
from dawgen.settings.yamltext import parse_yaml, read_user_text
from dawgen.terminal.harmless import hide_secrets

_PRESETS = resources.files("dawgen.settings") / "presets"


def preset_names() -> list[str]:
    """Names of the built-in presets."""
    files = (file.name for file in _PRESETS.iterdir())
    return sorted(name.removesuffix(".yaml") for name in files if name.endswith(".yaml"))


def _preset(name: str) -> dict[str, Any]:
    if name not in preset_names():
        raise UserError(f"There is no preset {name!r}; choose one of {', '.join(preset_names())}.")
    tree = copy.deepcopy(_preset_file(name))
    base = tree.pop("preset", None)  # the one that it extends
    return _merge(_preset(base), tree, Settings) if base else tree


@cache
def _preset_file(name: str) -> dict[str, Any]:
    return dict(yaml.safe_load((_PRESETS / f"{name}.yaml").read_text("utf-8")))


def _preset_for(tree: Mapping[str, Any]) -> str | None:
    """The preset of the user's backbone, or the one of all causal models."""
    path = str(tree.get("backbone", {}).get("path", BackboneSettings().path))
    known = known_backbone(path)
    paths = (path, known.path, known.name) if known else (path,)
    for name in preset_names():
        if _preset(name).get("backbone", {}).get("path") in paths:
            return name
    return "causal" if is_causal(path) else None


def _of_writer(user: Mapping[str, Any]) -> dict[str, Any]:
    """The sections that concern writing as the preset of another model that writes has them; none
    without such a model."""
    section = user.get("generator")
    path = section.get("backbone") if isinstance(section, Mapping) else None
    if not isinstance(path, str):
        return {}
    name = _preset_for({"backbone": {"path": path}})
    preset = _preset(name) if name else {}
    return {section: preset.get(section, {}) for section in ("generator", "synthesis")}


def _read_yaml(path: Path) -> dict[str, Any]:
    tree = parse_yaml(read_user_text(path, "settings file"), str(path))
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise UserError(
            f"{path}: settings must be 'name: value' lines, not a {type(tree).__name__}."
        )
    settings: dict[str, Any] = {}
    for key, value in tree.items():
        settings = _put(settings, str(key).split("."), value, Settings)
    return without_retired(settings, str(path))


def _merge(
    base: Mapping[str, Any], over: Mapping[str, Any], section: type[BaseModel] | None
) -> dict[str, Any]:
    """Merge sections; other values are replaced, mappings too."""
    merged = dict(base)
    for key, value in over.items():
        inner = _section(section, key)
        if inner and isinstance(value, Mapping) and isinstance(merged.get(key), Mapping):
            merged[key] = _merge(merged[key], value, inner)
        else:
            merged[key] = value
    return merged


def _section(model: type[BaseModel] | None, key: str) -> type[BaseModel] | None:
    """The model of a section; None for a value or an unknown name."""
    field = model.model_fields.get(key) if model else None
    kind = field.annotation if field else None
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def _override(tree: Mapping[str, Any], override: str | tuple[str, Any]) -> dict[str, Any]:
    """The tree with `tuning.steps=100` in it; `a.b.c=1` changes one entry where b is a mapping."""
    if isinstance(override, tuple):
        return _put(tree, override[0].split("."), override[1], Settings)
    key, mark, value = override.partition("=")
    if not mark or not key.strip():
        raise UserError(
            f"-s {override!r}: write it as section.name=value, such as tuning.steps=500."
        )
    path = key.strip().split(".")
    return _put(tree, path, _value(value.strip(), _kind_of(path)), Settings)


class _NoComments(yaml.SafeLoader):
    """YAML in which # starts no comment: on the command line it is part of the value."""

    def scan_to_next_token(self) -> None:
        while self.peek() == " ":
            self.forward()
        if self.peek() != "#":
            super().scan_to_next_token()


def _value(text: str, kind: Any) -> Any:
    """The value of ``-s name=text`` for a setting of this type.

    A setting of type text takes 123, no or `model: v2` as text. Quotes are read as YAML, and so
    are null, {...} and [...] if the setting allows them.
    """
    if not text:
        return text
    try:
        parsed: Any = parse_yaml(text, "-s", _NoComments)
    except UserError:
        return text
    allowed = _alternatives(kind)
    if str not in allowed or (isinstance(parsed, str) and text[0] in "\"'"):
        return parsed
    is_yaml = parsed is None or text[0] in "{["
    return parsed if is_yaml and type(parsed) in allowed else text


def _kind_of(path: list[str]) -> Any:
    """The annotation of a setting; None for a section or an unknown name."""
    model: type[BaseModel] | None = Settings
    for name in path[:-1]:
        model = _section(model, name)
    field = model.model_fields.get(path[-1]) if model else None
    return None if field is None or _section(model, path[-1]) else field.annotation


def _alternatives(kind: Any) -> set[Any]:
    """The types that an annotation allows."""
    if get_origin(kind) in (Union, UnionType):
        return set().union(*map(_alternatives, get_args(kind)))
    if get_origin(kind) is Literal:
        return {type(word) for word in get_args(kind)}
    return {get_origin(kind) or kind}


def _put(
    tree: Mapping[str, Any], path: list[str], value: Any, section: type[BaseModel] | None
) -> dict[str, Any]:
    key, *rest = path
    if not rest:
        return _merge(tree, {key: value}, section)
    below = tree.get(key)
    below = below if isinstance(below, Mapping) else {}
    return {**tree, key: _put(below, rest, value, _section(section, key))}


def as_overrides(tree: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Settings such as ``{"tuning.steps": 500}`` as overrides of :func:`build_settings`.

    Paths, models and NumPy numbers become what a YAML file would hold.
    """
    if not isinstance(tree, Mapping):
        raise UserError(
            "Settings must be a dictionary such as {'tuning.steps': 500}, not of type "
            f"{type(tree).__name__}."
        )

    def plain(key: object, value: object) -> Any:
        if isinstance(value, os.PathLike):
            return os.fspath(value)
        if isinstance(value, BaseModel):
            return value.model_dump(mode="json", exclude_unset=True)
        if isinstance(value, np.generic):
            return value.item()
        raise UserError(f"setting {str(key)!r} cannot be of type {type(value).__name__}.")

    return [
        (str(key), json.loads(json.dumps(value, default=partial(plain, key))))
        for key, value in tree.items()
    ]


def settings_from(
    settings: Settings | Mapping[str, Any] | None, preset: str | None
) -> tuple[Settings, str | None]:
    """Settings as they are, or built from a dictionary, and the name of the preset.

    Raises:
        UserError: as :func:`build_settings`.
    """
    if isinstance(settings, Settings):
        return settings, preset
    return build_settings(preset=preset, overrides=as_overrides(settings or {}))


def _known_keys(model: type[BaseModel] = Settings, prefix: str = "") -> list[str]:
    keys = []
    for name in model.model_fields:
        inner = _section(model, name)
        keys += _known_keys(inner, f"{prefix}{name}.") if inner else [f"{prefix}{name}"]
    return keys


def _refuse_foreign_code(tree: Mapping[str, Any], file: Path | None) -> None:
    """Only the user may allow a model's own code to run, not a file."""
    section = tree.get("backbone")
    if isinstance(section, Mapping) and section.get("trust_remote_code"):
        raise UserError(
            f"{file}: a settings file cannot allow a model's own code to run; remove "
            "backbone.trust_remote_code from it, and if you have read that code, pass "
            "-s backbone.trust_remote_code=true."
        )


def build_settings(
    *,
    preset: str | None = None,
    file: str | Path | None = None,
    overrides: Iterable[str | tuple[str, Any]] = (),
) -> tuple[Settings, str | None]:
    """Settings from their layers, and the name of the preset that was used.

    Without ``preset``, the preset of the backbone is used if there is one; of another model that
    writes rows (``generator.backbone``) the sections that concern writing.

    Args:
        overrides: texts such as ``tuning.steps=500``, or pairs of a name and a value.

    Raises:
        UserError: unknown or ill-typed setting, unknown preset, or unreadable file.
    """
    file = Path(file) if file else None
    user = _read_yaml(file) if file else {}
    _refuse_foreign_code(user, file)
    for override in overrides:
        user = _override(user, override)
    name = preset or _preset_for(user if isinstance(user.get("backbone", {}), dict) else {})
    tree = (_preset(name) if name else {}) | _of_writer(user)
    tree = _merge(tree, user, Settings)
    try:
        return Settings.model_validate(tree), name
    except ValidationError as error:
        why = explain(
            error, "setting", _known_keys(), "`dawgen settings` lists them all.", removed=RETIRED
        )
        raise UserError(f"{file}: {why}" if file else why) from None


def dump_settings(settings: BaseModel) -> str:
    """All values as YAML; secrets in settings are hidden."""
    tree = settings.model_dump(mode="json")
    if isinstance(settings, Settings):
        tree = hide_secrets(tree)
    return yaml.safe_dump(tree, sort_keys=False)
