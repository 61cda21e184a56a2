"""Label rows by linear heads, needing numpy and safetensors, and for vectors of texts torch,
transformers and tokenizers: python predict.py ROWS.csv
"""

import json
import math
import re
import sys
from collections import Counter
from collections.abc import Callable
from functools import cache, lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from rows import answer, before_answer, beside, fill, here, rows_of, task, text_of
from safetensors.numpy import load_file

numbers = load_file(here / "head.safetensors")
words = json.loads((here / "words.json").read_text("utf-8"))
roles = list(task["columns"])
Features = Callable[[dict[str, str]], np.ndarray]
"""Numbers [F] of a row."""


def texts_of(row: dict[str, str]) -> list[str]:
    """A row's texts."""
    return [text_of(row, role) for role in roles]


# --- counted words ----------------------------------------------------------------------------


def tokens_of(text: str) -> list[str]:
    """Words and marks."""
    return re.findall(r"\w+|[^\w\s]", text.lower())


def tf_idf(text: str, columns: dict[str, int], idf: np.ndarray) -> np.ndarray:
    """Weights [F] of the text's words and pairs of words."""
    tokens = tokens_of(text)
    counts = Counter([*tokens, *(" ".join(pair) for pair in pairwise(tokens))])
    weights = np.zeros(len(idf))
    for term, count in counts.items():
        if term in columns:
            weights[columns[term]] = (1 + math.log(count)) * idf[columns[term]]
    return weights / (np.linalg.norm(weights) or 1.0)


def overlap(text1: str, text2: str) -> list[float]:
    """Shared words as a share of both texts', of the first's, of the second's; length ratio."""
    first, second = tokens_of(text1), tokens_of(text2)
    shared = len({*first} & {*second})
    shares = [shared / max(1, len(own)) for own in ({*first, *second}, {*first}, {*second})]
    lengths = sorted((len(first), len(second)))
    return [*shares, lengths[0] / max(1, lengths[1])]


def counted(number: int) -> Features:
    """By the words of a part."""
    terms = words[number]["terms"]
    columns = [{term: place for place, term in enumerate(own)} for own in terms]

    def features(row: dict[str, str]) -> np.ndarray:
        texts = texts_of(row)
        parts = [
            tf_idf(text, columns[n], numbers[f"{number}.idf{n}"]) for n, text in enumerate(texts)
        ]
        return np.hstack([*parts, overlap(*texts)] if len(texts) == 2 else parts)

    return features


# --- vectors of texts -------------------------------------------------------------------------


def joined(folder: str) -> Features:
    """A vector u of the row's text, or of a pair [u, v, 4 |u - v|, sqrt(H) u * v]."""
    encode = sentence_encoder(folder)

    def features(row: dict[str, str]) -> np.ndarray:
        u, *others = [encode(text)[0] for text in texts_of(row)]
        if not others:
            return u
        v = others[0]
        return np.hstack([u, v, 4 * np.abs(u - v), len(u) ** 0.5 * u * v])

    return features


def alignment() -> Features:
    """How well the words of two texts answer each other: mean and least of each token's best match,
    shares of common tokens, lengths, and the cosine of the texts."""
    encode = sentence_encoder("encoder")

    def features(row: dict[str, str]) -> np.ndarray:
        (u, first, x), (v, second, y) = map(encode, texts_of(row))
        best = [(x @ y.T).max(axis=axis) for axis in (0, 1)]
        found = [measure(each) for each in best for measure in (np.mean, np.min)]
        ours, theirs = set(first), set(second)
        found += [len(ours & theirs) / len(own) for own in (theirs, ours)]
        lengths = np.log([len(first), len(second)])
        return np.array([*found, *lengths, lengths[1] - lengths[0], u @ v])

    return features


def crossed(folder: str) -> Features:
    """Vectors of both texts as one, in either order."""
    encode = sentence_encoder(folder)

    def features(row: dict[str, str]) -> np.ndarray:
        first, second = texts_of(row)
        return np.hstack([encode(first, second)[0], encode(second, first)[0]])

    return features


