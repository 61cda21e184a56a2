"""Label rows, needing ctranslate2 and tokenizers only: python predict.py ROWS.csv

The model's tokens are called by their numbers; the first ones of an input are the tuned prompt.
"""

import csv
import io
import json
import math
import re
import sys
from pathlib import Path

import ctranslate2
from tokenizers import Tokenizer

here = Path(__file__).resolve().parent
task = json.loads((here / "task.json").read_text("utf-8"))
tokenizer = Tokenizer.from_file(str(here / "tokenizer.json"))
kind = ctranslate2.Translator if task["encoder_decoder"] else ctranslate2.Generator
model = kind(str(here))


def text_of(row: dict[str, str], role: str) -> str:
    """A row's text1 or text2."""
    return str(row[task["columns"][role]]).strip()


def fill(row: dict[str, str]) -> str:
    """The template with the row's texts in place."""
    return re.sub(r"\{(text[12])\}", lambda m: text_of(row, m[1]), task["template"])


def probabilities(rows: list[dict[str, str]]) -> list[list[float]]:
    """p(label) of each label for each row, from the log-probabilities of the labels' words."""
    texts = [tokenizer.encode(fill(row)).ids for row in rows]
    if not task["encoder_decoder"]:
        texts = [ids[:-1] if ids[-1:] == [task["end_id"]] else ids for ids in texts]
    room = task["max_length"] - task["prompt_length"]
    inputs = [[str(i) for i in task["prompt_ids"] + ids[:room]] for ids in texts]
    words = [[str(i) for i in word] for word in task["label_word_ids"]]
    sources = [source for source in inputs for _ in words]
    targets = words * len(inputs)
    if task["encoder_decoder"]:
        lead = [str(i) for i in task["decoder_start"][1:]]
        found = model.score_batch(sources, [lead + word for word in targets])
        spans = [r.log_probs[len(lead) :][: len(w)] for r, w in zip(found, targets, strict=True)]
    else:
        found = model.score_batch([a + b for a, b in zip(sources, targets, strict=True)])
        spans = [r.log_probs[-len(w) :] for r, w in zip(found, targets, strict=True)]
    scores = [math.exp(sum(span)) for span in spans]
    parts = [scores[at : at + len(words)] for at in range(0, len(scores), len(words))]
    return [[score / sum(part) for score in part] for part in parts]


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


if __name__ == "__main__":
    rows = rows_of(Path(sys.argv[1]))
    for at in range(0, len(rows), 64):
        for part in probabilities(rows[at : at + 64]):
            print(answer(part))
