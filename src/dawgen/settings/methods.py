"""Settings of the systems that dawgen is compared with; defaults are the published ones."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from dawgen.settings.section import Positive, Rate, Section


class InContextSettings(Section):
    """The few shots as demonstrations in the input."""

    demonstrations: Positive | None = None
    """Most of them, over all labels; none is as many as fit the backbone's length."""


class FineTuningSettings(Section):
    """Tuning all weights, with or without template and soft prompt."""

    optimizer: Literal["adamw", "adafactor"] = "adafactor"
    """(common for T5; LM-BFF: AdamW)."""
    learning_rate: Rate = 1e-4
    """Of the weights (common for T5 with Adafactor; LM-BFF: AdamW at 1e-5 to 3e-5)."""
    prompt_learning_rate: Rate = 0.3
    """Of the soft prompt, where there is one (Lester et al. 2021: 0.3)."""
    batch_size: Positive = 8
    """Rows a step (LM-BFF: 2 to 8)."""
    steps: Positive = 1000
    """(LM-BFF: 1,000)."""
    eval_every: Positive = 100
    """Steps between looks at the development shots (LM-BFF: 100)."""
    max_grad_norm: Rate | None = 1.0
    """Clip the gradient to this norm (ours, not published)."""


class PptSettings(Section):
    """A prompt pre-trained by next-sentence prediction, then tuned (Gu et al. 2022)."""

    corpus: str = "wikipedia"
    """`wikipedia`, the lines shipped with the package, or a text file: one sentence a line,
    a blank line between documents."""
    learning_rate: Rate = 0.1
    """Of the pre-training, with Noam decay (PPT: 0.1)."""
    warmup_steps: Positive = 1000
    """Of Noam's schedule (ours, not published)."""
    batch_size: Positive = 64
    """(PPT: 64)."""
    steps: Positive = 200_000
    """(PPT: 200,000)."""
    weight_decay: Annotated[float, Field(ge=0)] = 1e-2
    """(PPT: 1e-2)."""
    tuning_learning_rate: Rate = 0.05
    """Of the tuning that follows, constant (PPT: 0.05)."""
    tuning_batch_size: Positive = 8
    """(PPT: 8)."""
    tuning_epochs: Positive = 50
    """(PPT: 50)."""


class SpotSettings(Section):
    """A prompt trained on a large source task starts the target's (Vu et al. 2022)."""

    learning_rate: Rate = 0.3
    """On the source task (SPoT: 0.3)."""
    batch_size: Positive = 32
    """(SPoT: 32)."""
    steps: Positive = 30_000
    """On the source task (Lester et al. 2021: 30,000)."""
    dev_rows: Positive = 500
    """Source rows kept from training to choose the prompt by (ours, not published)."""


class OptimaSettings(Section):
    """Perturbations that make source and target look alike (Guo et al. 2022)."""

    learning_rate: Rate = 0.3
    """Of the prompt, cosine decay (OPTIMA: 0.3)."""
    discriminator_learning_rate: Rate = 1e-3
    """Of the domain discriminator, Adam (ours, not published)."""
    batch_size: Positive = 18
    """Source rows, and as many target rows, a step (OPTIMA: 18)."""
    steps: Positive = 30_000
    """(OPTIMA: at most 30,000)."""
    eval_every: Positive = 500
    """Steps between looks at the development shots (ours, not published)."""
    step_size: Rate = 0.1
    """L2 size of the ascent step of a row's perturbation (OPTIMA: 0.1)."""
    max_norm: Rate | None = None
    """Longest perturbation of a row, L2; none is no bound but the step (OPTIMA: optional)."""
    domain_weight: Annotated[float, Field(ge=0)] = 0.5
    """Of the domain loss beside the consistency loss (OPTIMA: 0.5)."""
    max_grad_norm: Rate | None = 1.0
    """(OPTIMA: 1)."""


class MethodSettings(Section):
    """One section a method that has settings of its own."""

    in_context: InContextSettings = InContextSettings()
    fine_tuning: FineTuningSettings = FineTuningSettings()
    ppt: PptSettings = PptSettings()
    spot: SpotSettings = SpotSettings()
    optima: OptimaSettings = OptimaSettings()
