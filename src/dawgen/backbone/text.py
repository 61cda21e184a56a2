"""Text as a backbone reads it: templates, label words, sources and targets as token ids."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property, partial
from itertools import pairwise
from typing import TYPE_CHECKING

from dawgen.backbone.frame import PLAIN, Frame, FramedText, Turn
from dawgen.backbone.inputs import encode_rows
from dawgen.backbone.text_tokenizer import TextTokenizer
from dawgen.errors import UserError
from dawgen.tasks.row import Row
from dawgen.terminal.progress import is_hushed, warn

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedTokenizerBase

    from dawgen.tasks import TaskCard

_ANY = Row("a", "a", None)
"""Stands for any row: a template ends as it ends, whatever it is filled with."""


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
        self._framed: dict[Frame, FramedText] = {}
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
        """Rows through the card's template, cut so that prompt, input and answer fit the model.

        A causal model's rows are encoded with a label word behind them, which is then taken off:
        they end where the ids of :meth:`label_word_ids` go on.
        """
        words, card = self.answer_ids(card), self.marked(card)
        room, longest, fill = self._room(prompt_length, "tuning"), 0, partial(self.fill, card)
        if not self.is_encoder_decoder:
            fill, longest = partial(self._first_answer, card), max(len(word) for word in words)
        budget, answer = room - longest, len(words[0]) if longest else 0
        try:
            encoded, cut = encode_rows(self.texts, fill, rows, budget + answer)
        except ValueError:
            word = f" and a label word of {longest}" if longest else ""
            raise UserError(
                f"{card.name}: the template alone is longer than {budget} tokens, which is what "
                f"backbone.max_length = {self.max_length} leaves beside a prompt of "
                f"{prompt_length}{word}; raise the one or lower the other."
            ) from None
        if cut:
            self.warn_once(
                "rows",
                f"{cut:,} of {len(rows):,} rows are longer than the {budget} tokens that "
                f"backbone.max_length = {self.max_length} leaves them; the end of the longer text "
                "is not read. Of further rows this is not said.",
            )
        if self.is_encoder_decoder:
            return encoded
        # A causal model goes on from the template: an end mark would close it.
        ends = [len(ids) - (ids[-1:] == [self.end_id]) - answer for ids in encoded]
        return [ids[:end] for ids, end in zip(encoded, ends, strict=True)]

    def _first_answer(self, card: TaskCard, row: Row) -> str:
        """The row through the template, and the first label's word."""
        return answered(self.fill(card, row), card.label_words[card.labels[0]])

    def warn_once(self, subject: str, message: str) -> None:
        """Warn of a subject unless that was done, when there is somebody to hear it."""
        if subject not in self._told and not is_hushed():
            self._told.add(subject)
            warn(message)

    def label_word_ids(self, card: TaskCard) -> list[list[int]]:
        """Token ids of each label's word, in the order of ``card.labels``.

        Raises:
            UserError: a word is empty, or begins another label's word: its score would never be
                the lower of the two.
        """
        ids = self.answer_ids(card)
        for label in card.labels:
            if not self.text_ids(card.label_words[label]):
                raise UserError(f"{card.name}: the label word of {label!r} is empty.")
        # In order, a word that begins others stands right before one of them.
        order = sorted(range(len(ids)), key=lambda place: ids[place])
        for shorter, longer in pairwise(order):
            if ids[longer][: len(ids[shorter])] == ids[shorter]:
                one, other = card.labels[shorter], card.labels[longer]
                relation = "begins" if ids[shorter] != ids[longer] else "is the same as"
                raise UserError(
                    f"{card.name}: in the tokens of {self.name} the label word "
                    f"{card.label_words[one]!r} ({one}) {relation} {card.label_words[other]!r} "
                    f"({other}); choose words of which none begins another."
                )
        return ids

    def answer_ids(self, card: TaskCard) -> list[list[int]]:
        """As :meth:`label_word_ids`, for words that may begin one another.

        For a causal model template and word are encoded together. Tokens that all words begin
        with belong to the rows: a blank that is a token of its own, or ``card_``.
        """
        words = [card.label_words[label] for label in card.labels]
        if self.is_encoder_decoder:
            return [self.text_ids(word) for word in words]
        filled = self.fill(self.marked(card), _ANY)
        texts = [answered(filled, word) for word in words]
        ids = [self.text_ids(text) for text in texts]
        columns = enumerate(zip(*ids, strict=False))
        shared = next((n for n, tokens in columns if len(set(tokens)) > 1), min(map(len, ids)))
        return [tokens[shared:] for tokens in ids]

    def framed(self, frame: Frame | None) -> FramedText:
        """A causal model's frame in tokens; None is :data:`dawgen.backbone.frame.PLAIN`."""
        frame = frame or PLAIN
        if frame not in self._framed:
            self._framed[frame] = FramedText(frame, self.texts, self.end_id)
        return self._framed[frame]

    def end_of(self, frame: Frame | None) -> int:
        """Token id that ends a text of the generator."""
        return self.end_id if self.is_encoder_decoder else self.framed(frame).end_id

    def end_name(self, frame: Frame | None) -> str:
        """The token of :meth:`end_of` in words."""
        if frame is not None and frame.ends_line:
            return " (line break)"
        return str(self.tokenizer.convert_ids_to_tokens(self.end_of(frame)))

    def encode_source(
        self,
        text: str,
        prompt_length: int,
        frame: Frame | None = None,
        turns: Sequence[Turn] = (),
    ) -> list[int]:
        """What the generator reads after its label prompt; ``""`` where it starts from nothing.

        Args:
            frame: what a causal model reads around the text, see :mod:`dawgen.backbone.frame`.
            turns: rows that a causal model reads first, as many of the last ones as
                ``max_length`` leaves room for.

        Raises:
            UserError: the prompt leaves no room for a text.
        """
        room = self._room(prompt_length, "generator")
        if self.is_encoder_decoder:
            ids = self.texts.encode([text])[0]
            return self.texts.encode([text], room)[0] if self._is_cut(ids, room) else ids
        framed = self.framed(frame)
        if turns and framed.takes_turns:
            return framed.behind_turns(text, turns, room)
        if not text:
            return framed.nothing.copy()
        ids = framed.text1(text)
        self._is_cut(ids, room // 2)
        return framed.source(ids[: room // 2])

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
            self.warn_once(
                work,
                f"{work}: {cut:,} of {sources:,} first texts are longer than backbone.max_length = "
                f"{self.max_length} leaves them behind a label prompt; their end is not read. "
                "Further ones are not reported.",
            )

    def text_room(
        self, prompt_length: int, frame: Frame | None = None, *, turns: bool = False
    ) -> int | None:
        """Most tokens of a text that the model has positions for behind a label prompt and the
        longest source, with earlier ``turns`` or without; None where it has no limit."""
        positions = _positions(self.config, "decoder")
        if positions is None:
            return None
        if self.is_encoder_decoder:
            return positions - len(self.decoder_start)
        room = self._room(prompt_length, "generator")
        longest = self.framed(frame).longest(room // 2)
        return positions - prompt_length - (max(room, longest) if turns else longest)

    def _room(self, prompt_length: int, section: str) -> int:
        """Tokens that a prompt leaves for text."""
        room = self.max_length - prompt_length
        if room < 1:
            raise UserError(
                f"{section}.prompt_length = {prompt_length} leaves no room for text, since "
                f"backbone.max_length is {self.max_length} for {self.name}; lower it."
            )
        return room

    def encode_target(self, text: str, source: str = "", frame: Frame | None = None) -> list[int]:
        """A text the generator is to write behind a source: its ids and the end mark."""
        if self.is_encoder_decoder:
            return [*self.text_ids(text), self.end_id]
        return self.framed(frame).target(text, source)

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


def answered(text: str, word: str) -> str:
    """A text and the word behind it: one blank between them, none after a line break or a tab."""
    text = text.rstrip(" ")
    return f"{text}{'' if text[-1:].isspace() else ' '}{word}"


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
