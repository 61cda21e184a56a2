"""Classifiers that a run can hand over: each labels rows, and is kept as numbers and words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
import numpy.typing as npt
import torch

from dawgen.backbone.frame import Frame, frame_json
from dawgen.backbone.registry import known_backbone
from dawgen.errors import UserError
from dawgen.evaluation import predict
from dawgen.selection.adapter import Adapter
from dawgen.selection.alignment import Alignment
from dawgen.selection.cross_encoder import (
    LEARNT_FROM,
    CrossEncoder,
    CrossVectors,
    adapter_file,
    shared_cross_encoder,
)
from dawgen.selection.encoder import SentenceEncoder, encoder_of
from dawgen.selection.features import Features, TextVectors
from dawgen.selection.heads import (
    CrossValidated,
    Form,
    LinearHead,
    Probabilities,
    Recipe,
    cross_validate,
    label_numbers,
    mean_loss,
    softmax,
)
from dawgen.selection.shown import Shown, shown_sets
from dawgen.selection.states import AnswerStates, depths_of
from dawgen.selection.tuned import TextReading, TunedEncoder, TunedVectors
from dawgen.selection.tuned_cross import CrossReading, TunedCrossVectors
from dawgen.selection.tuning import Tuning
from dawgen.selection.words import Block, WordCounts
from dawgen.synthesis.scoring import log_likelihoods
from dawgen.terminal.progress import warn

if TYPE_CHECKING:
    from dawgen.backbone import Backbone
    from dawgen.settings import Settings
    from dawgen.tasks import Row, Shots, TaskCard

Numbers = dict[str, npt.NDArray[Any]]
Kind = Literal[
    "words",
    "embeddings",
    "tuned",
    "alignment",
    "cross",
    "tuned-cross",
    "answers",
    "prompt",
    "generator",
]


TUNED: tuple[Kind, ...] = ("tuned", "tuned-cross")
"""Kinds whose encoder is tuned on the rows: in halves where rows are held out, and on rows of one
label each; its changes are kept with the head."""
ROWS_AT_ONCE = 4096
"""Rows whose features are in memory at a time."""


class Models:
    """The task and the models that its parts read with, each loaded when it is first needed.

    Attributes:
        examples: labelled rows, some of which a causal model may read before each row.
        labelled: rows by which is chosen which of them.
    """

    def __init__(
        self,
        card: TaskCard,
        settings: Settings,
        backbone: Backbone | None = None,
        writer: Backbone | None = None,
    ) -> None:
        self.card, self.settings = card, settings
        self.examples: Sequence[Row] = ()
        self.labelled: Sequence[Row] = ()
        self._recipes: dict[Kind, Recipe] = {}
        self._validated: dict[object, CrossValidated] = {}
        if backbone is not None:
            self.backbone = backbone
        if writer is not None:
            self.writer = writer

    @cached_property
    def backbone(self) -> Backbone:
        """The frozen language model."""
        from dawgen.backbone import load_backbone

        return load_backbone(self.settings.backbone)

    @cached_property
    def writer(self) -> Backbone:
        """The language model that writes rows."""
        from dawgen.backbone import load_backbone

        settings = self.settings
        same = settings.writer == settings.backbone
        return self.backbone if same else load_backbone(settings.writer)

    @cached_property
    def encoder(self) -> SentenceEncoder:
        """The sentence encoder."""
        device = self.settings.backbone.device
        return SentenceEncoder(self.encoder_name, device, is_pair=self.card.is_pair)

    @cached_property
    def encoder_name(self) -> str:
        """Which one that is."""
        return encoder_of(self.settings.selection)

    @property
    def reads_across(self) -> bool:
        """Whether rows are pairs that a cross-encoder can read."""
        return self.card.is_pair and adapter_file(self.encoder_name) is not None

    @cached_property
    def cross_encoder(self) -> CrossEncoder:
        """What reads both texts of a pair at once.

        Raises:
            UserError: there is none of this encoder.
        """
        name = self.encoder_name
        file = adapter_file(name)
        if file is None:
            raise UserError(
                f"There is no cross-encoder of the sentence encoder {name}; set "
                "selection.encoder to mpnet."
            )
        if known_backbone(name) is not None and self.card.name in LEARNT_FROM:
            warn(
                f"the cross-encoder has learnt from other labelled rows of {self.card.name}, so "
                "figures here are higher than on a task of your own."
            )
        return shared_cross_encoder(self.encoder, file)

    @cached_property
    def label_words(self) -> list[list[int]]:
        """Token ids of each label's word, as the backbone reads it."""
        return self.backbone.label_word_ids(self.card)

    def take_shots(self, shots: Shots) -> None:
        """Shots among whose training rows examples are chosen from now on, by all of them."""
        self.examples, self.labelled = shots.train, [*shots.train, *shots.dev]
        self._recipes.pop("answers", None)
        self._validated.clear()

    @property
    def tokens_per_batch(self) -> int:
        """Tokens of one call of the backbone."""
        return self.settings.evaluation.tokens_per_batch

    def recipe(self, kind: Kind) -> Recipe:
        """How a head of this kind is trained; however many there are, a text is encoded once."""
        if kind not in self._recipes:
            self._recipes[kind] = self._recipe(kind)
        return self._recipes[kind]

    def _recipe(self, kind: Kind) -> Recipe:
        if kind == "words":
            return Recipe(lambda rows: WordCounts.learn(self.card, rows))
        if kind == "answers":
            return self._of_states()
        if kind == "alignment":
            return Recipe(partial(_always, Alignment(self.encoder.pairs)), Form(scaled=True))
        if kind == "cross":
            return Recipe(partial(_always, CrossVectors(self.cross_encoder)))
        if kind == "tuned-cross":
            across = CrossReading(self.cross_encoder)
            return Recipe(Tuning(across, self.card, self.settings.seed), in_halves=True)
        if kind == "tuned":
            alone = TextReading(self.encoder, self.card.is_pair)
            return Recipe(Tuning(alone, self.card, self.settings.seed), in_halves=True)
        vectors = TextVectors(self.encoder.pairs, is_pair=self.card.is_pair)
        return Recipe(partial(_always, vectors))

    def _of_states(self) -> Recipe:
        """States behind those examples whose head has the lowest loss on held-out rows."""
        found = []
        depths, rows, seed = depths_of(self.backbone), self.labelled, self.settings.seed
        choices = shown_sets(self.backbone, self.card, self.examples)
        form = Form(scaled=True, blocks=len(depths), words=self._said())
        for shown in choices:
            states = self.states(depths, shown, remember=True)
            recipe = Recipe(partial(_always, states), form)
            if len(choices) == 1:
                return recipe
            found.append((cross_validate(recipe, self.card, rows, seed), recipe))
        gold, metric = label_numbers(self.card, rows), self.card.metric
        best, recipe = min(found, key=lambda each: mean_loss(each[0].held_out, gold, metric))
        self._validated[_key("answers", rows, seed)] = best
        return recipe

    def _said(self) -> npt.NDArray[np.float32] | None:
        """[H,C], by which a last state gives the logits of the labels' words less their mean; None
        of a causal model, where a head on them brought nothing (docs/log.md)."""
        if not self.backbone.is_encoder_decoder:
            return None
        firsts = [ids[0] for ids in self.label_words]
        words = self.backbone.head.weight[firsts].detach().float().cpu().numpy().T
        return np.asarray(words - words.mean(axis=1, keepdims=True))

    def validated(self, kind: Kind, rows: Sequence[Row], seed: int) -> CrossValidated:
        """A head of this kind in cross-validation, computed once for the same rows."""
        recipe, key = self.recipe(kind), _key(kind, rows, seed)
        if key not in self._validated:
            cut = len(self.examples)
            self._validated[key] = cross_validate(recipe, self.card, rows, seed, cut=cut)
        return self._validated[key]

    def states(
        self, depths: Sequence[int], shown: Shown, *, remember: bool = False
    ) -> AnswerStates:
        """A new reader of the backbone's states, which may remember the rows that it has read."""
        return AnswerStates(
            self.backbone, self.card, self.tokens_per_batch, depths, shown, remember=remember
        )


