"""Task cards: a short YAML file that describes a task.

A user's own card needs five entries::

    name: mood
    columns: {text1: comment, label: mood}
    labels: [happy, sad]
    template: "comment: {text1} mood:"
    label_words: {happy: good, sad: bad}
"""

from __future__ import annotations

import difflib
import re
from importlib import resources
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import quote

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_serializer,
    field_validator,
    model_validator,
)

from dawgen.errors import UserError, did_you_mean, explain
from dawgen.settings.decoding import DecodingSettings
from dawgen.settings.retired import without_retired
from dawgen.settings.yamltext import parse_yaml, read_user_text
from dawgen.tasks.row import Row
from dawgen.terminal.harmless import in_shell

_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_ROLES = ("text1", "text2", "label")
_SUFFIXES = (".yaml", ".yml")
_DATA_SUFFIXES = (".jsonl", ".json", ".csv", ".tsv", ".parquet")
_CARDS = resources.files("dawgen.tasks") / "cards"
LONGEST_LABEL = 200

Metric = Literal["accuracy", "macro-f1"]
"""What a classifier of the task is judged by."""


class HubSource(BaseModel):
    """A data set on the hub: its columns, class ids and splits."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: str
    """Data set name, such as ``nyu-mll/glue``."""
    config: str | None = None
    """Configuration of that data set."""
    revision: str | None = None
    """Branch, tag or commit, such as ``refs/convert/parquet`` for a data set that is a script."""
    columns: dict[str, str]
    """Column of the data set for each of text1, text2, label."""
    label_names: list[str]
    """The card's label for class id 0, 1, ..."""
    splits: dict[str, str]
    """The data set's split for each of train, dev, test that it has."""


