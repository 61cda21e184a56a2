"""Reading YAML that a user wrote; what is none is told in one sentence, with file and line."""

from __future__ import annotations

from typing import Any

import yaml

from dawgen.errors import UserError


def parse_yaml(text: str, where: str, loader: type[yaml.SafeLoader] = yaml.SafeLoader) -> Any:
    """The plain values of a YAML text.

    Args:
        where: names the text in the error.
        loader: a safe one.

    Raises:
        UserError: the text is not YAML.
    """
    try:
        return yaml.load(text, loader)  # safe: the type of ``loader`` says so
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "a character that YAML does not allow"
        raise UserError(f"{where}{line}: this is not readable YAML ({problem}).") from None
