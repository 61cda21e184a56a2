"""What holds for every input, tried on inputs that hypothesis makes up."""

from __future__ import annotations

import csv
import io
import json
import re
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dawgen.errors import UserError
from dawgen.settings.cleaning import CleaningSettings
from dawgen.settings.layers import build_settings, dump_settings
from dawgen.settings.yamltext import parse_yaml
from dawgen.storage.checkpoint import _pack, _unpack
from dawgen.storage.seals import read_seal, set_seal
from dawgen.synthesis import Ledger, LedgerError, SyntheticRow
from dawgen.synthesis.cleaner import Cleaner
from dawgen.synthesis.cleaning import Candidate
from dawgen.synthesis.text import normalise
from dawgen.tasks import Row, TaskCard, load_rows
from dawgen.tasks.card import parse_card
from dawgen.terminal.harmless import in_spreadsheet, on_terminal

few = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
many = settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))

CARD = TaskCard(
    name="pairs",
    columns={"text1": "a", "text2": "b", "label": "c"},
    labels=["same", "other"],
    template="{text1} {text2}",
    label_words={"same": "yes", "other": "no"},
)
# What a text may be: no halves of characters, no null, something that is not white space.
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r")).filter(
    lambda text: bool(text.strip())
)
tables = st.lists(st.tuples(texts, texts, st.sampled_from(CARD.labels)), min_size=1, max_size=4)


def in_file(name: str, content: bytes) -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(content)
        return load_rows(CARD, path)


def rows_of(table: list[tuple[str, str, str]]) -> list[Row]:
    return [Row(a.strip(), b.strip(), label) for a, b, label in table]


# --- loaders -----------------------------------------------------------------------------


@few
@given(tables, st.booleans())
def test_every_text_comes_out_of_jsonl_as_it_went_in(
    table: list[tuple[str, str, str]], ascii_only: bool
) -> None:
    lines = (
        json.dumps(dict(zip("abc", row, strict=True)), ensure_ascii=ascii_only) for row in table
    )
    assert in_file("rows.jsonl", "\n".join(lines).encode()) == rows_of(table)


@few
@given(tables, st.sampled_from(["\n", "\r\n"]))
def test_every_text_comes_out_of_csv_as_it_went_in(
    table: list[tuple[str, str, str]], end: str
) -> None:
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator=end, quoting=csv.QUOTE_ALL)
    writer.writerows([("a", "b", "c"), *table])
    assert in_file("rows.csv", out.getvalue().encode()) == rows_of(table)


def refusal(call: Callable[[], object]) -> str | None:
    """What a UserError says, None where there was none; any other error fails the test."""
    try:
        call()
    except UserError as error:
        return str(error)
    return None


def is_one_sentence(said: str | None) -> bool:
    """Nothing said, or one line that ends."""
    return said is None or ("\n" not in said and said.endswith((".", "?")))


@few
@given(st.sampled_from(["jsonl", "csv", "tsv", "parquet"]), st.binary(max_size=300))
def test_any_bytes_are_rows_or_one_sentence(ending: str, content: bytes) -> None:
    heading = {"csv": b"a,b,c\n", "tsv": b"a\tb\tc\n"}.get(ending, b"")
    assert is_one_sentence(refusal(lambda: in_file(f"rows.{ending}", heading + content)))


# --- cards and settings ------------------------------------------------------------------

words = st.text(
    st.characters(codec="utf-8", categories=["L", "N", "P", "Zs"]), min_size=1, max_size=6
)
values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=8,
)
entries = st.dictionaries(st.sampled_from([*TaskCard.model_fields, "odd"]), values, max_size=6)


@many
@given(entries)
def test_any_tree_is_a_card_or_one_sentence(tree: dict[str, Any]) -> None:
    text = yaml.safe_dump(CARD.model_dump(mode="json") | tree)
    assert is_one_sentence(refusal(lambda: parse_card(text, "card")))


@many
@given(st.lists(words.map(str.strip).filter(bool), min_size=2, max_size=4, unique=True), words)
def test_a_card_written_back_is_the_card(labels: list[str], column: str) -> None:
    tree = {
        "name": "mine",
        "columns": {"text1": column, "label": f"{column} label"},
        "labels": labels,
        "template": "{text1} :",
        "label_words": {label: f"word {i}" for i, label in enumerate(labels)},
    }
    card = TaskCard.model_validate(tree)
    assert parse_card(dump_settings(card), "card") == card


