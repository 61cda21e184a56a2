"""Task cards: one short YAML that says everything dawgen must know about a task.

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

from dawgen.errors import UserError, explain
from dawgen.settings.decoding import DecodingSettings
from dawgen.settings.retired import without_retired
from dawgen.settings.yamltext import parse_yaml
from dawgen.tasks.row import Row
from dawgen.terminal.harmless import in_shell

_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_ROLES = ("text1", "text2", "label")
_SUFFIXES = (".yaml", ".yml")
LONGEST_LABEL = 200
_DATA_SUFFIXES = (".jsonl", ".json", ".csv", ".tsv", ".parquet")


class HubSource(BaseModel):
    """Where a task lies on the hub, and how its columns and class ids are to be read."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: str
    """Data set name, such as ``nyu-mll/glue``."""
    config: str | None = None
    """Configuration of that data set."""
    revision: str | None = None
    """Branch, tag or commit; ``refs/convert/parquet`` for data sets that are a script."""
    columns: dict[str, str]
    """Column of the data set for each of text1, text2, label."""
    label_names: list[str]
    """The card's label for class id 0, 1, ..."""
    splits: dict[str, str]
    """The data set's name for each of train, dev, test, where it has one."""


class TaskCard(BaseModel):
    """What a task is: its columns, labels, template and label words (C labels)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1)
    version: int = 1
    description: str = ""
    columns: dict[str, str]
    """File column for each of text1, label and, for pair tasks, text2."""
    labels: list[str]
    """Label names, in the order that every [C] axis has."""
    template: str
    """What the language model reads, with {text1} and, for pair tasks, {text2}."""
    causal_template: str | None = None
    """What a causal model reads instead, where that should differ."""
    label_words: dict[str, str]
    """The word that stands for a label behind the template."""
    instruction: str = ""
    """The question to a reader, which a prompt can start from; made from the words by default."""
    label_prompts: dict[str, str] = {}
    """The sentence per label's generator prompt starts from; made from its name by default."""
    first_sentences: Literal["captions", "questions", "wikipedia"] | None = None
    """Kind of unlabelled text that first sentences come from."""
    first_sentence_words: tuple[int, int] | None = None
    """Fewest and most words of a first sentence."""
    decoding: DecodingSettings = DecodingSettings()
    """How this task's texts are decoded, where neither preset nor user says otherwise."""
    copies: list[str] = []
    """Labels that a pair of twice the same text has: a paraphrase, an entailment."""
    metric: Literal["accuracy"] = "accuracy"
    data: Literal["demo"] | None = None
    """Rows that are shipped with the package and used where no file is given."""
    hub: HubSource | None = None

    @property
    def is_pair(self) -> bool:
        """True where a row is two texts."""
        return "text2" in self.columns

    @property
    def roles(self) -> tuple[str, ...]:
        """The text roles of a row: (text1,) or (text1, text2)."""
        return ("text1", "text2") if self.is_pair else ("text1",)

    @property
    def request(self) -> str:
        """What a chat model is asked where it writes a text from nothing; it favours no label."""
        what = "the first of two texts" if self.is_pair else "a text"
        return f"Write {what} for this task: {self.description or self.instruction}"

    def label_index(self, label: str) -> int:
        """Place of the label on every [C] axis.

        Raises:
            ValueError: the card has no such label.
        """
        return self.labels.index(label)

    def template_for(self, *, causal: bool) -> str:
        """The template that a causal or a sequence-to-sequence model reads."""
        return self.causal_template or self.template if causal else self.template

    def fill(self, row: Row, *, causal: bool = False) -> str:
        """The template with the row's texts in place; braces inside the texts stay."""
        texts = {"text1": row.text1, "text2": row.text2 or ""}
        template = self.template_for(causal=causal)
        return _PLACEHOLDER.sub(lambda match: texts[match[1]], template)

    @field_validator("name", mode="before")
    @classmethod
    def _name_is_text(cls, value: object) -> object:
        return str(value) if isinstance(value, int) else value

    @field_validator("name")
    @classmethod
    def _name_is_no_path(cls, name: str) -> str:
        if set(name) & {"/", "\\"} or not name.strip(". ") or not name.isprintable():
            raise ValueError(f"{name!r} may not hold / or \\, nor be dots alone: folders bear it")
        return name

    @field_validator("labels", "copies", mode="before")
    @classmethod
    def _labels_are_text(cls, value: object) -> object:
        if isinstance(value, list):
            return [_as_text(item) for item in value]
        return value

    @field_validator("label_words", "label_prompts", mode="before")
    @classmethod
    def _words_are_text(cls, value: object) -> object:
        if isinstance(value, dict):
            return {_as_text(key): _as_text(item) for key, item in value.items()}
        return value

    @field_validator("label_words")
    @classmethod
    def _words_stand_alone(cls, words: dict[str, str]) -> dict[str, str]:
        """White space around a word is not part of it: what stands before it, the template says."""
        return {label: word.strip() for label, word in words.items()}

    @field_validator("columns")
    @classmethod
    def _check_columns(cls, columns: dict[str, str]) -> dict[str, str]:
        unknown = [role for role in columns if role not in _ROLES]
        if unknown:
            raise ValueError(f"its keys are text1, text2 and label, not {unknown[0]!r}")
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
    def _check_template(self) -> Self:
        self._check_placeholders("template", self.template)
        if self.causal_template is not None:
            self._check_placeholders("causal_template", self.causal_template)
        return self

    def _check_placeholders(self, name: str, template: str) -> None:
        found = _PLACEHOLDER.findall(template)
        for role in found:
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
            if role not in found:
                raise ValueError(f"the {name} lacks the placeholder {{{role}}}")
            if found.count(role) > 1:
                raise ValueError(f"the {name} has the placeholder {{{role}}} more than once")

    @model_validator(mode="after")
    def _check_label_words(self) -> Self:
        self._check_keys("label_words", self.label_words)
        words: dict[str, str] = {}
        for label in self.labels:
            word = self.label_words[label]
            if not word:
                raise ValueError(f"the label word of {label!r} is empty")
            if word in words:
                raise ValueError(
                    f"labels {words[word]!r} and {label!r} have the same label word {word!r}"
                )
            words[word] = label
        return self

    @model_validator(mode="after")
    def _check_label_prompts(self) -> Self:
        if not self.label_prompts:
            object.__setattr__(self, "label_prompts", _default_label_prompts(self))
        self._check_keys("label_prompts", self.label_prompts)
        return self

    @model_validator(mode="after")
    def _default_instruction(self) -> Self:
        if not self.instruction.strip():
            texts = "the two texts" if self.is_pair else "the text"
            words = ", ".join(self.label_words[label] for label in self.labels)
            object.__setattr__(self, "instruction", f"Which of these fits {texts}: {words}?")
        return self

    @model_validator(mode="after")
    def _check_first_sentences(self) -> Self:
        if self.first_sentence_words is not None:
            fewest, most = self.first_sentence_words
            if not 1 <= fewest <= most:
                raise ValueError("first_sentence_words must be [fewest, most], such as [4, 30]")
        return self

    @field_serializer("decoding")
    def _only_what_is_named(self, decoding: DecodingSettings) -> dict[str, Any]:
        """Values that the card leaves open stay open in a card written back to a file."""
        return decoding.model_dump(mode="json", exclude_unset=True)

    @model_validator(mode="after")
    def _check_decoding(self) -> Self:
        penalty = self.decoding.repetition_penalty
        unknown = sorted(set(penalty) - set(self.labels)) if isinstance(penalty, dict) else []
        if unknown:
            raise ValueError(
                f"decoding.repetition_penalty has {unknown[0]!r}, which is no label of the task"
            )
        return self

    @model_validator(mode="after")
    def _check_copies(self) -> Self:
        for label in self.copies:
            if label not in self.labels:
                raise ValueError(f"copies has {label!r}, which is no label of the task")
        return self

    @model_validator(mode="after")
    def _check_hub(self) -> Self:
        if self.hub is None:
            return self
        unknown = sorted(set(self.hub.label_names) - set(self.labels))
        if unknown:
            raise ValueError(f"hub.label_names has {unknown[0]!r}, which is no label of the task")
        if set(self.hub.columns) != set(self.columns):
            raise ValueError("hub.columns must have the same keys as columns")
        return self

    def _check_keys(self, what: str, given: dict[str, str]) -> None:
        missing = [label for label in self.labels if label not in given]
        if missing:
            raise ValueError(f"{what} has no entry for label {missing[0]!r}")
        extra = [label for label in given if label not in self.labels]
        if extra:
            raise ValueError(
                f"{what} has an entry for {extra[0]!r}, which is none of the labels "
                f"({', '.join(self.labels)})"
            )