@cache
def sentence_encoder(folder: str) -> Callable[..., tuple[np.ndarray, list[int], np.ndarray]]:
    """A text's vector, the mean of an encoder's states; its tokens' ids, and their states. Two
    texts are read as one."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(here / folder)
    model = AutoModel.from_pretrained(here / folder, dtype=torch.float32).eval()

    @lru_cache(maxsize=2)
    @torch.no_grad()
    def encode(text: str, *others: str) -> tuple[np.ndarray, list[int], np.ndarray]:
        inputs = tokenizer(
            [text],
            *([other] for other in others),  # in a list, or transformers reads no empty one
            truncation=True,
            max_length=task["encoder_length"],
            split_special_tokens=True,
            return_special_tokens_mask=True,
            return_tensors="pt",
        )
        own = ~inputs.pop("special_tokens_mask")[0].bool()
        states = model(**inputs).last_hidden_state[0]
        kept = own if own.any() else own.new_ones(len(own))
        unit = torch.nn.functional.normalize
        ids = inputs["input_ids"][0][kept].tolist()
        return unit(states.mean(0), dim=0).numpy(), ids, unit(states[kept], dim=1).numpy()

    return encode


def answer_states(number: int) -> Features:
    """A language model's states where it would say the label, after layers of some depths."""
    import torch
    from text_tokenizer import TextTokenizer
    from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer

    depths, is_seq2seq = words[number]["depths"], task["encoder_decoder"]
    kind: Any = AutoModelForSeq2SeqLM if is_seq2seq else AutoModelForCausalLM
    model = kind.from_pretrained(here / "backbone", dtype=getattr(torch, task["dtype"])).eval()
    raw = AutoTokenizer.from_pretrained(here / "backbone").backend_tokenizer
    tokenizer = TextTokenizer(raw, task["special_tokens"])  # "</s>" in a text is text
    template = tokenizer.template(task["template"])

    @torch.no_grad()
    def features(row: dict[str, str]) -> np.ndarray:
        (read,) = tokenizer.encode([fill(row, template)], task["max_length"] - beside)
        ids = torch.tensor([[*task["prefix_ids"], *before_answer(read)]])
        inputs = {"input_ids": ids, "output_hidden_states": True}
        if is_seq2seq:
            encoded = model.get_encoder()(input_ids=ids).last_hidden_state
            start = torch.tensor([task["decoder_start"]])
            inputs |= {"input_ids": start, "encoder_hidden_states": encoded}
        read = model.get_decoder() if is_seq2seq else model.base_model
        states = read(**inputs).hidden_states
        return torch.cat([states[depth][0, -1] for depth in depths]).float().numpy()

    return features


# --- heads ------------------------------------------------------------------------------------


def features_of(number: int, kind: str) -> Features:
    """What turns a row into a part's features."""
    if kind == "words":
        return counted(number)
    if kind == "alignment":
        return alignment()
    if kind in ("cross", "tuned-cross"):
        return crossed(f"{kind}-encoder")
    if kind in ("embeddings", "tuned"):
        return joined("tuned-encoder" if kind == "tuned" else "encoder")
    return answer_states(number)


parts = [features_of(number, kind) for number, kind in enumerate(task["kinds"])]


def probabilities(row: dict[str, str]) -> list[float]:
    """p(label) of each label: the heads' of a group multiplied, and the mean over groups."""
    groups: dict[int, Any] = {}
    for number, features in enumerate(parts):
        logits = features(row) @ numbers[f"{number}.weight"] + numbers[f"{number}.bias"]
        group = task["groups"][number]
        groups[group] = groups.get(group, 0.0) + logits
    shares = [np.exp(logits - logits.max()) for logits in groups.values()]
    return np.mean([each / each.sum() for each in shares], axis=0).tolist()


if __name__ == "__main__":
    for row in rows_of(Path(sys.argv[1])):
        print(answer(row and probabilities(row)))
