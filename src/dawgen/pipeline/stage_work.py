"""What each stage of a run computes, counted from its settings and the lengths of its rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from dawgen.backbone.counting import mean_backward, mean_forward
from dawgen.backbone.shape import Shape, Work, shape_of
from dawgen.generator.examples import Shot, label_groups, steps_per_epoch
from dawgen.pipeline.stages import BASELINE, arms_of, shots_to_write
from dawgen.synthesis.first_sentences import writes_first
from dawgen.synthesis.writer import TURNS_SHARED_BY
from dawgen.tuning import Arm

if TYPE_CHECKING:
    from dawgen.backbone import Backbone
    from dawgen.settings import Settings, TuningSettings
    from dawgen.tasks import Row
    from dawgen.tasks.job import Job

Sizes = list[tuple[float, float, float]]
"""(source, target, scored) tokens of rows."""


@dataclass(frozen=True)
class Counter:
    """Counts stages of one job on one backbone.

    Attributes:
        other_writer: the language model that writes rows where that is not ``backbone``.
    """

    job: Job
    backbone: Backbone
    settings: Settings
    other_writer: Backbone | None = None

    @property
    def writer(self) -> Backbone:
        """The language model that writes rows."""
        return self.backbone if self.other_writer is None else self.other_writer

    @cached_property
    def shape(self) -> Shape:
        """Of the backbone."""
        return shape_of(self.backbone)

    @cached_property
    def writer_shape(self) -> Shape:
        """Of the writer."""
        return shape_of(self.writer)

    # --- the generator --------------------------------------------------------------

    def generator_steps(self) -> int:
        """Steps of the whole fit."""
        generator = self.settings.generator
        return generator.epochs * steps_per_epoch(self.shots(), generator.batch_size)

    def generator(self, steps: int | None = None) -> Work:
        """Tuning the label prompts: passes of step a. to c. over C·batch rows a step.

        Own prompt forward and backward, the C - 1 others forward, which plain does in the first
        step of an epoch. Where token weights are updated also a backward for the look-ahead, all C
        forward and backward at it, and the derivative: a forward pass's worth through the
        gradient's graph, four by central differences.
        """
        chosen, count = self.settings.generator, len(self.job.card.labels)
        labels = count / len(label_groups(range(count)))  # of a batch
        sizes = self._text_sizes()
        shape = self.writer_shape
        forward, backward = mean_forward(shape, sizes), mean_backward(shape, sizes)
        shots, row, others = self.shots(), forward + backward, forward * (labels - 1)
        if chosen.method == "plain":
            row = row + others * (1 / steps_per_epoch(shots, chosen.batch_size))
        else:
            again = backward + (forward + backward) * labels
            again = again + forward * (1 if chosen.meta_gradient == "jvp" else 4)
            row = row + others + again * (1 / chosen.weights_every)
        examples = sum(len(shot.examples) for shot in shots) / len(shots)
        rows = chosen.batch_size * labels * examples
        return row * (rows * (self.generator_steps() if steps is None else steps))

    def shots(self) -> list[Shot]:
        """The few shots as the generator learns them."""
        first = writes_first(self.settings.synthesis.first_sentences)
        return shots_to_write(self.job, self.writer, self.settings.generator, first)

    def _text_sizes(self) -> Sizes:
        length, lead = self.settings.generator.prompt_length, _lead(self.writer)
        return [
            (length + len(example.source), lead + len(example.target), len(example.target))
            for shot in self.shots()
            for example in shot.examples
        ]

    # --- synthesis ------------------------------------------------------------------

    def synthesis(self, attempts: int, tokens: float) -> Work:
        """Writing ``tokens`` tokens in so many attempts, and scoring them under every label.

        A reader that chooses rows reads them all once instead, rejected ones too: an upper bound.
        Sources are as long as the few shots'. A token written sees half of its text on average.
        """
        labels, sizes = len(self.job.card.labels), self._text_sizes()
        source = sum(size[0] for size in sizes) / len(sizes)
        text = tokens / max(1, attempts)
        shape, lead = self.writer_shape, _lead(self.writer)
        write = shape.forward(source + self._turns(source), lead + text, text)
        chosen, score, read = self.settings.synthesis, Work(), Work()
        if not chosen.chooses or chosen.min_label_ratio:
            score = shape.forward(source, lead + text, text) * labels
        if chosen.chooses:
            length = self.settings.tuning.prompt_length
            read = mean_forward(self.shape, self._label_sizes(self.job.shots.train, length))
        return (write + score + read) * attempts

    def _turns(self, source: float) -> float:
        """Tokens that a row reads of earlier turns; rows of single texts share them."""
        tokens = self.settings.synthesis.shots_in_context * (source + self.text_tokens(0)[0])
        return tokens if self.job.card.is_pair else tokens / TURNS_SHARED_BY

    def text_tokens(self, longest: int) -> tuple[float, float]:
        """Tokens written for a row: the few shots' mean, without a first text, and the most."""
        shots = self.shots()
        texts = max(len(shot.examples) for shot in shots)
        return sum(len(shot.examples[-1].target) for shot in shots) / len(shots), longest * texts

    # --- tuning ---------------------------------------------------------------------

    def baseline(self, steps: int | None = None) -> Work:
        """The prompt on the few shots alone."""
        return self._tuned(arms_of(self.settings)[BASELINE], [], steps)

    def tuning(self, synthetic: Sequence[Row], steps: int | None = None) -> Work:
        """The run's own prompt."""
        return self._tuned(arms_of(self.settings)["prompt"], synthetic, steps)

    def _tuned(self, arm: Arm, synthetic: Sequence[Row], steps: int | None) -> Work:
        """An arm's steps, forward and backward, and the looks at the development rows."""
        tuning = self.settings.tuning
        tuning = tuning if arm.combine == "real" else tuning.with_rows()
        count = tuning.steps if steps is None else steps
        real = self._label_sizes(self.job.shots.train, tuning.prompt_length)
        made = self._label_sizes(synthetic, tuning.prompt_length)
        drawn_real, drawn_made = _drawn(arm.combine, tuning, len(real), len(made))
        work = self._both(real) * drawn_real + self._both(made) * drawn_made
        looks = 1 + count // tuning.eval_every + bool(count % tuning.eval_every)
        dev = self._label_sizes(self.job.shots.dev, tuning.prompt_length)
        return work * count + mean_forward(self.shape, dev) * (len(dev) * looks)

    def _both(self, sizes: Sizes) -> Work:
        return mean_forward(self.shape, sizes) + mean_backward(self.shape, sizes)

    def _label_sizes(self, rows: Sequence[Row], prompt_length: int) -> Sizes:
        inputs = self.backbone.encode_rows(self.job.card, rows, prompt_length)
        lead = max(1, _lead(self.backbone)) if self.backbone.is_encoder_decoder else 0
        return [(prompt_length + len(ids), lead, 0.0) for ids in inputs]

    # --- evaluation -----------------------------------------------------------------

    def evaluation(self) -> Work:
        """The rows under every tuned prompt, and under none."""
        rows = self.job.scored
        length = self.settings.tuning.prompt_length
        arms = len(arms_of(self.settings))
        prompted = mean_forward(self.shape, self._label_sizes(rows, length))
        bare = mean_forward(self.shape, self._label_sizes(rows, 0))
        return (prompted * arms + bare) * len(rows)

    def evaluation_share(self, few: Sequence[Row]) -> float:
        """How much more the stage is than scoring ``few`` of its rows under one prompt."""
        sizes = self._label_sizes(few, self.settings.tuning.prompt_length)
        return self.evaluation().flops / (mean_forward(self.shape, sizes).flops * len(few))


def _lead(backbone: Backbone) -> int:
    """Tokens that a decoder starts with."""
    return len(backbone.decoder_start) if backbone.is_encoder_decoder else 0


def _drawn(
    combine: str, tuning: TuningSettings, real_rows: int, synthetic_rows: int
) -> tuple[float, float]:
    """Real and synthetic rows of an arm's mean step."""
    real = min(tuning.batch_size, real_rows)
    synthetic = min(tuning.synthetic_batch_size, synthetic_rows)
    if combine == "mixed":
        both = min(tuning.batch_size + tuning.synthetic_batch_size, real_rows + synthetic_rows)
        share = real_rows / max(1, real_rows + synthetic_rows)
        return both * share, both * (1 - share)
    if "-then-" in combine:
        return real / 2, synthetic / 2
    return (
        0.0 if combine == "synthetic" else float(real),
        0.0 if combine == "real" else float(synthetic),
    )
