"""What `dawgen tasks new` recognises: names of columns, usual label words, usual label prompts."""

from __future__ import annotations

import re
from functools import cache
from importlib import resources
from typing import Any

import yaml


@cache
def known() -> dict[str, Any]:
    """Known column names, label words, prompts and numbers; every value is text."""
    text = (resources.files("dawgen.tasks") / "guesses.yaml").read_text("utf-8")
    return dict(yaml.load(text, yaml.BaseLoader))


def column_key(column: str) -> str:
    """A column's name in lower case, letters and digits only."""
    return re.sub(r"[^a-z0-9]", "", column.lower())


def label_key(label: str) -> str:
    """A label as the known ones are spelt: ``not_entailment``."""
    return re.sub(r"\W+", "_", label.lower())


def spaced(name: str) -> str:
    """A column's name as words: ``question 1`` of ``question1``."""
    words = re.sub(r"[\s_{}]+", " ", name).strip().lower()
    return re.sub(r"(?<=[a-z])(\d)$", r" \1", words)
