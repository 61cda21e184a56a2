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


def fill(row: dict[str, str]) -> str:
    """The template with the row's texts in place."""
    return re.sub(r"\{(text[12])\}", lambda m: row[task["columns"][m[1]]], task["template"])


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
    """The rows of a JSONL or CSV file."""
    text = path.read_text("utf-8-sig")
    if path.suffix.lower() == ".csv":
        return list(csv.DictReader(io.StringIO(text, newline="")))
    return [json.loads(line) for line in text.splitlines() if line.strip()]


def answer(found: list[float]) -> str:
    """A line of JSON: the likeliest label, and p(label) of each."""
    named = {f"p_{label}": p for label, p in zip(task["labels"], found, strict=True)}
    return json.dumps({"prediction": task["labels"][found.index(max(found))], **named})


if __name__ == "__main__":
    rows = rows_of(Path(sys.argv[1]))
    for at in range(0, len(rows), 64):
        for part in probabilities(rows[at : at + 64]):
            print(answer(part))
