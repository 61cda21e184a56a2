"""Foreign errors in our words."""

from __future__ import annotations

import pytest
from pydantic import BaseModel, ConfigDict, ValidationError

from dawgen.errors import explain, first_line


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid")

    steps: int
    name: str = ""


def message(tree: dict[str, object]) -> str:
    known = ["steps", "name", "tuning.rate"]
    with pytest.raises(ValidationError) as caught:
        Section.model_validate(tree)
    return explain(caught.value, "entry", known, "see the list.", removed=["tuning.warmth"])


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("\n No such model.\nmore"), "No such model"),
        (MemoryError(), "MemoryError"),
        (KeyError("  "), "'  '"),
    ],
)
def test_the_first_line_of_an_error(error: Exception, line: str) -> None:
    assert first_line(error) == line


@pytest.mark.parametrize(
    ("tree", "words"),
    [
        ({"stepz": 1}, "there is no entry 'stepz'; did you mean 'steps'?"),
        ({"steps": "x", "nmae": 1}, "there is no entry 'nmae'; did you mean 'name'?"),
        ({"steps": 1, "rate": 1}, "there is no entry 'rate'; did you mean 'tuning.rate'?"),
        ({"steps": 1, "tuning.rate": 1}, "write it as tuning: {rate: ...}."),
        ({"steps": 1, "warmth": 1}, "tuning.warmth was removed; leave it out."),
        ({"steps": 1, "qq": 1}, "there is no entry 'qq'; see the list."),
        ({}, "the entry 'steps' is missing."),
        ({"steps": "many"}, "entry 'steps' cannot be 'many': Input should be a valid integer"),
        ({"steps": "y" * 500}, f"entry 'steps' cannot be '{'y' * 79}...: Input"),
    ],
)
def test_a_finding_of_pydantic_is_one_sentence(tree: dict[str, object], words: str) -> None:
    assert words in message(tree)
    assert message(tree).endswith((".", "?"))
