"""Label rows, needing llama-cpp-python and tokenizers only: python predict.py ROWS.csv

The first tokens of every input are the tuned prompt, which the model reads once.
"""

import math
import sys
from collections.abc import Iterable
from pathlib import Path

import llama_cpp
import numpy as np
from rows import answer, before_answer, beside, fill, here, rows_of, task
from text_tokenizer import TextTokenizer
from tokenizers import Tokenizer

raw = Tokenizer.from_file(str(here / "tokenizer.json"))
tokenizer = TextTokenizer(raw, task["special_tokens"])  # "</s>" in a text is text
template = tokenizer.template(task["template"])
model = llama_cpp.Llama(
    str(here / "model.gguf"), n_ctx=task["max_length"], logits_all=True, verbose=False
)
model.eval(task["prompt_ids"])


def read(ids: list[int], behind: int, last: int) -> np.ndarray:
    """log p [last,V] of what follows the last tokens of those read behind so many others."""
    model.n_tokens = behind
    model.eval(ids)
    end = behind + len(ids)
    logits = np.array(model.scores[end - last : end], dtype=np.float64)
    logits[:, task["prompt_ids"]] = -math.inf  # never written
    highest = logits.max(-1, keepdims=True)
    return logits - highest - np.log(np.exp(logits - highest).sum(-1, keepdims=True))


def probabilities(row: dict[str, str]) -> list[float]:
    """p(label) of each label, from the log-probabilities of the labels' words."""
    (text,) = tokenizer.encode([fill(row, template)], task["max_length"] - beside)
    ids = before_answer(text)
    start = task["prompt_length"] + len(ids)
    (first,) = read(ids, task["prompt_length"], 1)
    scores = []
    for word in task["label_word_ids"]:
        more = len(word) - 1
        later: Iterable[np.ndarray] = read(word[:-1], start, more) if more else []
        scores.append(first[word[0]] + sum(p[t] for p, t in zip(later, word[1:], strict=True)))
    shares = [math.exp(score - max(scores)) for score in scores]
    return [share / sum(shares) for share in shares]


if __name__ == "__main__":
    for row in rows_of(Path(sys.argv[1])):
        print(answer(row and probabilities(row)))