def _as_text(value: object) -> object:
    return str(value) if isinstance(value, int | float) else value


def _default_label_prompts(card: TaskCard) -> dict[str, str]:
    """A sentence of each label's name and word, in the shape the shipped cards have."""
    kind, end = ("Two texts", "Sentence 1:") if card.is_pair else ("A text", "Text:")
    prompts = {}
    for label in card.labels:
        name = re.sub(r"[_\-/]+", " ", label)
        word = card.label_words[label]
        meaning = name if word.casefold() == name.casefold() else f"{name}: {word}"
        prompts[label] = f"{kind} with the label {meaning}. {end}"
    return prompts


class _CardLoader(yaml.SafeLoader):
    """YAML in which yes, no, on, off, true and false are words: a card holds no truth values."""


_CardLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in pairs if tag != "tag:yaml.org,2002:bool"]
    for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _packaged_cards() -> Any:
    return resources.files("dawgen.tasks") / "cards"


def list_cards() -> list[TaskCard]:
    """The cards shipped with the package, by name."""
    return [load_card(name) for name in card_names()]


def card_names() -> list[str]:
    """Names of the cards shipped with the package."""
    return sorted(
        entry.name.removesuffix(".yaml")
        for entry in _packaged_cards().iterdir()
        if entry.name.endswith(".yaml")
    )


