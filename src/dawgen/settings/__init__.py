"""Settings: the tree, its layers (defaults < preset < file < -s), the presets."""

from dawgen.settings.tree import (
    BackboneSettings,
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
    "Combine",
    "EvaluationSettings",
    "GeneratorSettings",
    "NoiseSettings",
    "Settings",
    "SynthesisSettings",
    "TrackingSettings",
    "TuningSettings",
]
