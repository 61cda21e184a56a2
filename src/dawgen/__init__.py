"""Turn a few labelled examples into a labelled synthetic dataset and a tuned soft prompt.

    import dawgen

    result = dawgen.run("demo", out="runs/demo")
    print(result.scores["accuracy"])
    dawgen.predict("runs/demo", [("A man sleeps.", "Nobody is awake.")])

Names are loaded when they are first used, so importing the package is quick.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dawgen.backbone import Backbone, load_backbone
    from dawgen.errors import UserError
    from dawgen.pipeline.estimator import DawgenClassifier
    from dawgen.pipeline.run import Result, run
    from dawgen.settings import Settings
    from dawgen.settings.layers import build_settings
    from dawgen.tasks import TaskCard, load_card, load_rows, sample_shots
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
    "load_backbone": "dawgen.backbone",
    "load_card": "dawgen.tasks",
    "load_rows": "dawgen.tasks",
    "predict": "dawgen.use.predicting",
    "run": "dawgen.pipeline.run",
    "sample_shots": "dawgen.tasks",
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
    "load_backbone",
    "load_card",
    "load_rows",
    "predict",
    "run",
    "sample_shots",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'dawgen' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
