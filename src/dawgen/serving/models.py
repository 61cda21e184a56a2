"""Models that the served tasks share: each is loaded once, however many tasks read with it."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from dawgen.backbone import Backbone, load_backbone
from dawgen.backbone.fingerprint import fingerprint_of
from dawgen.backbone.place import model_place
from dawgen.selection.encoder import SentenceEncoder
from dawgen.selection.parts import Models
from dawgen.settings.selection import PACKAGED

if TYPE_CHECKING:
    from dawgen.settings import BackboneSettings, Settings
    from dawgen.tasks import TaskCard


class Shelf:
    """Loaded models by what they were loaded from."""

    def __init__(self) -> None:
        self._backbones: dict[str, Backbone] = {}
        self._loaded: dict[tuple[str, str], Backbone] = {}
        self._encoders: dict[tuple[str, str, bool], SentenceEncoder] = {}

    def backbone(self, settings: BackboneSettings) -> Backbone:
        """The model of these settings; settings that differ in ``max_length`` share its weights.

        Raises:
            UserError: it cannot be loaded.
        """
        key = settings.model_dump_json()
        if key not in self._backbones:
            self._backbones[key] = self._load(settings)
        return self._backbones[key]

    def _load(self, settings: BackboneSettings) -> Backbone:
        place = model_place(settings.path)
        of_any_length = settings.model_copy(update={"max_length": 1})
        weights = fingerprint_of(place, None, of_any_length), settings.device
        if weights not in self._loaded:
            self._loaded[weights] = load_backbone(settings)
        loaded = self._loaded[weights]
        fingerprint = fingerprint_of(place, loaded.model, settings)
        if fingerprint == loaded.fingerprint:
            return loaded
        return Backbone(
            loaded.model,
            loaded.tokenizer,
            name=settings.path,
            fingerprint=fingerprint,
            max_length=settings.max_length,
        )

    def encoder(self, path: str, device: str, *, is_pair: bool) -> SentenceEncoder:
        """The sentence encoder of these settings; raises UserError as it does."""
        key = path, device, is_pair and path == PACKAGED  # of which there are two
        if key not in self._encoders:
            self._encoders[key] = SentenceEncoder(path, device, is_pair=is_pair)
        return self._encoders[key]

    @property
    def count(self) -> int:
        """How many models are in memory."""
        return len(self._loaded) + len(self._encoders)


class SharedModels(Models):
    """A task with the models of a shelf."""

    def __init__(self, card: TaskCard, settings: Settings, shelf: Shelf) -> None:
        super().__init__(card, settings)
        self._shelf = shelf

    @cached_property
    def backbone(self) -> Backbone:
        """The frozen language model."""
        return self._shelf.backbone(self.settings.backbone)

    @cached_property
    def encoder(self) -> SentenceEncoder:
        """The sentence encoder."""
        device = self.settings.backbone.device
        return self._shelf.encoder(self.encoder_name, device, is_pair=self.card.is_pair)
