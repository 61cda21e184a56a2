"""Label rows, needing torch, transformers and peft only: python predict.py ROWS.csv [BASE]

BASE is the backbone's folder or hub name. It is needed where the backbone is not on the hub, of
dawgen/tiny the folder backbone/tiny of the installed package.
"""

import sys
from pathlib import Path

import torch
from peft import PeftModel
from rows import answer, before_answer, beside, fill, here, rows_of, task
from text_tokenizer import TextTokenizer
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer

base = sys.argv[2] if len(sys.argv) > 2 else task["base"]
if base is None:
    sys.exit(
        f"The backbone {task['backbone']} is not on the hub; name its folder: "
        "python predict.py ROWS.csv BASE"
    )
kind = AutoModelForSeq2SeqLM if task["encoder_decoder"] else AutoModelForCausalLM
dtype = getattr(torch, task["dtype"])
model = PeftModel.from_pretrained(kind.from_pretrained(base, dtype=dtype), here).eval()
raw = AutoTokenizer.from_pretrained(base).backend_tokenizer
tokenizer = TextTokenizer(raw, task["special_tokens"])  # "</s>" in a text is text
template = tokenizer.template(task["template"])


@torch.no_grad()
def probabilities(row: dict[str, str]) -> list[float]:
    """p(label) of each label, from the log-probabilities of the labels' words."""
    room = task["max_length"] - beside
    (read,) = tokenizer.encode([fill(row, template)], room)
    ids = torch.tensor([before_answer(read)])
    scores = []
    for word in task["label_word_ids"]:
        before = torch.tensor([task["decoder_start"]]) if task["encoder_decoder"] else ids
        whole = torch.cat([before, torch.tensor([word])], dim=1)
        inputs = (
            {"input_ids": ids, "attention_mask": ids.new_ones(ids.shape)}
            | {"decoder_input_ids": whole}
            if task["encoder_decoder"]
            else {"input_ids": whole, "attention_mask": whole.new_ones(whole.shape)}
        )
        log_probs = model(**inputs).logits[0].float().log_softmax(-1)[-len(word) - 1 : -1]
        scores.append(sum(log_probs[place, token] for place, token in enumerate(word)))
    return torch.tensor(scores).softmax(0).tolist()


if __name__ == "__main__":
    for row in rows_of(Path(sys.argv[1])):
        print(answer(row and probabilities(row)))
