"""Reads YAML from users; errors name the file and the line.

Only plain values are read. Size, nesting and repetition are limited, since a few lines of anchors
can stand for billions of values.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from dawgen.errors import UserError, first_line

MOST_CHARACTERS = 1_000_000
MOST_VALUES = 100_000
DEEPEST = 50


class _Refused(Exception):
    """Valid YAML that dawgen does not read."""

    def __init__(self, problem: str, mark: yaml.Mark | None = None) -> None:
        super().__init__(problem)
        self.problem, self.problem_mark = problem, mark


def read_user_text(path: Path, what: str) -> str:
    """The text of a file from the user.

    Args:
        what: the kind of file in messages, such as "settings file".

    Raises:
        UserError: there is no such file, or it is not text in UTF-8.
    """
    try:
        return path.read_text("utf-8-sig")
    except FileNotFoundError:
        raise UserError(f"There is no {what} {path}.") from None
    except UnicodeDecodeError:
        raise UserError(f"{path} is not a text file in UTF-8; save it as one.") from None
    except OSError as error:
        raise UserError(f"The {what} {path} cannot be read: {error.strerror}.") from None


def parse_yaml(text: str, where: str, loader: type[yaml.SafeLoader] = yaml.SafeLoader) -> Any:
    """The plain values of a YAML text.

    Args:
        where: names the text in the error.
        loader: a safe one.

    Raises:
        UserError: the text is not YAML, has an entry twice, or exceeds a limit.
    """
    try:
        return _parse(text, loader)
    except (yaml.YAMLError, _Refused) as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "a character that YAML does not allow"
        raise UserError(f"{where}{line}: this is not readable YAML ({problem}).") from None
    except RecursionError:
        raise UserError(f"{where}: this is not readable YAML (nested too deeply).") from None
    except (ValueError, TypeError, AttributeError, OverflowError) as error:  # 2020-99-99, 1_e5
        problem = first_line(error)
        raise UserError(f"{where}: this is not readable YAML ({problem}).") from None


def _parse(text: str, loader: type[yaml.SafeLoader]) -> Any:
    if len(text) > MOST_CHARACTERS:
        raise _Refused(f"it has more than {MOST_CHARACTERS:,} characters")
    reader = loader(text)  # safe: the type of ``loader`` says so
    try:
        node = reader.get_single_node()
        if node is None:
            return None
        _count(node, {}, ())
        return reader.construct_document(node)
    finally:
        reader.dispose()


def _count(node: yaml.Node, known: dict[int, int], above: tuple[int, ...]) -> int:
    """The number of values of a node; those that anchors repeat count every time."""
    if id(node) in above:
        raise _Refused("a value that contains itself", node.start_mark)
    if id(node) in known:
        return known[id(node)]
    if len(above) > DEEPEST:
        raise _Refused("nested too deeply", node.start_mark)
    children: list[yaml.Node] = []
    if isinstance(node, yaml.SequenceNode):
        children = node.value
    elif isinstance(node, yaml.MappingNode):
        _refuse_doubles(node)
        children = [part for pair in node.value for part in pair]
    count = 1 + sum(_count(child, known, (*above, id(node))) for child in children)
    if count > MOST_VALUES:
        raise _Refused(f"it stands for more than {MOST_VALUES:,} values", node.start_mark)
    known[id(node)] = count
    return count


def _refuse_doubles(node: yaml.MappingNode) -> None:
    seen: set[str] = set()
    for key, _ in node.value:
        if isinstance(key, yaml.ScalarNode):
            if key.value in seen:
                raise _Refused(f"the entry {key.value!r} is there twice", key.start_mark)
            seen.add(key.value)
