"""Tasks: cards, rows, file readers, few shots."""

from __future__ import annotations

from dawgen.tasks.card import HubSource, TaskCard, card_names, list_cards, load_card, parse_card
from dawgen.tasks.load import load_rows, packaged_data, read_table
from dawgen.tasks.new import NewCard, new_card
from dawgen.tasks.row import Row, row_key, text_key
from dawgen.tasks.shots import Shots, check_shots, sample_shots
from dawgen.tasks.validate import example_rows, render_card, render_generator

__all__ = [
    "HubSource",
    "NewCard",
    "Row",
    "Shots",
    "TaskCard",
    "card_names",
    "check_shots",
    "example_rows",
    "list_cards",
    "load_card",
    "load_rows",
    "new_card",
    "packaged_data",
    "parse_card",
    "read_table",
    "render_card",
    "render_generator",
    "row_key",
    "sample_shots",
    "text_key",
]
