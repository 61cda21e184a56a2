"""The encoder's WordPiece vocabulary, cut to the pieces that occur."""

from __future__ import annotations

import json
import string
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast

SPECIALS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
ALWAYS = string.ascii_lowercase + string.digits + string.punctuation


def piece_id(tokenizer: Tokenizer, piece: str) -> int:
    """The id of a piece that must be there."""
    found: int | None = tokenizer.token_to_id(piece)
    if found is None:
        raise KeyError(f"the tokenizer has no piece {piece!r}")
    return found


def count_pieces(tokenizer: Tokenizer, texts: Iterable[str], chunk: int = 10_000) -> Counter[int]:
    """How often each piece id of ``tokenizer`` occurs in ``texts``."""
    counts: Counter[int] = Counter()
    waiting: list[str] = []

    def flush() -> None:
        for encoding in tokenizer.encode_batch(waiting, add_special_tokens=False):
            counts.update(encoding.ids)
        waiting.clear()

    for text in texts:
        waiting.append(text)
        if len(waiting) == chunk:
            flush()
    flush()
    return counts


def choose_pieces(
    vocabulary: dict[str, int], counts: Counter[int], size: int, required: Iterable[str]
) -> list[str]:
    """The ``size`` pieces to keep, in the old order: specials, characters, required, frequent.

    Raises:
        ValueError: a required piece is not in the old vocabulary, or there are too many of them.
    """
    characters = [*ALWAYS, *(f"##{c}" for c in ALWAYS)]
    keep = dict.fromkeys([*SPECIALS, *required])
    missing = [piece for piece in keep if piece not in vocabulary]
    if missing:
        raise ValueError(f"not single pieces of the old vocabulary: {missing}")
    keep |= dict.fromkeys(c for c in characters if c in vocabulary)
    if len(keep) > size:
        raise ValueError(f"{len(keep)} pieces are required, more than the size {size}")
    by_frequency = sorted(vocabulary, key=lambda piece: (-counts[vocabulary[piece]], piece))
    for piece in by_frequency:
        if len(keep) == size or counts[vocabulary[piece]] == 0:
            break
        keep[piece] = None
    specials = list(SPECIALS)
    rest = sorted((piece for piece in keep if piece not in SPECIALS), key=vocabulary.__getitem__)
    return specials + rest


def cut_tokenizer(original: Path, pieces: list[str]) -> Tokenizer:
    """``original`` (a tokenizer.json) with the vocabulary ``pieces``; ids are list positions."""
    raw: dict[str, Any] = json.loads(original.read_text(encoding="utf-8"))
    ids = {piece: index for index, piece in enumerate(pieces)}
    raw["model"]["vocab"] = ids
    raw["added_tokens"] = [{**token, "id": ids[token["content"]]} for token in raw["added_tokens"]]
    special_tokens = raw["post_processor"].get("special_tokens", {})
    for token, entry in special_tokens.items():
        entry["ids"] = [ids[token]]
    if raw["post_processor"]["type"] == "BertProcessing":
        raw["post_processor"]["sep"] = ["[SEP]", ids["[SEP]"]]
        raw["post_processor"]["cls"] = ["[CLS]", ids["[CLS]"]]
    raw["padding"] = raw["truncation"] = None
    raw["decoder"] = english_decoder()
    return Tokenizer.from_str(json.dumps(raw))


def english_decoder() -> dict[str, Any]:
    """A decoder that joins pieces and closes the gaps English does not have: ``don ' t``."""
    closed = {" ' ": "'", " ’ ": "’", " - ": "-", "( ": "(", " )": ")", " ;": ";", " :": ":"}
    closed |= {" %": "%", "$ ": "$"}
    replace = [
        {"type": "Replace", "pattern": {"String": old}, "content": new}
        for old, new in closed.items()
    ]
    pieces = {"type": "WordPiece", "prefix": "##", "cleanup": True}
    return {"type": "Sequence", "decoders": [pieces, {"type": "Fuse"}, *replace]}


def save_tokenizer(tokenizer: Tokenizer, folder: Path) -> None:
    """Write ``tokenizer`` so that ``AutoTokenizer.from_pretrained(folder)`` loads it offline."""
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        bos_token="[CLS]",
        eos_token="[SEP]",
        model_max_length=512,
        clean_up_tokenization_spaces=True,
        model_input_names=["input_ids", "attention_mask"],
    )
    wrapped.save_pretrained(str(folder))
