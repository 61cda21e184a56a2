"""What stands around a source and a target of the generator, so that a causal model reads them as
it was taught to: its chat template where it has one, the card's words elsewhere.

A source is [before ; text1 ; between]. Where there is no text1, a chat has a request in its place,
and elsewhere nothing but [before] is read. The target is the text and an end mark. Earlier turns,
rows of the same label, come first: [before ; text1 ; between ; target ; again ; text1 ; between].
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from dawgen.errors import UserError
from dawgen.storage.atomic import write_text
from dawgen.storage.reading import read_json

if TYPE_CHECKING:
    from dawgen.backbone.text_tokenizer import TextTokenizer

FrameName = Literal["plain", "chat"]
Turn = tuple[str, str]
"""An earlier row: its text1 ("" for none) and the text that was written behind it."""
FILE = "frame.json"
LINE_BREAK = "\n"


@dataclass(frozen=True, slots=True)
class Frame:
    """The words around the texts of a causal model's generator.

    Names of special tokens in ``before``, ``between`` and ``end`` are those tokens; in the
    request, as in the texts, they are text. A blank at the end of ``before`` or ``between``
    belongs to the text behind it, as in the tokens of a running text.

    Attributes:
        request: what a chat's user says where there is no text1.
        end: the special token that ends the text, or a line break, which ends a line of running
            text; "" is the model's own end mark.
        again: between a text's end and the next text1; "" where no turn can follow, but behind
            a line break.
    """

    kind: FrameName = "plain"
    before: str = ""
    between: str = "\n"
    request: str = ""
    end: str = ""
    again: str = ""

    def reads(self, text1: str) -> str:
        """What is read, in words: behind a text1, or ``""`` where there is none."""
        inner = text1 or self.request
        return f"{self.before}{inner}{self.between}" if inner else self.before

    @property
    def ends_line(self) -> bool:
        """Whether a text is one line, so that its end is what a model puts there by itself."""
        return self.end == LINE_BREAK


PLAIN = Frame(again="\n")
"""Text1 and a line break."""


class FramedText:
    """A frame in the tokens of one model."""

    def __init__(self, frame: Frame, texts: TextTokenizer, end_id: int) -> None:
        """
        Args:
            end_id: the model's own end mark.

        Raises:
            UserError: the tokenizer has no such token as ends the text.
        """
        self.texts = texts
        self.ends_line = frame.ends_line
        self.end_id = self._end(frame.end) if frame.end else end_id
        self.takes_turns = bool(frame.again) or frame.ends_line
        # A chat template says itself what begins a text; elsewhere the tokenizer puts it there.
        self.lead = [] if frame.kind == "chat" else texts.around[0]
        self.before, self.first_blank = self._piece(frame.before)
        self.between, self.second_blank = self._piece(frame.between, behind="a")
        behind = f"a{LINE_BREAK}" if self.ends_line else ""
        self.again, self.blank_again = self._piece(frame.again, behind)
        self.request = frame.request

    def _end(self, end: str) -> int:
        found = line_break(self.texts) if self.ends_line else self.texts.special.get(end)
        if found is None:
            name, kind = ("a line break", "token") if self.ends_line else (end, "special token")
            raise UserError(
                f"A generator's texts end with {name}, which is no {kind} of this model; name the "
                "model that it was tuned on."
            )
        return found

    def _piece(self, words: str, behind: str = "") -> tuple[list[int], str]:
        """Ids of the words around a text, and the blank that the text behind them begins with.

        Args:
            behind: what the words stand behind; some tokenizers put a blank before what is first.
        """
        stripped = words.rstrip(" ")
        marked = self.texts.template(stripped)
        front, ids = self.texts.text_ids(behind), self.texts.text_ids(f"{behind}{marked}")
        ids = ids[len(front) :] if ids[: len(front)] == front else self.texts.text_ids(marked)
        letter = self.texts.text_ids("a")
        needs_blank = self.texts.text_ids(f"{marked} a")[-len(letter) :] != letter
        return ids, " " if needs_blank and stripped != words else ""

    @cached_property
    def nothing(self) -> list[int]:
        """What is read where there is no text1."""
        return [*self.lead, *self.before, *self._asked("", self.first_blank)]

    def longest(self, tokens: int) -> int:
        """Tokens of the longest source where text1 has at most ``tokens``."""
        return max(tokens + len(self.source([])), len(self.nothing))

    def text1(self, text: str) -> list[int]:
        """Ids of a text1 alone, as it stands in its place."""
        return self._text(text, self.first_blank)

    def source(self, text1: Sequence[int]) -> list[int]:
        """What is read before a text2."""
        return [*self.lead, *self.before, *text1, *self.between]

    def behind_turns(self, text1: str, turns: Sequence[Turn], most: int) -> list[int]:
        """What is read before a text behind earlier turns; as :meth:`source` without any.

        Args:
            text1: "" for none.
            most: tokens there is room for; the first turns are left out where there are more.
        """
        last = self._asked(text1, self.blank_again)
        ids: list[int] = []
        for first, text in reversed(turns):
            asked = self._asked(first, self.blank_again)
            turn = [*asked, *self.target(text, first), *self.again]
            if len(self.lead) + len(self.before) + len(turn) + len(ids) + len(last) > most:
                break
            ids = [*turn, *ids]
        if not ids:
            return self.source(self.text1(text1)) if text1 else self.nothing.copy()
        return [*self.lead, *self.before, *ids, *last]

    def _asked(self, text1: str, blank: str) -> list[int]:
        """A text1 or the request, and what stands behind it; nothing where there is neither."""
        asked = text1 or self.request
        return [*self._text(asked, blank), *self.between] if asked else []

    def target(self, text: str, source: str) -> list[int]:
        """A text to be written behind ``source`` ("" for none), and its end mark.

        Where texts end with their line, line breaks inside are read as blanks.
        """
        text = " ".join(text.splitlines()) if self.ends_line else text
        blank = self.second_blank if source or self.request else self.first_blank
        return [*self._text(text, blank), self.end_id]

    def _text(self, text: str, blank: str) -> list[int]:
        return self.texts.text_ids(f"{blank}{text}")


def line_break(texts: TextTokenizer) -> int | None:
    """The token that ends a line; None of a tokenizer that has no such token of its own."""
    line, front = texts.text_ids(f"a{LINE_BREAK}"), texts.text_ids("a")
    whole = len(line) == len(front) + 1 and texts.raw.decode(line).endswith(LINE_BREAK)
    return line[-1] if whole and line[:-1] == front else None


def frame_json(frame: Frame | None) -> dict[str, str] | None:
    """A frame's fields, for a file or a record; None for none."""
    return None if frame is None else asdict(frame)


def save_frame(frame: Frame | None, generator: Path) -> None:
    """Write ``frame.json`` into a generator's folder; without a frame none is there afterwards."""
    if frame is None:
        (generator / FILE).unlink(missing_ok=True)
    else:
        text = json.dumps(frame_json(frame), indent=2, ensure_ascii=False)
        write_text(generator / FILE, f"{text}\n")


def load_frame(generator: Path) -> Frame | None:
    """The frame that a generator was tuned in; None of a sequence-to-sequence model's, and of
    generators from before there were frames, which read :data:`PLAIN`.

    Raises:
        UserError: the file holds something else.
    """
    path = generator / FILE
    if not path.is_file():
        return None
    tree = {"again": "", **read_json(path)}  # a key that 0.1 did not write
    if set(tree) != set(Frame.__slots__) or {type(text) for text in tree.values()} != {str}:
        raise UserError(
            f"{path} is not a generator's frame; tune it again with 'dawgen fit-generator'."
        )
    return Frame(**tree)
