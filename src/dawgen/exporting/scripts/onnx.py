"""Label rows, needing onnxruntime and tokenizers only: python predict.py ROWS.csv"""

import sys
from pathlib import Path

import numpy as np
import onnxruntime
from rows import answer, before_answer, beside, fill, here, rows_of, task, text_of
from text_tokenizer import TextTokenizer
from tokenizers import Tokenizer

raw = Tokenizer.from_file(str(here / "tokenizer.json"))
tokenizer = TextTokenizer(raw, task["special_tokens"])  # "</s>" in a text is text
template = tokenizer.template(task["template"]) if "template" in task else None
model = onnxruntime.InferenceSession(here / "model.onnx", providers=["CPUExecutionProvider"])


def inputs_of(row: dict[str, str]) -> list[list[int]]:
    """Token ids of what the model reads: the filled-in template, or each text."""
    if template is not None:
        (ids,) = tokenizer.encode([fill(row, template)], task["max_length"] - beside)
        return [before_answer(ids)]
    return tokenizer.encode([text_of(row, role) for role in task["columns"]], task["max_length"])


def probabilities(row: dict[str, str]) -> list[float]:
    """p(label) of each label."""
    inputs = {f"ids{n}": np.array([ids]) for n, ids in enumerate(inputs_of(row), start=1)}
    (found,) = model.run(None, inputs)
    return found.tolist()


if __name__ == "__main__":
    for row in rows_of(Path(sys.argv[1])):
        print(answer(row and probabilities(row)))
