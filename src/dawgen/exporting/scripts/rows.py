"""What every predict.py does with rows: read them, fill in the template, tell the labels."""

import csv
import io
import json
import re
import sys
from pathlib import Path

here = Path(__file__).resolve().parent
task = json.loads((here / "task.json").read_text("utf-8"))
beside = task["prompt_length"]
if not task["encoder_decoder"]:  # room for the longest answer, of which the text below has one
    beside += max(len(word) for word in task["label_word_ids"]) - task["answer_tokens"]


def text_of(row: dict[str, str], role: str) -> str:
    """A row's text1 or text2."""
    return str(row[task["columns"][role]]).strip()


def fill(row: dict[str, str]) -> str:
    """The template with the row's texts in place; a causal model's has an answer behind it."""
    filled = re.sub(r"\{(text[12])\}", lambda m: text_of(row, m[1]), task["template"])
    return filled + task["answer"]


def before_answer(ids: list[int]) -> list[int]:
    """The ids of what :func:`fill` gives, up to where a label's word goes on."""
    if task["encoder_decoder"]:
        return ids
    return ids[: len(ids) - (ids[-1:] == [task["end_id"]]) - task["answer_tokens"]]


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
