"""Settings of the methods that dawgen is compared with. Defaults are the published ones."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from dawgen.settings.section import Positive, Rate, Section


class InContextSettings(Section):
    """The few shots as demonstrations in the input."""

    demonstrations: Positive | None = None
    """Largest number of demonstrations over all labels. `null`: as many as fit the backbone."""


class FineTuningSettings(Section):
    """Tuning all weights, with or without template and soft prompt."""

    optimizer: Literal["adamw", "adafactor"] = "adafactor"
    """Optimizer (common for T5; LM-BFF: AdamW)."""
    learning_rate: Rate = 1e-4
    """Learning rate of the weights (common for T5 with Adafactor; LM-BFF: AdamW at 1e-5 to
    3e-5)."""
    prompt_learning_rate: Rate = 0.3
    """Learning rate of the soft prompt, if there is one (Lester et al. 2021: 0.3)."""
    batch_size: Positive = 8
    """Rows per step (LM-BFF: 2 to 8)."""
    steps: Positive = 1000
    """Number of steps (LM-BFF: 1,000)."""
    eval_every: Positive = 100
    """Steps between evaluations on the development shots (LM-BFF: 100)."""
    max_grad_norm: Rate | None = 1.0
    """Clip the gradient to this norm (ours, not published)."""


class PptSettings(Section):
    """A prompt pre-trained by next-sentence prediction, then tuned (Gu et al. 2022)."""

    corpus: str = "wikipedia"
    """`wikipedia`, which is part of the package, or a text file with one sentence per line and a
    blank line between documents."""
    learning_rate: Rate = 0.1
    """Learning rate of the pre-training, with Noam decay (PPT: 0.1)."""
    warmup_steps: Positive = 1000
    """Warm-up steps of Noam's schedule (ours, not published)."""
    batch_size: Positive = 64
    """Rows per step of the pre-training (PPT: 64)."""
    steps: Positive = 200_000
    """Steps of the pre-training (PPT: 200,000)."""
    weight_decay: Annotated[float, Field(ge=0)] = 1e-2
    """Weight decay of the pre-training (PPT: 1e-2)."""
    tuning_learning_rate: Rate = 0.05
    """Learning rate of the tuning that follows; it is constant (PPT: 0.05)."""
    tuning_batch_size: Positive = 8
    """Rows per step of that tuning (PPT: 8)."""
    tuning_epochs: Positive = 50
    """Epochs of that tuning (PPT: 50)."""


class SpotSettings(Section):
    """The prompt starts from one that was tuned on a large source task (Vu et al. 2022)."""

    learning_rate: Rate = 0.3
    """Learning rate on the source task (SPoT: 0.3)."""
    batch_size: Positive = 32
    """Rows per step (SPoT: 32)."""
    steps: Positive = 30_000
    """Steps on the source task (Lester et al. 2021: 30,000)."""
    dev_rows: Positive = 500
    """Source rows held out for choosing the prompt (ours, not published)."""


class OptimaSettings(Section):
    """Perturbations that make source and target look alike (Guo et al. 2022)."""

    learning_rate: Rate = 0.3
    """Learning rate of the prompt, with cosine decay (OPTIMA: 0.3)."""
    discriminator_learning_rate: Rate = 1e-3
    """Learning rate of the domain discriminator, with Adam (ours, not published)."""
    batch_size: Positive = 18
    """Source rows per step, and as many target rows (OPTIMA: 18)."""
    steps: Positive = 30_000
    """Number of steps (OPTIMA: at most 30,000)."""
    eval_every: Positive = 500
    """Steps between evaluations on the development shots (ours, not published)."""
    step_size: Rate = 0.1
    """L2 norm of the ascent step of a row's perturbation (OPTIMA: 0.1)."""
    max_norm: Rate | None = None
    """Largest L2 norm of a row's perturbation. `null`: no limit but the step (OPTIMA: optional)."""
    domain_weight: Annotated[float, Field(ge=0)] = 0.5
    """Weight of the domain loss relative to the consistency loss (OPTIMA: 0.5)."""
    max_grad_norm: Rate | None = 1.0
    """Clip the gradient to this norm (OPTIMA: 1)."""


class MethodSettings(Section):
    """One section for each method that has settings of its own."""

    in_context: InContextSettings = InContextSettings()
    fine_tuning: FineTuningSettings = FineTuningSettings()
    ppt: PptSettings = PptSettings()
    spot: SpotSettings = SpotSettings()
    optima: OptimaSettings = OptimaSettings()
