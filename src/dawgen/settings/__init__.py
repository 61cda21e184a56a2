"""Settings: the tree, its layers (defaults < preset < file < -s), the presets."""

from dawgen.settings.tree import (
    BackboneSettings,
    CheckpointRule,
    Combine,
    EvaluationSettings,
    GeneratorSettings,
    NoiseSettings,
    Settings,
    SynthesisSettings,
    TrackingSettings,
    TuningSettings,
)

__all__ = [
    "BackboneSettings",
    "CheckpointRule",
    "Combine",
    "EvaluationSettings",
    "GeneratorSettings",
    "NoiseSettings",
    "Settings",
    "SynthesisSettings",
    "TrackingSettings",
    "TuningSettings",
]
