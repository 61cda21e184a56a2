"""What every predict.py does with rows: read them, fill in the template, tell the labels."""

import csv
import io
import json
import re
import sys
from pathlib import Path

here = Path(__file__).resolve().parent
task = json.loads((here / "task.json").read_text("utf-8"))
# Tokens that a text leaves room for: the prompt, and a causal model's answer.
beside = task["prompt_length"] + (0 if task["encoder_decoder"] else 8)


def text_of(row: dict[str, str], role: str) -> str:
    """A row's text1 or text2; without null characters, which mark a template's special tokens."""
    return str(row[task["columns"][role]]).replace("\0", "").strip()


def fill(row: dict[str, str], template: str) -> str:
    """The template with the row's texts in place."""
    return re.sub(r"\{(text[12])\}", lambda m: text_of(row, m[1]), template)


def rows_of(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV, JSONL or JSON file."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        text = file.read().lstrip()
    if path.suffix.lower() == ".csv":
        csv.field_size_limit(2**31 - 1)
        heading = text.partition("\n")[0]
        separator = next((mark for mark in ",;\t" if mark in heading), ",")
        rows = list(csv.DictReader(io.StringIO(text, newline=""), delimiter=separator))
    elif path.suffix.lower() not in (".jsonl", ".ndjson", ".json"):
        sys.exit(f"{path}: its ending must be .csv, .jsonl or .json; save it as one of these.")
    elif text.startswith("["):
        rows = json.loads(text)
    else:
        rows = [json.loads(line) for line in text.split("\n") if line.strip()]
    for number, row in enumerate(rows, start=1):
        for column in task["columns"].values():
            if row.get(column) in (None, ""):
                sys.exit(f"{path}, row {number}: there is nothing in the column {column!r}.")
    return rows


def answer(found: list[float]) -> str:
    """A line of JSON: the likeliest label, and p(label) of each."""
    named = {f"p_{label}": p for label, p in zip(task["labels"], found, strict=True)}
    return json.dumps({"prediction": task["labels"][found.index(max(found))], **named})
