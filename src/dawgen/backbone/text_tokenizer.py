"""Text to token ids, where the names of special tokens are text unless a template says them.

Needs the package tokenizers only: exports have a copy of this file beside their predict.py.
"""

import json
import re
from collections.abc import Sequence
from functools import cached_property
from typing import Any

from tokenizers import AddedToken, Tokenizer

# Between these a template's special token has its number. No text holds the null character.
_NULL = "\0"


class TextTokenizer:
    """A tokenizer that reads "</s>" in a text as the four characters that it is.

    What the tokenizer itself puts around a text stays, and so do the special tokens that a
    template names, once it went through :meth:`template`.
    """

    def __init__(self, tokenizer: Tokenizer, special: Sequence[str] = ()) -> None:
        """
        Args:
            tokenizer: is not changed, except that it no longer truncates or pads texts.
            special: names of further special tokens, beside those that the tokenizer lists as such.
        """
        self.raw = tokenizer
        self._is_copy = False  # made where it is needed only: Gemma's takes seconds
        self._marks: dict[int, int] = {}
        listed = self.raw.get_added_tokens_decoder().values()
        missing = set(special) - {token.content for token in listed if token.special}
        if missing:
            named = [AddedToken(name, special=True, normalized=False) for name in sorted(missing)]
            self._copy().add_special_tokens(named)
        self.special: dict[str, int] = {
            token.content: number
            for number, token in self.raw.get_added_tokens_decoder().items()
            if token.special or token.content in missing
        }
        self._forget_special_pieces()

    def template(self, template: str) -> str:
        """The template, its special tokens marked so that :meth:`encode` finds them."""
        return self._names.sub(lambda match: self._mark(match[0]), template)

    def encode(self, texts: Sequence[str], room: int | None = None) -> list[list[int]]:
        """Ids of the texts with the tokenizer's own special tokens around each.

        Args:
            room: most tokens of each; the text is cut, never what is around it.
        """
        bare = [self._ids(found) for found in self._read(texts)]
        lead, tail = self.around
        left = None if room is None else max(0, room - len(lead) - len(tail))
        return [[*lead, *ids[:left], *tail] for ids in bare]

    def text_ids(self, text: str) -> list[int]:
        """Ids of a text alone."""
        return self._ids(self._read([text])[0])

    def cut(self, text: str, tokens: int) -> str:
        """The first ``tokens`` tokens of the text, as text."""
        offsets = self._read([text])[0].offsets
        if tokens <= 0:
            return ""
        return text if len(offsets) <= tokens else text[: offsets[tokens - 1][1]]

    @cached_property
    def around(self) -> tuple[list[int], list[int]]:
        """The special tokens that the tokenizer puts before and behind a text."""
        whole, bare = self.raw.encode("a"), self.raw.encode("a", add_special_tokens=False)
        lead = whole.special_tokens_mask.index(0) if bare.ids else len(whole.ids)
        return whole.ids[:lead], whole.ids[lead + len(bare.ids) :]

    @cached_property
    def _names(self) -> re.Pattern[str]:
        """Finds the special tokens' names, the longest first."""
        names = sorted(self.special, key=len, reverse=True)
        return re.compile("|".join(map(re.escape, names)) or "(?!)")

    def _read(self, texts: Sequence[str]) -> list[Any]:
        self.raw.no_truncation()  # which a tokenizer's file may ask for, and transformers sets
        self.raw.no_padding()
        before = self.raw.encode_special_tokens
        self.raw.encode_special_tokens = True
        try:
            return self.raw.encode_batch(list(texts), add_special_tokens=False)
        finally:
            self.raw.encode_special_tokens = before

    def _ids(self, encoding: Any) -> list[int]:
        return [self._marks.get(number, number) for number in encoding.ids]

    def _copy(self) -> Tokenizer:
        """The tokenizer as one of our own, which may be changed."""
        if not self._is_copy:
            self.raw = Tokenizer.from_str(self.raw.to_str())
            self._is_copy = True
        return self.raw

    def _mark(self, name: str) -> str:
        """What stands for a special token in a template: an ordinary added token of our own."""
        number = self.special[name]
        mark = f"{_NULL}{number}{_NULL}"
        own = self.raw.get_added_tokens_decoder()[number]
        sides = {"lstrip": own.lstrip, "rstrip": own.rstrip, "single_word": own.single_word}
        self._copy().add_tokens([AddedToken(mark, normalized=False, **sides)])
        found = self.raw.token_to_id(mark)
        assert found is not None
        self._marks[found] = number
        return mark

    def _forget_special_pieces(self) -> None:
        """Keep the model itself from joining characters to a special token, as T5's does."""
        names = list(self.special)
        read = self._read(names)
        reached = {n for n, e in zip(names, read, strict=True) if self.special[n] in e.ids}
        reached -= {getattr(self.raw.model, "unk_token", None)}  # all that is unknown is read as it
        if not reached:
            return
        tree = json.loads(self.raw.to_str()) | {"added_tokens": [], "post_processor": None}
        model = tree["model"]
        if isinstance(model["vocab"], list):
            for piece in model["vocab"]:
                piece[0] = _NULL + piece[0] if piece[0] in reached else piece[0]
        else:
            model["vocab"] = {
                _NULL + piece if piece in reached else piece: number
                for piece, number in model["vocab"].items()
            }
        if model.get("merges"):
            pairs = [tuple(m.split(" ")) if isinstance(m, str) else m for m in model["merges"]]
            kept = [pair for pair in pairs if not reached & {*pair, "".join(pair)}]
            model["merges"] = kept
        self._copy().model = Tokenizer.from_str(json.dumps(tree)).model
