"""Label rows, needing torch and transformers only: python predict.py ROWS.csv

The tokenizer of this folder puts the tuned prompt before every text.
"""

import sys
from pathlib import Path

import torch
from rows import answer, before_answer, beside, fill, here, rows_of, task
from text_tokenizer import TextTokenizer
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer

kind = AutoModelForSeq2SeqLM if task["encoder_decoder"] else AutoModelForCausalLM
model = kind.from_pretrained(here, dtype=getattr(torch, task["dtype"])).eval()
raw = AutoTokenizer.from_pretrained(here).backend_tokenizer
tokenizer = TextTokenizer(raw, task["special_tokens"])  # "</s>" in a text is text
template = tokenizer.template(task["template"])


@torch.no_grad()
def probabilities(row: dict[str, str]) -> list[float]:
    """p(label) of each label, from the log-probabilities of the labels' words."""
    room = task["max_length"] - beside + task["prompt_length"]  # the tokenizer puts it before
    (read,) = tokenizer.encode([fill(row, template)], room)
    ids = torch.tensor([before_answer(read)])
    scores = []
    for word in task["label_word_ids"]:
        before = torch.tensor([task["decoder_start"]]) if task["encoder_decoder"] else ids
        whole = torch.cat([before, torch.tensor([word])], dim=1)
        inputs = (
            {"input_ids": ids, "decoder_input_ids": whole}
            if task["encoder_decoder"]
            else {"input_ids": whole}
        )
        logits = model(**inputs).logits[0].float()
        logits[:, task["prompt_ids"]] = -torch.inf  # never written
        log_probs = logits.log_softmax(-1)[before.shape[1] - 1 : -1]
        scores.append(sum(log_probs[place, token] for place, token in enumerate(word)))
    return torch.tensor(scores).softmax(0).tolist()


if __name__ == "__main__":
    for row in rows_of(Path(sys.argv[1])):
        print(answer(row and probabilities(row)))
