"""Foreign errors in our words."""

from __future__ import annotations

import re

import pytest
from pydantic import BaseModel, ConfigDict, ValidationError

from dawgen.errors import UserError, explain, first_line


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
        ({"steps": "many"}, "entry 'steps' cannot be 'many': it must be a whole number."),
        ({"steps": "y" * 500}, f"entry 'steps' cannot be '{'y' * 79}...: it must"),
    ],
)
def test_a_finding_of_pydantic_is_one_sentence(tree: dict[str, object], words: str) -> None:
    assert words in message(tree)
    assert message(tree).endswith((".", "?"))


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        (
            "selection.candidates=quik",
            "'selection.candidates' cannot be 'quik': it must be one of quick, all, paper "
            "(did you mean 'quick'?).",
        ),
        ("selection.candidates=[tfidf,promt]", "'selection.candidates' cannot hold 'promt': it"),
        ("tracking.to=[wand]", "'tracking.to' cannot hold 'wand': it must be one of tensorboard"),
        ("evaluation.tokens_per_batch=null", "cannot be null: it must be a whole number."),
        ("generator.batch_size=1", "setting 'generator': with 1 row per label in a batch"),
        ("tuning=3", "'tuning' cannot be 3: it must be a section of `name: value` entries."),
    ],
)
def test_pydantic_is_not_heard(override: str, sentence: str) -> None:
    from dawgen.settings.layers import build_settings

    with pytest.raises(UserError) as caught:
        build_settings(overrides=[override])
    assert sentence in str(caught.value)
    assert not re.search(r"literal\[|list\[|Input should|type=", str(caught.value))


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        ("metric: f1", "'metric' cannot be 'f1': it must be one of accuracy, macro-f1."),
        ("name: ''", "'name' cannot be '': it must not be empty."),
        ("copies: [3, [x]]", "'copies' cannot hold ['x']: it must be text."),
    ],
)
def test_nor_behind_a_card(entry: str, sentence: str) -> None:
    from dawgen.tasks import parse_card

    card = (
        "columns: {text1: a, label: b}\nlabels: [x, y]\ntemplate: '{text1}'\n"
        "label_words: {x: good, y: bad}\n"
    )
    with pytest.raises(UserError) as caught:
        parse_card(card + entry, "card.yaml", "mine")
    assert sentence in str(caught.value)
