"""Turn a few labelled examples into a labelled synthetic dataset and a tuned soft prompt.

    import dawgen

    rows = [("Could not stop reading.", "good"), ("A waste of an evening.", "bad"), ...]
    result = dawgen.run(dawgen.new_card(rows), train=rows, out="runs/reviews")
    result.predict("I liked the end best.")
    dawgen.Classifier.load("runs/reviews").predict(["Dull.", "Lovely."])

Everyday:  new_card, run, predict, Classifier, DawgenClassifier (scikit-learn), export
Data:      load_card, load_rows, sample_shots, synthesize
Research:  evaluate, build_settings, load_backbone
Types:     Result, TaskCard, Settings, Backbone, UserError

These names stay; the modules below them are internal and may change. Names are loaded when they
are first used, so importing the package is quick.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dawgen.backbone import Backbone, load_backbone
    from dawgen.commands.functions import evaluate, export, synthesize
    from dawgen.errors import UserError
    from dawgen.pipeline.estimator import DawgenClassifier
    from dawgen.pipeline.run import Result, run
    from dawgen.settings import Settings
    from dawgen.settings.layers import build_settings
    from dawgen.tasks import TaskCard, load_card, load_rows, new_card, sample_shots
    from dawgen.use.classifier import Classifier
    from dawgen.use.predicting import predict

try:
    __version__ = version("dawgen")
except PackageNotFoundError:  # a source tree that was not installed
    __version__ = "0+unknown"

_HOMES = {
    "Backbone": "dawgen.backbone",
    "Classifier": "dawgen.use.classifier",
    "DawgenClassifier": "dawgen.pipeline.estimator",
    "Result": "dawgen.pipeline.run",
    "Settings": "dawgen.settings",
    "TaskCard": "dawgen.tasks",
    "UserError": "dawgen.errors",
    "build_settings": "dawgen.settings.layers",
    "evaluate": "dawgen.commands.functions",
    "export": "dawgen.commands.functions",
    "load_backbone": "dawgen.backbone",
    "load_card": "dawgen.tasks",
    "load_rows": "dawgen.tasks",
    "new_card": "dawgen.tasks",
    "predict": "dawgen.use.predicting",
    "run": "dawgen.pipeline.run",
    "sample_shots": "dawgen.tasks",
    "synthesize": "dawgen.commands.functions",
}

__all__ = [
    "Backbone",
    "Classifier",
    "DawgenClassifier",
    "Result",
    "Settings",
    "TaskCard",
    "UserError",
    "__version__",
    "build_settings",
    "evaluate",
    "export",
    "load_backbone",
    "load_card",
    "load_rows",
    "new_card",
    "predict",
    "run",
    "sample_shots",
    "synthesize",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'dawgen' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
