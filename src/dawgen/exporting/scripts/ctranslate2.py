"""Label rows, needing ctranslate2 and tokenizers only: python predict.py ROWS.csv

The model's tokens are called by their numbers; the first ones of an input are the tuned prompt.
"""

import math
import sys
from pathlib import Path

import ctranslate2
from rows import answer, before_answer, beside, fill, here, rows_of, task
from text_tokenizer import TextTokenizer
from tokenizers import Tokenizer

raw = Tokenizer.from_file(str(here / "tokenizer.json"))
tokenizer = TextTokenizer(raw, task["special_tokens"])  # "</s>" in a text is text
template = tokenizer.template(task["template"])
kind = ctranslate2.Translator if task["encoder_decoder"] else ctranslate2.Generator
model = kind(str(here))


def probabilities(rows: list[dict[str, str]]) -> list[list[float]]:
    """p(label) of each label for each row, from the log-probabilities of the labels' words."""
    room = task["max_length"] - beside
    texts = tokenizer.encode([fill(row, template) for row in rows], room)
    texts = [before_answer(ids) for ids in texts]
    inputs = [[str(i) for i in task["prompt_ids"] + ids] for ids in texts]
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
    scores = [sum(span) for span in spans]
    parts = [scores[at : at + len(words)] for at in range(0, len(scores), len(words))]
    shares = [[math.exp(score - max(part)) for score in part] for part in parts]
    return [[share / sum(part) for share in part] for part in shares]


if __name__ == "__main__":
    rows = rows_of(Path(sys.argv[1]))
    for at in range(0, len(rows), 64):
        part = rows[at : at + 64]
        found = iter(probabilities([row for row in part if row]))
        for row in part:
            print(answer(row and next(found)))
