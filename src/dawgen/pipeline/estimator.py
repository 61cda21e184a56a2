"""The whole pipeline as a scikit-learn classifier."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import yaml
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from dawgen.errors import UserError
from dawgen.storage.folder import RunFolder, write_text
from dawgen.tasks.shots import FEWEST
from dawgen.tasks.texts import as_labels, as_texts, column_names
from dawgen.use.classifier import Classifier

_COLUMNS = {"text1": "text1", "text2": "text2", "label": "label"}


class DawgenClassifier(ClassifierMixin, BaseEstimator):
    """Few labelled texts in, a classifier out: ``fit`` is ``dawgen run``, which ships the best.

        classifier = DawgenClassifier(label_words={"pos": "great", "neg": "terrible"})
        classifier.fit(texts, labels)
        classifier.predict(["Could not stop reading."])

    ``fit`` wants at least two rows of every label: of each half is learnt from and half chooses
    the checkpoint, up to ``shots`` of each.

    Args:
        out: the run folder, kept; without, one that goes with the object.
        template: what the model reads, with {text1} and for pairs {text2}; made without.
        label_words: a word for each label; the labels themselves without.
        preset: settings made for one backbone.
        settings: others, such as ``{"tuning.steps": 500}``.
        shots: most rows per label to learn from.
        seed: of every random stream.

    Attributes:
        classes_: the labels, sorted.
        run_: the run folder.
        scores_: what ``scores.json`` says, of the rows that chose the checkpoint.
    """

    def __init__(
        self,
        out: str | Path | None = None,
        *,
        template: str | None = None,
        label_words: Mapping[Any, str] | None = None,
        preset: str | None = None,
        settings: Mapping[str, Any] | None = None,
        shots: int = 16,
        seed: int = 13,
    ) -> None:
        self.out = out
        self.template = template
        self.label_words = label_words
        self.preset = preset
        self.settings = settings
        self.shots = shots
        self.seed = seed

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.two_d_array = False
        tags.non_deterministic = True  # another machine may round otherwise
        tags.no_validation = True  # texts are no numbers
        return tags

    def fit(self, X: Sequence[Any], y: Sequence[Any]) -> DawgenClassifier:
        """Run the whole pipeline on texts (or pairs of texts) and their labels.

        Args:
            X: a list, an array or a Series of texts; a data frame of one column, or of two for
                pairs, whose names are then looked for when predicting.
            y: a label per row: all texts, all numbers or all truth values.

        Raises:
            UserError: too few rows of a label, rows that are no texts, or labels that are missing
                or of several kinds.
        """
        from dawgen.pipeline import run as pipeline
        from dawgen.settings.layers import as_overrides, build_settings

        rows, self._columns = as_texts(X), column_names(X) or []
        if not rows:
            raise UserError("There are no rows.")
        self.classes_, places = np.unique(as_labels(y, len(rows)), return_inverse=True)
        if len(self.classes_) < 2:
            raise UserError("fit needs rows of two labels at least.")
        self.is_pair_ = len(rows[0]) == 2
        half = int(np.bincount(places).min()) // 2
        if half < 1:
            raise UserError("fit needs two rows of every label: to learn from, and to choose by.")
        settings, preset = build_settings(
            preset=self.preset,
            overrides=[
                *as_overrides(self.settings or {}),
                *as_overrides({"seed": self.seed, "shots": self.shots}),
            ],
        )
        if half < FEWEST // 2:  # a run wants more to split
            settings = settings.model_copy(update={"shots": min(settings.shots, half)})
        folder = self._folder()
        card, data = folder / "input" / "card.yaml", folder / "input" / "rows.jsonl"
        lines = (
            json.dumps({**dict(zip(_COLUMNS, row, strict=False)), "label": self._names()[place]})
            for row, place in zip(rows, places.tolist(), strict=True)
        )
        with RunFolder(folder).lock():
            write_text(card, yaml.safe_dump(self._card(), sort_keys=False))
            write_text(data, "\n".join(lines) + "\n")
        result = pipeline.run(
            str(card), train=str(data), out=folder, settings=settings, preset=preset
        )
        self.run_, self.scores_ = folder, result.scores
        self._trusts_code = settings.backbone.trust_remote_code  # the run folder does not say so
        self._classifier = self._load()
        return self

    def _load(self) -> Classifier:
        allowed = ["backbone.trust_remote_code=true"] if self._trusts_code else []
        return Classifier.load(self.run_, allowed)

    def predict_proba(self, X: Sequence[Any]) -> npt.NDArray[np.float64]:
        """p(label) [N,C], in the order of ``classes_``; rows sum to 1."""
        check_is_fitted(self, "run_")
        if not hasattr(self, "_classifier"):  # this object was pickled
            self._classifier = self._load()
        chances = self._classifier.predict_proba(
            as_texts(X, width=2 if self.is_pair_ else 1, columns=self._columns)
        )
        chances = chances.astype(np.float64)
        found: npt.NDArray[np.float64] = chances / chances.sum(axis=1, keepdims=True)
        return found

    def predict(self, X: Sequence[Any]) -> npt.NDArray[Any]:
        """The likeliest label of each row."""
        chances = self.predict_proba(X)
        found: npt.NDArray[Any] = self.classes_[chances.argmax(axis=1)]
        return found

    def _names(self) -> list[str]:
        return [str(label) for label in self.classes_.tolist()]

    def _card(self) -> dict[str, Any]:
        names = self._names()
        given = dict(self.label_words or {})
        given = {str(label): word for label, word in given.items()} | given
        words = {
            name: given.get(label, given.get(name, name.replace("_", " ")))  # 1 is 1.0's word too
            for name, label in zip(names, self.classes_.tolist(), strict=True)
        }
        pair = self.is_pair_
        template = self.template or (
            "sentence 1: {text1} sentence 2: {text2} answer:" if pair else "text: {text1} label:"
        )
        columns = _COLUMNS if pair else {k: v for k, v in _COLUMNS.items() if k != "text2"}
        return {
            "name": "texts",
            "columns": columns,
            "labels": names,
            "template": template,
            "label_words": words,
        }

    def _folder(self) -> Path:
        self.__dict__.pop("_temporary", None)
        if self.out is not None:
            return Path(self.out)
        self._temporary = tempfile.TemporaryDirectory(prefix="dawgen-")
        return Path(self._temporary.name)

    def __getstate__(self) -> dict[str, Any]:
        """All but the loaded model. The run folder is named, not copied, so it must be kept.

        Raises:
            UserError: the run folder goes with this object.
        """
        state = dict(super().__getstate__())
        if "_temporary" in state:
            raise UserError(
                "This DawgenClassifier keeps its run in a temporary folder, so it cannot be "
                "pickled; fit it with out=FOLDER, which the pickle then names."
            )
        state.pop("_classifier", None)
        if "run_" in state:
            state["run_"] = state["run_"].resolve()
        return state