def _key(kind: Kind, rows: Sequence[Row], seed: int) -> object:
    return kind, seed, tuple((row.text1, row.text2, row.label) for row in rows)


def _always(features: Features, rows: Sequence[Row]) -> Features:
    return features


class Part(Protocol):
    """One classifier."""

    @property
    def name(self) -> str:
        """The candidate's."""

    @property
    def kind(self) -> Kind:
        """What it is; see :func:`read_part`."""

    def probabilities(self, rows: Sequence[Row]) -> Probabilities:
        """p(label) [N,C]; the rows' labels are not looked at."""

    def numbers(self) -> Numbers:
        """Its arrays by name."""

    def words(self) -> dict[str, Any]:
        """What else is kept of it, as JSON."""


@dataclass(frozen=True)
class HeadPart:
    """A linear head on features."""

    name: str
    kind: Kind
    features: Features
    head: LinearHead

    def probabilities(self, rows: Sequence[Row]) -> Probabilities:
        """[N,C]; features of a few thousand rows are in memory at a time."""
        parts = [rows[n : n + ROWS_AT_ONCE] for n in range(0, len(rows), ROWS_AT_ONCE)]
        found = [self.head.probabilities(self.features.of(part)) for part in parts]
        return np.concatenate(found) if found else np.zeros((0, len(self.head.bias)), np.float32)

    def numbers(self) -> Numbers:
        """Weight, bias and, of counted words, their IDF, of a tuned encoder its changes."""
        numbers: Numbers = {"weight": self.head.weight, "bias": self.head.bias}
        if isinstance(self.features, TunedVectors | TunedCrossVectors):
            numbers |= self.features.adapter.numbers()
        if isinstance(self.features, WordCounts):
            numbers |= {f"idf{n}": block.idf for n, block in enumerate(self.features.blocks)}
        return numbers

    def words(self) -> dict[str, Any]:
        """The vocabulary, of counted words; depths and examples, of states; which cross-encoder."""
        if isinstance(self.features, AnswerStates):
            states = self.features
            shown = states.shown.words() | {"instructed": states.is_instructed}
            return {"depths": list(states.depths), "shown": shown}
        if isinstance(self.features, CrossVectors):
            return {"adapter": self.features.read.adapters[0].fingerprint}
        if not isinstance(self.features, WordCounts):
            return {}
        return {"terms": [list(block.terms) for block in self.features.blocks]}


