"""Which engine decodes: what the settings say, or what model, machine and settings allow."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from dawgen.backbone import Backbone
from dawgen.backbone.frame import Frame
from dawgen.decoding.base import Decoding, Engine
from dawgen.decoding.ctranslate2 import CTranslate2Engine, UnsupportedError
from dawgen.decoding.from_settings import decoding_of
from dawgen.decoding.transformers import TransformersEngine
from dawgen.errors import UserError
from dawgen.settings import SynthesisSettings
from dawgen.tasks import Row, TaskCard
from dawgen.terminal.progress import hushed, say


def choose_engine(
    settings: SynthesisSettings, backbone: Backbone, prompts: Tensor, decoding: Decoding
) -> Engine:
    """The engine that ``settings.engine`` names; what ``auto`` takes is said in one line.

    ``auto`` takes ``transformers``, whose rows depend on their own seeds only, unless int8 is
    asked for, which only ``ctranslate2`` has. How much quicker the one or the other is here:
    ``python -m benchmarks.synthesis``.

    Args:
        prompts: [C,P,H], one soft prompt per label.

    Raises:
        UserError: the engine named cannot do what is asked.
    """
    check_engine(settings)
    int8 = settings.quantization == "int8"
    if settings.engine == "ctranslate2":
        return CTranslate2Engine(backbone, prompts, decoding, settings.quantization)
    if settings.engine == "auto" and int8:
        try:
            engine = CTranslate2Engine(backbone, prompts, decoding, settings.quantization)
        except UnsupportedError as error:
            say(f"  decoding with transformers, and so without int8: {error}")
        else:
            say("  decoding with ctranslate2, which has int8")
            return engine
    elif settings.engine == "auto":
        say("  decoding with transformers")
    return TransformersEngine(backbone, prompts, decoding)


def check_engine(settings: SynthesisSettings) -> None:
    """Raise UserError where the named engine does not support the settings, whatever the model."""
    if settings.engine == "transformers" and settings.quantization == "int8":
        raise UserError(
            "The engine transformers does not quantize; set synthesis.engine to auto or "
            "ctranslate2, or synthesis.quantization to none."
        )


def check_it_writes(
    settings: SynthesisSettings,
    card: TaskCard,
    shots: Sequence[Row],
    backbone: Backbone,
    prompts: Tensor,
    *,
    writes_first: bool,
    frame: Frame | None = None,
) -> None:
    """Raise UserError where no row could be written behind the prompts [C,P,H], however tuned.

    A recurrent model is scored and tuned like any other, and fails only when it writes. So this
    comes before the tuning.
    """
    decoding = decoding_of(
        settings,
        card,
        shots,
        backbone,
        prompts.shape[1],
        writes_first=writes_first,
        frame=frame,
    )
    with hushed():
        choose_engine(settings, backbone, prompts, decoding)
