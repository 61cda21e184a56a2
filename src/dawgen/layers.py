"""Settings from their layers, later ones winning.

The defaults of :mod:`dawgen.settings`, the task card's `decoding` section, a preset (what differs
for one backbone), the user's YAML file, the command line's ``-s key=value``.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from dawgen.errors import UserError
from dawgen.harmless import hide_secrets
from dawgen.settings import BackboneSettings, Settings
from dawgen.yamltext import parse_yaml


def preset_names() -> list[str]:
    """Names of the presets shipped with the package."""
    folder = resources.files("dawgen") / "presets"
    return sorted(
        p.name.removesuffix(".yaml") for p in folder.iterdir() if p.name.endswith(".yaml")
    )


def _preset(name: str) -> dict[str, Any]:
    if name not in preset_names():
        raise UserError(f"There is no preset {name!r}; choose one of {', '.join(preset_names())}.")
    text = (resources.files("dawgen") / "presets" / f"{name}.yaml").read_text("utf-8")
    tree = dict(yaml.safe_load(text))
    base = tree.pop("preset", None)  # the one that it takes everything else from
    return _merge(_preset(base), tree, Settings) if base else tree


def _preset_for(tree: Mapping[str, Any]) -> str | None:
    """The preset whose backbone the user named, if any; the shipped one by default."""
    path = tree.get("backbone", {}).get("path", BackboneSettings().path)
    for name in preset_names():
        if _preset(name).get("backbone", {}).get("path") == path:
            return name
    return None


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        raise UserError(f"There is no settings file {path}.") from None
    except UnicodeDecodeError:
        raise UserError(f"{path} is not a text file in UTF-8; save it as one.") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.") from None
    tree = parse_yaml(text, str(path))
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise UserError(
            f"{path}: settings must be 'name: value' lines, not a {type(tree).__name__}."
        )
    found: dict[str, Any] = {}
    for key, value in tree.items():
        found = _put(found, str(key).split("."), value, Settings)
    return found


def _merge(
    base: Mapping[str, Any], over: Mapping[str, Any], section: type[BaseModel] | None
) -> dict[str, Any]:
    """Sections are merged; a value takes the other's place, also where both are mappings."""
    merged = dict(base)
    for key, value in over.items():
        inner = _section(section, key)
        if inner and isinstance(value, Mapping) and isinstance(merged.get(key), Mapping):
            merged[key] = _merge(merged[key], value, inner)
        else:
            merged[key] = value
    return merged


def _section(model: type[BaseModel] | None, key: str) -> type[BaseModel] | None:
    """What the entry is made of, if it is a section and no value."""
    field = model.model_fields.get(key) if model else None
    kind = field.annotation if field else None
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def _override(tree: Mapping[str, Any], text: str) -> dict[str, Any]:
    """The tree with `tuning.steps=100` in it; `a.b.c=1` changes one entry where b is a mapping."""
    key, mark, value = text.partition("=")
    if not mark or not key.strip():
        raise UserError(f"-s {text!r}: write it as section.name=value, such as tuning.steps=500.")
    try:
        parsed: Any = parse_yaml(value, key) if value.strip() else ""
    except UserError:
        parsed = value
    return _put(tree, key.strip().split("."), parsed, Settings)


def _put(
    tree: Mapping[str, Any], path: list[str], value: Any, section: type[BaseModel] | None
) -> dict[str, Any]:
    key, *rest = path
    if not rest:
        return _merge(tree, {key: value}, section)
    below = tree.get(key)
    below = below if isinstance(below, Mapping) else {}
    return {**tree, key: _put(below, rest, value, _section(section, key))}


def as_overrides(tree: Mapping[str, Any]) -> list[str]:
    """Settings such as `{"tuning.steps": 500}` as the texts that :func:`build_settings` takes."""
    return [f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in tree.items()]


def _known_keys(model: type[BaseModel] = Settings, prefix: str = "") -> list[str]:
    keys = []
    for name in model.model_fields:
        inner = _section(model, name)
        keys += _known_keys(inner, f"{prefix}{name}.") if inner else [f"{prefix}{name}"]
    return keys


def _explain(error: ValidationError, where: str) -> UserError:
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        known = _known_keys()
        near = [k for k in known if k.rpartition(".")[2] == key][:1]  # the section forgotten
        near = near or difflib.get_close_matches(key, known, n=1, cutoff=0.6)
        if not near:
            tail = key.rpartition(".")[2]
            near = [k for k in known if k.rpartition(".")[2] == tail][:1]
        hint = f"did you mean {near[0]!r}?" if near else "`dawgen settings` lists them all."
        return UserError(f"{where}there is no setting {key!r}; {hint}")
    message = first["msg"].removeprefix("Value error, ")
    return UserError(f"{where}setting {key!r} cannot be {first['input']!r}: {message}.")


def _refuse_foreign_code(tree: Mapping[str, Any], file: Path | None) -> None:
    """Running code that comes with a model is for the user to allow, not for a file."""
    section = tree.get("backbone")
    if isinstance(section, Mapping) and section.get("trust_remote_code"):
        raise UserError(
            f"{file}: a settings file cannot allow a model's own code to run; leave "
            "backbone.trust_remote_code out of it, and if you have read that code, say "
            "-s backbone.trust_remote_code=true."
        )


def build_settings(
    *,
    preset: str | None = None,
    file: Path | None = None,
    overrides: Iterable[str] = (),
) -> tuple[Settings, str | None]:
    """Settings from their layers, and the name of the preset that was used.

    Without ``preset`` the one made for the chosen backbone applies, where there is one.

    Raises:
        UserError: an unknown or ill-typed setting, an unknown preset, an unreadable file.
    """
    user = _read_yaml(file) if file else {}
    _refuse_foreign_code(user, file)
    for text in overrides:
        user = _override(user, text)
    name = preset or _preset_for(user if isinstance(user.get("backbone", {}), dict) else {})
    tree = _merge(_preset(name), user, Settings) if name else user
    try:
        return Settings.model_validate(tree), name
    except ValidationError as error:
        raise _explain(error, f"{file}: " if file else "") from None


def dump_settings(settings: BaseModel) -> str:
    """The tree as YAML, every value spelled out; settings without secrets, cards as they are."""
    tree = settings.model_dump(mode="json")
    if isinstance(settings, Settings):
        tree = hide_secrets(tree)
    return yaml.safe_dump(tree, sort_keys=False)