@dataclass(frozen=True)
class PromptPart:
    """The backbone behind a soft prompt [P,H], or without any."""

    name: str
    prompt: torch.Tensor | None
    models: Models
    kind: Kind = "prompt"

    def probabilities(self, rows: Sequence[Row]) -> Probabilities:
        """[N,C]."""
        models = self.models
        return predict(
            models.backbone,
            models.card,
            self.prompt,
            rows,
            tokens_per_batch=models.tokens_per_batch,
        )

    def numbers(self) -> Numbers:
        """The prompt."""
        return {} if self.prompt is None else {"prompt": self.prompt.float().cpu().numpy()}

    def words(self) -> dict[str, Any]:
        """Nothing."""
        return {}


@dataclass(frozen=True)
class GeneratorPart:
    """The generator as a noisy channel: p(label | text) from p(text | label), labels equally
    likely beforehand (Min et al. 2022).

    Attributes:
        prompts: [C,P,H], one per label.
        temperature: log-likelihoods of whole texts are divided by it.
    """

    name: str
    prompts: torch.Tensor
    frame: Frame | None
    temperature: float
    models: Models
    kind: Kind = "generator"

    def log_likelihoods(self, rows: Sequence[Row]) -> npt.NDArray[np.float64]:
        """log p(text | label) [N,C]; of a pair of its second text behind the first."""
        pair = self.models.card.is_pair
        texts = [(row.text1, row.text2 or "") if pair else ("", row.text1) for row in rows]
        return log_likelihoods(self.models.writer, self.prompts, texts, self.frame).numpy()

    def probabilities(self, rows: Sequence[Row]) -> Probabilities:
        """[N,C]."""
        return softmax(self.log_likelihoods(rows) / self.temperature)

    def numbers(self) -> Numbers:
        """The label prompts."""
        return {"prompts": self.prompts.float().cpu().numpy()}

    def words(self) -> dict[str, Any]:
        """Frame and temperature."""
        return {"frame": frame_json(self.frame), "temperature": self.temperature}


def read_part(
    name: str, kind: Kind, numbers: Mapping[str, Any], words: Mapping[str, Any], models: Models
) -> Part:
    """The part that was kept as these numbers and words.

    Raises:
        UserError: another version kept it, which read states or pairs in another way.
    """
    other = kind == "states"  # type: ignore[comparison-overlap]
    crosses = kind in ("cross", "tuned-cross")
    if other or (crosses and words["adapter"] != models.cross_encoder.adapters[0].fingerprint):
        raise _made_otherwise(name)
    if kind == "prompt":
        prompt = numbers.get("prompt")
        return PromptPart(name, None if prompt is None else torch.from_numpy(prompt), models)
    if kind == "generator":
        frame = None if words["frame"] is None else Frame(**words["frame"])
        prompts = torch.from_numpy(numbers["prompts"])
        return GeneratorPart(name, prompts, frame, float(words["temperature"]), models)
    many = models.card.takes_many
    head = LinearHead(numbers["weight"], numbers["bias"], independent=many)
    features: Features
    if kind == "words":
        blocks = [Block(terms, numbers[f"idf{n}"]) for n, terms in enumerate(words["terms"])]
        features = WordCounts(models.card.roles, blocks)
    elif kind == "answers":
        depths = [int(depth) for depth in words["depths"]]
        features = models.states(depths, Shown.of_words(words["shown"]))
        if features.is_instructed != words["shown"].get("instructed", True):
            raise _made_otherwise(name)
    elif kind == "alignment":
        features = Alignment(models.encoder.pairs)
    elif kind == "cross":
        features = CrossVectors(models.cross_encoder)
    elif kind == "tuned-cross":
        adapter = Adapter.of_numbers(numbers)
        features = TunedCrossVectors(models.cross_encoder, adapter, head)
    elif kind == "tuned":
        tuned = TunedEncoder(models.encoder, Adapter.of_numbers(numbers))
        features = TunedVectors(tuned, is_pair=models.card.is_pair)
    else:
        features = TextVectors(models.encoder.pairs, is_pair=models.card.is_pair)
    return HeadPart(name, kind, features, head)


def _made_otherwise(name: str) -> UserError:
    return UserError(
        f"The run ships {name}, which another version of dawgen made in another way; make the run "
        "again with this version, or use its prompt (--use prompt)."
    )