class TaskCard(BaseModel):
    """A task: its columns, labels, template and label words (C labels)."""

    model_config = ConfigDict(extra="forbid", frozen=True, coerce_numbers_to_str=True)

    name: str = Field(min_length=1)
    version: int = 1
    description: str = ""
    columns: dict[str, str]
    """File column for each of text1, label and, for pair tasks, text2."""
    labels: list[str]
    """Label names, in the order of every [C] axis."""
    template: str
    """Input of the language model, with {text1} and, for pair tasks, {text2}."""
    causal_template: str | None = None
    """Input of a causal model, if it differs."""
    label_words: dict[str, str]
    """The word after the template that stands for each label."""
    instruction: str = ""
    """A question that a prompt can be initialised from. Default: made from the label words."""
    label_prompts: dict[str, str] = {}
    """The sentence that each label's generator prompt is initialised from. Default: made from the
    label's name and word."""
    first_sentences: Literal["captions", "questions", "wikipedia"] | None = None
    """Kind of unlabelled text that first sentences come from."""
    first_sentence_words: tuple[int, int] | None = None
    """Smallest and largest number of words of a first sentence."""
    decoding: DecodingSettings = DecodingSettings()
    """Decoding settings of this task, unless the preset or the user sets them."""
    copies: list[str] = []
    """Labels of a pair whose texts are the same: a paraphrase, an entailment."""
    labels_per_text: Literal["one", "many"] = "one"
    """`many`: a text may have several labels, or none. Linear heads only learn such a task."""
    metric: Metric = "accuracy"
    """What is to be high. `macro-f1`, the mean of the labels' F1, counts rare labels as much as
    common ones, in training too."""
    data: Literal["demo"] | None = None
    """Rows in the package that are used if no file is named."""
    hub: HubSource | None = None

    @property
    def is_pair(self) -> bool:
        """Whether a row has two texts."""
        return "text2" in self.columns

    @property
    def takes_many(self) -> bool:
        """Whether a text may have several labels, or none."""
        return self.labels_per_text == "many"

    @property
    def roles(self) -> tuple[str, ...]:
        """The text roles of a row: (text1,) or (text1, text2)."""
        return ("text1", "text2") if self.is_pair else ("text1",)

    @property
    def request(self) -> str:
        """The request to a chat model for a first text; it favours no label."""
        what = "the first of two texts" if self.is_pair else "a text"
        return f"Write {what} for this task: {self.description or self.instruction}"

    def label_index(self, label: str) -> int:
        """Index of the label on every [C] axis; raises ValueError if the card does not have it."""
        return self.labels.index(label)

    def template_for(self, *, causal: bool) -> str:
        """The template for a causal or a sequence-to-sequence model."""
        return self.causal_template or self.template if causal else self.template

    def fill(self, row: Row, *, causal: bool = False) -> str:
        """The template filled with the row's texts; braces in the texts stay."""
        texts = {"text1": row.text1, "text2": row.text2 or ""}
        template = self.template_for(causal=causal)
        return _PLACEHOLDER.sub(lambda match: texts[match[1]], template)

    @field_validator("name")
    @classmethod
    def _name_is_no_path(cls, name: str) -> str:
        if set(name) & {"/", "\\"} or not name.strip(". ") or not name.isprintable():
            raise ValueError(
                f"{name!r} names a folder, so it cannot contain / or \\, nor be dots alone"
            )
        return name

    @field_validator("label_words")
    @classmethod
    def _words_stand_alone(cls, words: dict[str, str]) -> dict[str, str]:
        """Remove white space around a word: the template says what is before it."""
        return {label: word.strip() for label, word in words.items()}

    @field_validator("columns")
    @classmethod
    def _check_columns(cls, columns: dict[str, str]) -> dict[str, str]:
        unknown = [role for role in columns if role not in _ROLES]
        if unknown:
            raise ValueError(f"its keys must be text1, text2 and label, not {unknown[0]!r}")
        for role in ("text1", "label"):
            if role not in columns:
                raise ValueError(f"it must name the file's column for {role}")
        if len(set(columns.values())) < len(columns):
            raise ValueError("two of its entries name the same column")
        return columns

    @field_validator("labels")
    @classmethod
    def _check_labels(cls, labels: list[str]) -> list[str]:
        if any(not label.strip() for label in labels):
            raise ValueError("one of the labels is empty")
        if len(set(labels)) < len(labels):
            raise ValueError("a label is listed twice")
        if long := [label for label in labels if len(quote(label)) > LONGEST_LABEL]:
            raise ValueError(
                f"{long[0][:40]!r}... is too long; a label names a folder, which has at most "
                f"{LONGEST_LABEL} characters, special ones counted several times"
            )
        if len(labels) < 2:
            raise ValueError("a task needs at least two labels")
        return labels

    @model_validator(mode="after")
    def _check(self) -> Self:
        """Check the entries against each other, and fill in those that are made from others."""
        self._check_placeholders("template", self.template)
        if self.causal_template is not None:
            self._check_placeholders("causal_template", self.causal_template)
        self._check_keys("label_words", self.label_words)
        self._check_words()
        if not self.label_prompts:
            object.__setattr__(self, "label_prompts", _default_label_prompts(self))
        self._check_keys("label_prompts", self.label_prompts)
        if not self.instruction.strip():
            texts = "the two texts" if self.is_pair else "the text"
            words = ", ".join(self.label_words[label] for label in self.labels)
            object.__setattr__(self, "instruction", f"Which of these fits {texts}: {words}?")
        if self.first_sentence_words is not None:
            fewest, most = self.first_sentence_words
            if not 1 <= fewest <= most:
                raise ValueError("first_sentence_words must be [fewest, most], such as [4, 30]")
        if self.takes_many and any("|" in label for label in self.labels):
            raise ValueError("with labels_per_text: many, labels cannot contain |")
        penalty = self.decoding.repetition_penalty
        self._check_labels_in("decoding.repetition_penalty", penalty)
        self._check_labels_in("copies", self.copies)
        if self.hub is not None:
            self._check_labels_in("hub.label_names", self.hub.label_names)
            if set(self.hub.columns) != set(self.columns):
                raise ValueError("hub.columns must have the same keys as columns")
        return self

    def _check_placeholders(self, name: str, template: str) -> None:
        placeholders = _PLACEHOLDER.findall(template)
        for role in placeholders:
            if role not in self.roles:
                hint = (
                    "; add text2 to the columns to make it a pair task" if role == "text2" else ""
                )
                wanted = " and ".join(f"{{{role}}}" for role in self.roles)
                raise ValueError(
                    f"the {name} has the placeholder {{{role}}}, but this task fills "
                    f"{wanted} only{hint}"
                )
        for role in self.roles:
            if role not in placeholders:
                raise ValueError(f"the {name} lacks the placeholder {{{role}}}")
            if placeholders.count(role) > 1:
                raise ValueError(f"the {name} has the placeholder {{{role}}} more than once")

    def _check_words(self) -> None:
        labels: dict[str, str] = {}
        for label in self.labels:
            word = self.label_words[label]
            if not word:
                raise ValueError(f"the label word of {label!r} is empty")
            if word in labels:
                raise ValueError(
                    f"labels {labels[word]!r} and {label!r} have the same label word {word!r}"
                )
            labels[word] = label

    def _check_keys(self, name: str, entries: dict[str, str]) -> None:
        missing = [label for label in self.labels if label not in entries]
        if missing:
            raise ValueError(f"{name} has no entry for label {missing[0]!r}")
        extra = [label for label in entries if label not in self.labels]
        if extra:
            raise ValueError(
                f"{name} has an entry for {extra[0]!r}, which is none of the labels "
                f"({', '.join(self.labels)})"
            )

    def _check_labels_in(self, name: str, labels: object) -> None:
        """Every item of a collection must be a label of the task; a number has none."""
        for label in labels if isinstance(labels, list | dict) else ():
            if label not in self.labels:
                raise ValueError(f"{name} has {label!r}, which is no label of the task")

    @field_serializer("decoding")
    def _set_values_only(self, decoding: DecodingSettings) -> dict[str, Any]:
        """Values that the card does not set stay unset when it is written and read again."""
        return decoding.model_dump(mode="json", exclude_unset=True)


