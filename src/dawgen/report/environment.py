"""How pages are made: one file that loads nothing, and whose only scripts are our own."""

from __future__ import annotations

import json
import re
import shlex
from base64 import b64encode
from collections.abc import Iterable
from hashlib import sha256
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from dawgen.terminal.harmless import visible

_UNSAFE = re.compile("[<>&\u2028\u2029\x7f-\x9f]")


def render_page(template: str, context: dict[str, Any], scripts: tuple[str, ...] = ()) -> str:
    """The HTML of a page.

    Every value is escaped, and control characters are spelled out. The page's content security
    policy names the hashes of our scripts, so that no other script could run even if a text got
    past the escaping.

    Args:
        template: its name, such as ``report.html.j2``.
        scripts: names of the script files the page needs beside the common ones.
    """
    environment = Environment(
        loader=PackageLoader("dawgen.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "percent": lambda value: f"{value:.1%}",
        "count": lambda value: f"{value:,}",
        "figure": _figure,
        "command": _command,
        "data": as_data,
    }
    head, body = _source("theme.js"), "\n".join(_source(name) for name in ("page.js", *scripts))
    digests = [b64encode(sha256(script.encode()).digest()).decode() for script in (head, body)]
    hashes = " ".join(f"'sha256-{digest}'" for digest in digests)
    common = {
        "policy": f"default-src 'none'; style-src 'unsafe-inline'; script-src {hashes}; "
        "base-uri 'none'; form-action 'none'",
        "style": Markup(_source("style.css")),
        "head_script": Markup(head),
        "body_script": Markup(body),
    }
    return visible(environment.get_template(template).render(common | context))


def as_data(value: object) -> Markup:
    """A value as JSON that may stand inside a script element; control characters are escaped."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return Markup(_UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", text))


def _command(words: Iterable[object]) -> str:
    """A command as a shell takes it."""
    return shlex.join([str(word) for word in words])


def _figure(value: object) -> str:
    """A number for a table cell; a dash where there is none."""
    if isinstance(value, float):
        return f"{value:.3f}"
    return "–" if value is None else str(value)


def _source(name: str) -> str:
    """A file of ours, as the browser will see it between its tags."""
    return (resources.files("dawgen.report") / "templates" / name).read_text("utf-8").strip()