@many
@given(st.text(max_size=200))
def test_any_text_is_yaml_or_one_sentence(text: str) -> None:
    try:
        parse_yaml(text, "file")
    except UserError as error:
        assert "\n" not in str(error)  # noqa: PT017


@many
@given(st.sampled_from(["tuning", "tuning.steps", "backbone", "seed", "synthesis.odd"]), values)
def test_any_override_is_a_setting_or_one_sentence(key: str, value: Any) -> None:
    try:
        build_settings(overrides=[f"{key}={json.dumps(value)}"])
    except UserError as error:
        assert str(error).endswith((".", "?"))  # noqa: PT017


# --- cleaning and the ledger -------------------------------------------------------------

SHOTS = [Row("a man runs outside", "he is in the park", label) for label in CARD.labels]


@many
@given(st.lists(st.tuples(st.text(), st.text(), st.sampled_from(CARD.labels)), max_size=8))
def test_what_is_kept_repeats_nothing(candidates: list[tuple[str, str, str]]) -> None:
    cleaner = Cleaner(CARD, SHOTS, [], CleaningSettings(), dict.fromkeys(CARD.labels, 9))
    ledger, kept = Ledger(CARD.labels), []
    for text1, text2, label in [*candidates, *candidates]:
        why = cleaner.text_reason(Candidate(text1, text2, True), label)
        row = SyntheticRow(text1, text2, label, label_ratio=0.5)
        why = why or cleaner.late_reason(row)
        ledger.attempt(label)
        ledger.enter(SyntheticRow(text1, text2, label, kept=why is None, reason=why))
        kept += [(normalise(text1), normalise(text2))] if why is None else []
    ledger.check()
    assert len(set(kept)) == len(kept) == ledger.total().kept
    assert ("a man runs outside", "he is in the park") not in kept


fates = st.lists(st.tuples(st.sampled_from(CARD.labels), st.sampled_from([None, "empty", "copy"])))


@many
@given(fates, st.integers(-2, 2))
def test_the_ledger_balances_just_when_every_attempt_has_its_row(
    rows: list[tuple[str, str | None]], missing: int
) -> None:
    ledger = Ledger(CARD.labels)
    for label, count in Counter(label for label, _ in rows).items():
        ledger.attempt(label, count)
    ledger.attempt("same", missing)
    for label, why in rows:
        ledger.enter(SyntheticRow("a", "b", label, kept=why is None, reason=why))
    if missing:
        with pytest.raises(LedgerError, match="'same' does not balance"):
            ledger.check()
    else:
        ledger.check()
    assert ledger.total().kept == sum(why is None for _, why in rows)


# --- what is written and shown -----------------------------------------------------------


@many
@given(st.text())
def test_nothing_moves_a_terminal_and_no_cell_is_a_formula(text: str) -> None:
    assert on_terminal(text).isprintable()
    cell = str(in_spreadsheet(text))
    assert cell.replace("'", "") == text.replace("'", "")
    for part in re.split("[;\t\n\r\x85\u2028\u2029]", cell):
        formula = part.lstrip(" \u3000").startswith(tuple("=+-@\uff1d\uff0b\uff0d\uff20"))
        assert not formula or part.lstrip(" \u3000")[1:].startswith(")")


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=6,
)


@few
@given(plain, st.lists(st.floats(width=32, allow_nan=False), max_size=5), st.data())
def test_a_checkpoint_comes_back_bit_for_bit_or_not_at_all(
    value: Any, numbers: list[float], data: st.DataObject
) -> None:
    content = _pack({"value": value, "tensor": torch.tensor(numbers)})
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "state"
        path.write_bytes(content)
        state, _ = _unpack(path)
        assert state["value"] == value
        assert state["tensor"].tolist() == numbers
        flipped = bytearray(content)
        flipped[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
        path.write_bytes(flipped)
        try:
            again, _ = _unpack(path)
        except ValueError:
            return
        assert again["value"] == value  # a bit of padding, or of white space
        assert again["tensor"].tolist() == numbers


@few
@given(st.binary(min_size=1, max_size=50), st.data())
def test_a_seal_finds_every_flipped_bit(content: bytes, data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "file").write_bytes(content)
        set_seal(folder, "mark", {"x": 1})
        seal = read_seal(folder)
        assert seal is not None
        assert (seal.mark, seal.damage) == ("mark", None)
        flipped = bytearray(content)
        flipped[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
        (folder / "file").write_bytes(flipped)
        seal = read_seal(folder)
        assert seal is not None
        assert seal.damage == "file is not as it was written"
