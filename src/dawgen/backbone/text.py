"""Text as a backbone reads it: templates, label words, sources and targets as token ids."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property, partial
from typing import TYPE_CHECKING

from dawgen.backbone.inputs import encode_rows
from dawgen.backbone.text_tokenizer import TextTokenizer
from dawgen.errors import UserError
from dawgen.progress import is_hushed, warn

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedTokenizerBase

    from dawgen.tasks import Row, TaskCard


class BackboneText:
    """The side of a backbone that knows its tokenizer and its lengths, and runs no layer."""

    def __init__(
        self,
        config: PreTrainedConfig,
        tokenizer: PreTrainedTokenizerBase,
        *,
        name: str,
        max_length: int,
    ) -> None:
        self.config = config
        self.tokenizer = tokenizer
        self.name = name
        self.is_encoder_decoder: bool = bool(config.is_encoder_decoder)
        positions = _positions(config, "encoder")
        self.max_length = min(max_length, positions or max_length)
        self._told: set[str] = set()
        self._cut_sources = 0

    @cached_property
    def end_id(self) -> int:
        """Token id of the end mark: the tokenizer's, else the config's, else its separator.

        Raises:
            UserError: there is none.
        """
        said = getattr(self.config, "eos_token_id", None)
        several = said if isinstance(said, list) else [said]
        size = getattr(plain_config(self.config), "vocab_size", None) or len(self.tokenizer)
        known = [self.tokenizer.eos_token_id, *several, self.tokenizer.sep_token_id]
        end = next((int(i) for i in known if i is not None and 0 <= i < size), None)
        if end is None:
            raise UserError(
                f"{self.name} has no end mark, so it cannot say where a text ends; name one in its "
                "tokenizer (eos_token)."
            )
        return end

    @cached_property
    def texts(self) -> TextTokenizer:
        """The tokenizer as it reads texts: the names of special tokens in them are text."""
        special = [str(token) for token in self.tokenizer.all_special_tokens]
        return TextTokenizer(self.tokenizer.backend_tokenizer, special)

    def text_ids(self, text: str) -> list[int]:
        """Ids of a text alone, without special tokens."""
        return self.texts.text_ids(text)

    def marked(self, card: TaskCard) -> TaskCard:
        """The card with its templates' special tokens marked, so that they are read as such."""
        causal = card.causal_template and self.texts.template(card.causal_template)
        marked = {"template": self.texts.template(card.template), "causal_template": causal}
        return card.model_copy(update=marked)

    def template(self, card: TaskCard) -> str:
        """The card's template for this kind of model."""
        return card.template_for(causal=not self.is_encoder_decoder)

    def fill(self, card: TaskCard, row: Row) -> str:
        """The row in the card's template for this kind of model."""
        return card.fill(row, causal=not self.is_encoder_decoder)

    def encode_rows(
        self, card: TaskCard, rows: Sequence[Row], prompt_length: int
    ) -> list[list[int]]:
        """Rows through the card's template, cut so that prompt and input fit the model."""
        budget = self._room(prompt_length, "tuning") - (0 if self.is_encoder_decoder else 8)
        try:
            marked = partial(self.fill, self.marked(card))
            encoded, cut = encode_rows(self.texts, marked, rows, budget)
        except ValueError as error:
            raise UserError(
                f"{card.name}: {error}, which is what backbone.max_length = {self.max_length} "
                f"leaves beside a prompt of {prompt_length}; raise the one or lower the other."
            ) from None
        if cut:
            self._warn_once(
                "rows",
                f"{cut:,} of {len(rows):,} rows are longer than the {budget} tokens that "
                f"backbone.max_length = {self.max_length} leaves them; the end of the longer text "
                "is not read. Of further rows this is not said.",
            )
        if self.is_encoder_decoder:
            return encoded
        # A causal model goes on from the template: an end mark would close it.
        return [ids[:-1] if ids and ids[-1] == self.end_id else ids for ids in encoded]

    def _warn_once(self, subject: str, message: str) -> None:
        """Warn of a subject unless that was done, when there is somebody to hear it."""
        if subject not in self._told and not is_hushed():
            self._told.add(subject)
            warn(message)

    def label_word_ids(self, card: TaskCard) -> list[list[int]]:
        """Token ids of each label's word, in the order of ``card.labels``.

        Raises:
            UserError: a word is empty, or two labels' words start with the same token.
        """
        words = [card.label_words[label] for label in card.labels]
        ids = [self._answer_ids(word) for word in words]
        first: dict[int, str] = {}
        for label, word, tokens in zip(card.labels, words, ids, strict=True):
            if not tokens:
                raise UserError(f"{card.name}: the label word of {label!r} is empty.")
            if tokens[0] in first:
                raise UserError(
                    f"{card.name}: the label words {card.label_words[first[tokens[0]]]!r} "
                    f"({first[tokens[0]]}) and {word!r} ({label}) start with the same token of "
                    f"{self.name}; choose words that differ from their first piece on."
                )
            first[tokens[0]] = label
        return ids

    def _answer_ids(self, word: str) -> list[int]:
        if self.is_encoder_decoder:
            return self.text_ids(word)
        before, whole = self.text_ids("answer:"), self.text_ids(f"answer: {word}")
        return whole[len(before) :]

    def encode_source(self, text: str, prompt_length: int) -> list[int]:
        """What the generator reads after its label prompt; ``""`` where it starts from nothing.

        A causal model reads what its tokenizer puts before any text, then the text and a new
        line, as :meth:`encode_rows` has it: both sides read the model in one way.

        Raises:
            UserError: the prompt leaves no room for a text.
        """
        room = self._room(prompt_length, "generator")
        if self.is_encoder_decoder:
            ids = self.texts.encode([text])[0]
            return self.texts.encode([text], room)[0] if self._is_cut(ids, room) else ids
        lead, _ = self.texts.around
        if not text:
            return lead.copy()
        ids = self.text_ids(text)
        self._is_cut(ids, room // 2)
        return [*lead, *ids[: room // 2], *self.text_ids("\n")]

    def _is_cut(self, source: Sequence[int], room: int) -> bool:
        """Whether a source has more tokens than there is room for; such are counted."""
        self._cut_sources += len(source) > room
        return len(source) > room

    @contextmanager
    def warning_of_cut_sources(self, work: str, sources: int) -> Iterator[None]:
        """Warn, once for each kind of work, of those that :meth:`encode_source` cuts inside."""
        before = self._cut_sources
        yield
        if cut := self._cut_sources - before:
            self._warn_once(
                work,
                f"{work}: {cut:,} of {sources:,} first texts are longer than backbone.max_length = "
                f"{self.max_length} leaves them behind a label prompt; their end is not read. "
                "Further ones are not reported.",
            )

    def text_room(self, prompt_length: int) -> int | None:
        """Most tokens of a text that the model has positions for behind a label prompt and the
        longest source; None where it has no limit."""
        positions = _positions(self.config, "decoder")
        if positions is None:
            return None
        if self.is_encoder_decoder:
            return positions - len(self.decoder_start)
        around = len(self.texts.around[0]) + len(self.text_ids("\n"))
        return positions - prompt_length - self._room(prompt_length, "generator") // 2 - around

    def _room(self, prompt_length: int, section: str) -> int:
        """Tokens that a prompt leaves for text."""
        room = self.max_length - prompt_length
        if room < 1:
            raise UserError(
                f"{section}.prompt_length = {prompt_length} leaves no room for text, since "
                f"backbone.max_length is {self.max_length} for {self.name}; lower it."
            )
        return room

    def encode_target(self, text: str) -> list[int]:
        """A text the generator is to write: its ids and the end mark."""
        return [*self.text_ids(text), self.end_id]

    def decode(self, ids: Sequence[int]) -> str:
        """Ids back to text, specials left out."""
        return str(self.tokenizer.decode(list(ids), skip_special_tokens=True)).strip()

    @cached_property
    def decoder_start(self) -> list[int]:
        """What a decoder reads before the first word: its start token, BART's <s> after it."""
        known = (
            getattr(self.config, "decoder_start_token_id", None),
            self.tokenizer.bos_token_id,
            getattr(self.config, "bos_token_id", None),
        )
        start = next((i for i in known if i is not None), None)
        if start is None:
            raise UserError(
                f"{self.name} does not say what its decoder begins with; put "
                "decoder_start_token_id into its config.json."
            )
        lead, _ = self.texts.around
        return [start, *(i for i in lead if i != start)]


def plain_config(config: PreTrainedConfig) -> PreTrainedConfig:
    """The part of a config that tells of the text model, where it has several."""
    return config if hasattr(config, "hidden_size") else config.get_text_config(decoder=True)


def _positions(config: PreTrainedConfig, side: str) -> int | None:
    """Most tokens that a side of the model (of causal ones the whole) has positions for; None
    where it does not say, or has no limit."""
    inner = plain_config(config)
    names = ("max_position_embeddings", f"max_{side}_position_embeddings")
    found = (getattr(inner, name, None) for name in names)
    return next((n for n in found if isinstance(n, int) and n > 0), None)
