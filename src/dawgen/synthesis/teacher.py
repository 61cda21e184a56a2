"""Rows from a teacher: a model behind an API that is asked in place of the tuned generator."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import dawgen
from dawgen.storage.atomic import clear_links
from dawgen.storage.folder import RunFolder, write_json, write_log
from dawgen.storage.seals import file_hash
from dawgen.streams import Streams
from dawgen.synthesis.chat import Answer, Chat
from dawgen.synthesis.importing import Given, Origin
from dawgen.synthesis.request import request
from dawgen.synthesis.rows import SyntheticRow
from dawgen.tasks import TaskCard
from dawgen.tasks.job import Job, rows_hash
from dawgen.tasks.labels import label_text
from dawgen.tasks.row import row_key
from dawgen.tasks.texts import broken_text
from dawgen.terminal.progress import progress, say, shown, warn

FOLDER, ANSWERS, USAGE = "teacher", "answers.jsonl", "usage.json"
NO_ROW, OTHER_LABEL = "no row in the format asked for", "another label than asked for"
ROWS_PER_REQUEST = 20
_PATIENCE = 3
"""A label is given up after this many times the requests that it would take if all went well."""


@dataclass(frozen=True)
class Teacher:
    """A model to ask, and for how many rows.

    Attributes:
        price: of a million tokens in and out, in any currency.
    """

    chat: Chat
    rows_per_label: int
    price: tuple[float, float] | None = None

    @property
    def name(self) -> str:
        """The model and its host."""
        return f"{self.chat.model} at {self.chat.host}"

    def inputs(self, job: Job, seed: int) -> dict[str, Any]:
        """What the answers depend on; the backbone is not among it."""
        return {
            "dawgen": dawgen.__version__,
            "card": job.card.model_dump(mode="json"),
            "backbone": None,
            "seed": seed,
            "shots": rows_hash(job.shots.train),
            "teacher": {"url": self.chat.address, "model": self.chat.model},
            "rows_per_label": self.rows_per_label,
        }

    def write(self, job: Job, seed: int, out: Path, work: Path) -> None:
        """Ask until every label has its rows; the answers and their cost are in ``out``.

        Args:
            work: file to which each answer is appended before the next is asked for; a stopped
                run goes on from it.

        Raises:
            UserError: the endpoint refuses or fails.
        """
        asked = _Asked(work, self.chat)
        labels, each = job.card.labels, -(-self.rows_per_label // ROWS_PER_REQUEST)
        if len(asked.answers):
            say(f"  {len(asked.answers):,} answers of {self.name} are there already")
        say(
            f"  asking {self.name} for {self.rows_per_label:,} rows per label, in "
            f"{each * len(labels):,} requests or more"
        )
        streams = Streams(seed)
        with progress("teacher", self.rows_per_label * len(labels), "rows") as advance:
            for label in labels:
                seen: set[object] = set()
                for number in range(_PATIENCE * each):
                    before = len(seen)
                    if before >= self.rows_per_label:
                        break
                    wanted = min(ROWS_PER_REQUEST, self.rows_per_label - before)
                    text = request(
                        job.card, job.shots.train, wanted, streams, label=label, number=number
                    )
                    content = asked.ask(label, text)
                    rows = [row for row in rows_of(content, job.card, label) if row.kept]
                    seen |= {row_key(row) for row in rows}
                    advance(min(len(seen), self.rows_per_label) - min(before, self.rows_per_label))
                if len(seen) < self.rows_per_label:
                    warn(
                        f"{self.name} wrote only {len(seen):,} of {self.rows_per_label:,} "
                        f"different rows of label {shown(label)!r}."
                    )
        out.mkdir(parents=True, exist_ok=True)
        write_log(out / ANSWERS, asked.answers)
        write_json(out / USAGE, self._usage(asked))

    def _usage(self, asked: _Asked) -> dict[str, Any]:
        counts = {
            name: sum(answer[name] for answer in asked.answers)
            for name in ("prompt_tokens", "completion_tokens")
        }
        return {
            "model": self.chat.model,
            "url": self.chat.address,
            "requests": len(asked.answers),
            "retries": self.chat.retries,
            **counts,
        }

    def _cost(self, usage: dict[str, Any]) -> float | None:
        if self.price is None:
            return None
        tokens = usage["prompt_tokens"], usage["completion_tokens"]
        return round(sum(n * price for n, price in zip(tokens, self.price, strict=True)) / 1e6, 6)

    def stage(self, folder: RunFolder, job: Job, seed: int) -> Given:
        """The stage alone, in a run folder that is held: ``teacher/``, and the rows in it."""
        inputs = self.inputs(job, seed)
        work = folder.checkpoint_path(FOLDER, inputs)

        def build(out: Path) -> None:
            self.write(job, seed, out / FOLDER, work)

        folder.stage(FOLDER, inputs, [FOLDER], build)
        work.unlink(missing_ok=True)
        return self.read(folder.path / FOLDER, job.card)

    def read(self, home: Path, card: TaskCard) -> Given:
        """All rows of the answers, in their order; those of no use are rejected already."""
        lines = (home / ANSWERS).read_text("utf-8").split("\n")
        answers = [json.loads(line) for line in lines if line]
        parsed = (
            row for answer in answers for row in rows_of(answer["content"], card, answer["label"])
        )
        rows = [
            replace(row, first_sentence=f"import:{self.name}:{number}")
            for number, row in enumerate(parsed, start=1)
        ]
        usage = json.loads((home / USAGE).read_text("utf-8"))
        usage |= {"price_per_million_tokens": self.price, "cost": self._cost(usage)}
        return Given(Origin(self.name, file_hash(home / ANSWERS)), rows, usage)


@dataclass
class _Asked:
    """The answers so far, each of them in the work file."""

    work: Path
    chat: Chat
    answers: list[dict[str, Any]] = field(default_factory=list)
    _next: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Read what a stopped run has left; a line that it had not finished is cut off."""
        clear_links(self.work)
        whole = b""
        if self.work.is_file():
            content = self.work.read_bytes()
            whole = content[: content.rfind(b"\n") + 1]
        self._there: dict[str, list[dict[str, Any]]] = {}
        for line in whole.splitlines():
            answer = json.loads(line)
            self.answers.append(answer)
            self._there.setdefault(answer["label"], []).append(answer)
        self.work.parent.mkdir(parents=True, exist_ok=True)
        with self.work.open("ab") as file:
            file.truncate(len(whole))

    def ask(self, label: str, text: str) -> str:
        """The next answer for a label: one that is there already, or a new one."""
        number = self._next.get(label, 0)
        self._next[label] = number + 1
        there = self._there.get(label, [])
        if number < len(there):
            return str(there[number]["content"])
        answer: Answer = self.chat.ask(text)
        entry = {"label": label, **asdict(answer)}
        with self.work.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")
            file.flush()
            os.fsync(file.fileno())
        self.answers.append(entry)
        return answer.content