def load_card(name_or_path: str | Path) -> TaskCard:
    """A shipped card by its name, or the user's own by the path of its YAML file.

    Raises:
        UserError: there is no such card, or the file is not a card.
    """
    given = str(name_or_path)
    if given in card_names():
        text = (_packaged_cards() / f"{given}.yaml").read_text("utf-8")
        return parse_card(text, where=f"card {given}")
    path = Path(given)
    if path.suffix.lower() in _DATA_SUFFIXES:
        raise UserError(
            f"{given} is a data file, not a task card; "
            f"`dawgen tasks new {in_shell(given)}` writes a card for it."
        )
    if path.suffix.lower() not in _SUFFIXES and not path.is_file():
        near = difflib.get_close_matches(given.lower(), card_names(), n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(card_names())}."
        raise UserError(
            f"There is no task {given!r} and no card file of that name; {hint}",
        )
    try:
        text = path.read_text("utf-8-sig")
    except FileNotFoundError:
        raise UserError(f"There is no card file {given}.") from None
    except UnicodeDecodeError:
        raise UserError(f"{given} is not a text file in UTF-8, so it cannot be a card.") from None
    except OSError as error:
        raise UserError(f"The card file {given} cannot be read: {error.strerror}.") from None
    return parse_card(text, where=given, default_name=path.stem)


def parse_card(text: str, where: str, default_name: str | None = None) -> TaskCard:
    """A card from its YAML text; ``where`` names it in errors.

    Raises:
        UserError: the text is not YAML, or not a card.
    """
    tree = parse_yaml(text, where, _CardLoader)  # a SafeLoader with one type fewer
    if not isinstance(tree, dict):
        raise UserError(f"{where}: a card is a list of `name: value` lines, and this is not.")
    if default_name:
        tree.setdefault("name", default_name)
    if isinstance(decoding := tree.get("decoding"), dict):
        tree["decoding"] = without_retired(decoding, where, "synthesis.")
    try:
        return TaskCard.model_validate(tree)
    except ValidationError as error:
        known = [
            *TaskCard.model_fields,
            *(f"hub.{name}" for name in HubSource.model_fields),
            *(f"decoding.{name}" for name in DecodingSettings.model_fields),
        ]
        why = explain(error, "card entry", known, f"a card has {', '.join(known)}.")
        raise UserError(f"{where}: {why}") from None
