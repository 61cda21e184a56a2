"""Label rows, needing torch and transformers only: python predict.py ROWS.csv

The tokenizer of this folder puts the tuned prompt before every text.
"""

import csv
import io
import json
import re
import sys
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer

here = Path(__file__).resolve().parent
task = json.loads((here / "task.json").read_text("utf-8"))
kind = AutoModelForSeq2SeqLM if task["encoder_decoder"] else AutoModelForCausalLM
model = kind.from_pretrained(here, dtype=getattr(torch, task["dtype"])).eval()
tokenizer = AutoTokenizer.from_pretrained(here)


def text_of(row: dict[str, str], role: str) -> str:
    """A row's text1 or text2."""
    return str(row[task["columns"][role]]).strip()


def fill(row: dict[str, str]) -> str:
    """The template with the row's texts in place."""
    return re.sub(r"\{(text[12])\}", lambda m: text_of(row, m[1]), task["template"])


@torch.no_grad()
def probabilities(row: dict[str, str]) -> list[float]:
    """p(label) of each label, from the log-probabilities of the labels' words."""
    room = task["max_length"] - (0 if task["encoder_decoder"] else 8)
    ids = tokenizer(fill(row), return_tensors="pt", truncation=True, max_length=room).input_ids
    if not task["encoder_decoder"] and ids[0, -1] == task["end_id"]:
        ids = ids[:, :-1]
    scores = []
    for word in task["label_word_ids"]:
        before = torch.tensor([task["decoder_start"]]) if task["encoder_decoder"] else ids
        answer = torch.cat([before, torch.tensor([word])], dim=1)
        inputs = (
            {"input_ids": ids, "decoder_input_ids": answer}
            if task["encoder_decoder"]
            else {"input_ids": answer}
        )
        logits = model(**inputs).logits[0].float()
        logits[:, task["prompt_ids"]] = -torch.inf  # never written
        log_probs = logits.log_softmax(-1)[before.shape[1] - 1 : -1]
        scores.append(sum(log_probs[place, token] for place, token in enumerate(word)))
    return torch.tensor(scores).softmax(0).tolist()


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
    for row in rows_of(Path(sys.argv[1])):
        print(answer(probabilities(row)))
