"""What every predict.py does with rows: read them, fill in the template, tell the labels."""

import csv
import functools
import io
import itertools
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

here = Path(__file__).resolve().parent
task = json.loads((here / "task.json").read_text("utf-8"))
beside = task.get("prompt_length", 0)  # a linear head has none
if (
    "answer" in task and not task["encoder_decoder"]
):  # room for the longest answer, of which the text below has one
    beside += max(len(word) for word in task["label_word_ids"]) - task["answer_tokens"]


def in_words(read: Callable[[Path], Any]) -> Callable[[Path], Any]:
    """A reader of a file that says in a sentence what is wrong with it."""

    @functools.wraps(read)
    def reader(path: Path) -> Any:
        try:
            return read(path)
        except OSError as error:
            sys.exit(f"{path} cannot be read: {error.strerror}.")
        except UnicodeDecodeError:
            sys.exit(f"{path} is not text in UTF-8; save it as such.")
        except (ValueError, csv.Error, AttributeError, TypeError, RecursionError) as error:
            sys.exit(f"{path} does not hold rows of cells: {error}.")

    return reader


def text_of(row: dict[str, str], role: str) -> str:
    """A row's text1 or text2; without null characters, which mark a template's special tokens."""
    return str(row[task["columns"][role]]).replace("\0", "").strip()


def fill(row: dict[str, str], template: str) -> str:
    """The template with the row's texts in place; a causal model's has an answer behind it."""
    filled = re.sub(r"\{(text[12])\}", lambda m: text_of(row, m[1]), template)
    return filled + task["answer"]


def before_answer(ids: list[int]) -> list[int]:
    """The ids of what :func:`fill` gives, up to where a label's word goes on."""
    if task["encoder_decoder"]:
        return ids
    return ids[: len(ids) - (ids[-1:] == [task["end_id"]]) - task["answer_tokens"]]


def separator_of(text: str) -> str:
    """What separates the cells of a CSV file: the mark by which most first rows fit the heading."""
    lines = list(itertools.islice(io.StringIO(text, newline=""), 200))
    best, most = ",", 0
    for mark in "\t,;":
        rows = [row for row in csv.reader(lines, delimiter=mark) if row]
        fitting = sum(len(row) == len(rows[0]) > 1 for row in rows)
        best, most = (mark, fitting) if fitting > most else (best, most)
    return best


@in_words
def rows_of(path: Path) -> list[dict[str, str] | None]:
    """The rows of a CSV, TSV, JSONL or JSON file; None for one with an empty text."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        text = file.read().lstrip()
    if path.suffix.lower() in (".csv", ".tsv"):
        csv.field_size_limit(2**31 - 1)
        cells = list(csv.reader(io.StringIO(text, newline=""), delimiter=separator_of(text)))
        while cells and not cells[-1]:
            cells.pop()
        # A blank line is no row, but in a file of one column it is one whose text is empty.
        rows = [dict(zip(cells[0], c, strict=False)) for c in cells[1:] if c or len(cells[0]) == 1]
    elif path.suffix.lower() not in (".jsonl", ".ndjson", ".json"):
        sys.exit(
            f"{path}: its ending must be .csv, .tsv, .jsonl or .json; save it as one of these."
        )
    elif text.startswith("["):
        rows = json.loads(text)
    else:
        rows = [json.loads(line) for line in text.split("\n") if line.strip()]
    columns = list(task["columns"].values())
    for column in columns:
        if not any(column in row for row in rows):
            sys.exit(f"{path} has no rows with a column {column!r}.")
    full = [
        all(str(row.get(c, "")).strip() and row[c] is not None for c in columns) for row in rows
    ]
    if not all(full):
        print(f"{full.count(False)} rows have an empty text and get no label.", file=sys.stderr)
    return [row if whole else None for row, whole in zip(rows, full, strict=True)]


def answer(found: list[float] | None) -> str:
    """A line of JSON: the likeliest label, and p(label) of each; null without probabilities."""
    if found is None:
        return json.dumps(dict.fromkeys(["prediction", *(f"p_{n}" for n in task["labels"])]))
    named = {f"p_{label}": p for label, p in zip(task["labels"], found, strict=True)}
    return json.dumps({"prediction": task["labels"][found.index(max(found))], **named})


def check_call(about: str) -> None:
    """End with what predict.py says of itself where it is asked for, or called otherwise."""
    arguments = sys.argv[1:]
    if {"-h", "--help"} & {*arguments}:
        print(about)
        sys.exit()
    if not 1 <= len(arguments) <= 1 + ("[BASE]" in about) or arguments[0].startswith("-"):
        print(about, file=sys.stderr)
        sys.exit(2)
    if not Path(arguments[0]).is_file():
        sys.exit(f"There is no file {arguments[0]}.")
    for base in arguments[1:]:
        if base.startswith((".", "/", "~")) and not Path(base).is_dir():
            sys.exit(f"There is no folder {base}; name the folder or hub name of the backbone.")


# While predict.py imports this, before it loads its model, which may take long.
main = sys.modules["__main__"]
if Path(getattr(main, "__file__", None) or "").resolve() == here / "predict.py":
    check_call(str(main.__doc__))