def rows_of(content: str, card: TaskCard, label: str) -> Iterator[SyntheticRow]:
    """The rows of an answer; what is no row, or has another label, is a rejected row.

    Code fences and empty lines are no rows and are not counted; a list of objects is read too.
    """
    empty = SyntheticRow("", "" if card.is_pair else None, label)
    found = False
    for item in _items(content):
        found = True
        texts = [_text(item, card, role) for role in card.roles]
        if None in texts:
            yield empty.rejected(NO_ROW)
            continue
        first, second = str(texts[0]), str(texts[1]) if card.is_pair else None
        row = SyntheticRow(first, second, label)
        own = label_text(item.get(card.columns["label"], item.get("label")))
        yield row if own.casefold() == label.casefold() else row.rejected(OTHER_LABEL)
    if not found:
        yield empty.rejected(NO_ROW)


def _items(content: str) -> Iterator[dict[str, Any]]:
    """Objects of an answer; an empty one for each line that is none."""
    lines = [line for line in content.split("\n") if not line.strip().startswith("```")]
    whole = _parsed("\n".join(lines))
    if isinstance(whole, dict):  # one row, or a list under a name
        lists = [value for value in whole.values() if isinstance(value, list)]
        whole = lists[0] if lists else [whole]
    if isinstance(whole, list):
        yield from (item if isinstance(item, dict) else {} for item in whole)
        return
    for line in lines:
        if line.strip():
            item = _parsed(line.strip().removesuffix(","))
            yield item if isinstance(item, dict) else {}


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _text(item: dict[str, Any], card: TaskCard, role: str) -> str | None:
    """The text of a role; None where there is none."""
    value = item.get(card.columns[role], item.get(role))
    if not isinstance(value, str) or not value.strip() or broken_text(value):
        return None
    return value.strip()