def _default_label_prompts(card: TaskCard) -> dict[str, str]:
    """A sentence from each label's name and word, as in the built-in cards."""
    kind, end = ("Two texts", "Sentence 1:") if card.is_pair else ("A text", "Text:")
    prompts = {}
    for label in card.labels:
        name = re.sub(r"[_\-/]+", " ", label)
        word = card.label_words[label]
        meaning = name if word.casefold() == name.casefold() else f"{name}: {word}"
        prompts[label] = f"{kind} with the label {meaning}. {end}"
    return prompts


class _CardLoader(yaml.SafeLoader):
    """YAML in which yes, no, on, off, true and false are words: cards have no truth values."""


_CardLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in pairs if tag != "tag:yaml.org,2002:bool"]
    for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def list_cards() -> list[TaskCard]:
    """The built-in cards, by name."""
    return [load_card(name) for name in card_names()]


def card_names() -> list[str]:
    """Names of the built-in cards."""
    files = (file.name for file in _CARDS.iterdir())
    return sorted(name.removesuffix(".yaml") for name in files if name.endswith(".yaml"))


def load_card(name_or_path: str | Path) -> TaskCard:
    """A built-in card by its name, or a card file by its path.

    Raises:
        UserError: there is no such card, or the file is not a card.
    """
    name, path = str(name_or_path), Path(name_or_path)
    if name in card_names():
        return parse_card((_CARDS / f"{name}.yaml").read_text("utf-8"), where=f"card {name}")
    if path.suffix.lower() in _DATA_SUFFIXES:
        raise UserError(
            f"{name} is a data file, not a task card; "
            f"`dawgen tasks new {in_shell(name)}` writes a card for it."
        )
    if path.suffix.lower() not in _SUFFIXES and not path.is_file():
        near = _near_file(path) or did_you_mean(
            name.lower(), card_names(), f"there are {', '.join(card_names())}."
        )
        raise UserError(f"There is no task {name!r} and no card file of that name; {near}")
    if not path.exists() and (near := _near_file(path)):
        raise UserError(f"There is no card file {name}; {near}")
    return parse_card(read_user_text(path, "card file"), where=name, default_name=path.stem)


def card_text(name_or_path: str | Path) -> str:
    """The YAML of a card that :func:`load_card` reads."""
    name = str(name_or_path)
    if name in card_names():
        return (_CARDS / f"{name}.yaml").read_text("utf-8")
    return read_user_text(Path(name), "card file")


def _near_file(path: Path) -> str:
    """Which card file in the same folder was meant; empty if none is named alike."""
    try:
        files = [file for file in path.parent.iterdir() if file.suffix.lower() in _SUFFIXES]
    except OSError:
        return ""
    names = {file.name.lower(): file for file in files} | {f.stem.lower(): f for f in files}
    near = difflib.get_close_matches(path.name.lower(), sorted(names), n=1, cutoff=0.75)
    return f"did you mean {names[near[0]]}?" if near else ""


def parse_card(text: str, where: str, default_name: str | None = None) -> TaskCard:
    """A card from its YAML text; ``where`` names it in errors.

    Raises:
        UserError: the text is not YAML, or not a card.
    """
    tree = parse_yaml(text, where, _CardLoader)
    if not isinstance(tree, dict):
        raise UserError(f"{where}: a card must consist of `name: value` lines.")
    if default_name:
        tree.setdefault("name", default_name)
    if isinstance(decoding := tree.get("decoding"), dict):
        tree["decoding"] = without_retired(decoding, where, "synthesis.")
    try:
        return TaskCard.model_validate(tree)
    except ValidationError as error:
        known = [
            *TaskCard.model_fields,
            *("columns.text1", "columns.text2"),  # "label" alone is rather meant to be "labels"
            *(f"hub.{name}" for name in HubSource.model_fields),
            *(f"decoding.{name}" for name in DecodingSettings.model_fields),
        ]
        why = explain(error, "card entry", known, f"a card has {', '.join(known)}.")
        raise UserError(f"{where}: {why}") from None
