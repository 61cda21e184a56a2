"""The settings: their types, documentation and defaults (published where there are any)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from dawgen.backbone.registry import full_name
from dawgen.machine.precision import best_dtype
from dawgen.settings.choosing import ChoosingSettings
from dawgen.settings.cleaning import CleaningSettings
from dawgen.settings.decoding import DecodingSettings
from dawgen.settings.methods import MethodSettings
from dawgen.settings.section import Positive, Rate, Section, Share
from dawgen.settings.selection import SelectionSettings

if TYPE_CHECKING:
    from dawgen.tasks.card import TaskCard

Combine = Literal[
    "surgery",
    "paired",
    "mixed",
    "synthetic",
    "real",
    "real-then-synthetic",
    "synthetic-then-real",
]
RateUnit = Literal["absolute", "embedding"]
CheckpointRule = Literal["accuracy", "loss", "last"]


class BackboneSettings(Section):
    """The frozen language model."""

    path: str = "dawgen/tiny"
    """A model folder, a hub name, a GGUF file, or a name from `dawgen backbones list`, such as
    `smollm2`."""
    revision: str | None = None
    """Branch, tag or commit on the hub."""
    device: str = "auto"
    """`auto` (a GPU if there is one, else the CPU) or a torch device such as `cuda:1`."""
    dtype: Literal["auto", "fp32", "bf16"] = "fp32"
    """Number format of the weights. `auto` is bf16 on a device where it is faster, else fp32; a
    run keeps which. fp16 is not available: T5's activations overflow in it."""
    max_length: Positive = 512
    """Largest number of tokens of an input, soft prompt included (T5's own training length). Longer
    texts are truncated; templates never are."""
    checkpointing: bool = False
    """Recompute the layers in the backward pass instead of storing their activations. Takes less
    memory and more time; results are the same."""
    trust_remote_code: bool = False
    """Run code that is part of the model. Leave it off unless you have read that code."""

    @field_validator("path")
    @classmethod
    def _full_name(cls, value: str) -> str:
        return full_name(value)

    @field_validator("dtype", mode="before")
    @classmethod
    def _no_fp16(cls, value: object) -> object:
        if value in ("fp16", "float16", "half"):
            raise ValueError(
                "fp16 is not available because T5 overflows in it and returns NaN; use bf16 or fp32"
            )
        return value

    @field_validator("dtype")
    @classmethod
    def _settled(cls, value: str, info: ValidationInfo) -> str:
        return best_dtype(info.data.get("device", "auto")) if value == "auto" else value


class GeneratorSettings(Section):
    """Tuning of one soft prompt per label on the few shots (method.md §1)."""

    backbone: str | None = None
    """Another language model that writes the rows, as `backbone.path` names one, such as `gemma3`;
    its preset's settings of `generator` and `synthesis` are then used. `null`: the backbone."""
    method: Literal["plain", "fewgen", "dawgen"] = "dawgen"
    """Objective. `plain`: equation (1). `fewgen`: weighted tokens, (2) and (3). `dawgen`: `fewgen`
    with the regulariser (4)."""
    frame: Literal["auto", "plain", "chat"] = "auto"
    """Input format of a causal model: its chat template, or the plain words of the card's
    `causal_template`. `auto` is `chat` if the tokenizer has a chat template."""
    prompt_length: Positive = 100
    """Number of vectors per label (ours, not published: the length of the task prompt)."""
    learning_rate: Rate = 5e-3
    """Learning rate of the label prompts (FewGen: 5e-3 for its prefix)."""
    learning_rate_unit: RateUnit = "absolute"
    """`embedding`: the learning rate is in units of the root mean square of the model's word
    vectors."""
    batch_size: Positive = 2
    """Rows per label and step (FewGen: 2)."""
    epochs: Positive = 20
    """Passes over the few shots (FewGen: 20)."""
    weight_hidden: Positive = 100
    """Hidden width of the token-weight network (FewGen: 1 -> 100 -> 1)."""
    weight_learning_rate: Rate = 1e-2
    """Learning rate of the token-weight network, with Adam (FewGen: 1e-2)."""
    weights_every: Positive = 1
    """Steps from one update of the token weights by (3) and (4) to the next (ours, not
    published). Steps in between cost less than half."""
    lookahead_rate: Rate = 2e-2
    """Step size of the look-ahead prompt Q(W) in (3) (FewGen: 2e-2)."""
    dist_weight: Annotated[float, Field(ge=0)] = 0.1
    """Lambda, the weight of (4) (ours, not published); 0 is FewGen. At 1 the token weights depend
    on (4) alone."""
    meta_gradient: Literal["jvp", "central"] = "jvp"
    """Gradient of the token weights: exact product, or central differences (ours, not
    published)."""
    max_length: Positive = 128
    """Largest number of tokens of a text (FewGen: 128). Longer few shots are skipped."""

    @field_validator("backbone")
    @classmethod
    def _full_name(cls, value: str | None) -> str | None:
        return None if value is None else full_name(value)

    @model_validator(mode="after")
    def _pairs_in_a_batch(self) -> GeneratorSettings:
        if self.method == "dawgen" and self.dist_weight and self.batch_size == 1:
            raise ValueError(
                "with 1 row per label in a batch, (4) has no two rows of a label to compare and "
                "dawgen is FewGen; set generator.batch_size to 2 or more, or generator.method to "
                "fewgen"
            )
        return self


class SynthesisSettings(DecodingSettings):
    """Generation of labelled rows (method.md §2)."""

    rows_per_label: Positive = 5000
    """Rows per label in the dataset (FewGen: 5,000)."""
    most_rows: Positive | None = None
    """Rows of all labels together, at most: with many labels, each has fewer than
    `rows_per_label` (ours, not published). `null`: no limit."""
    first_sentences: str | dict[str, Rate] = "card"
    """Source of first sentences: `card`, `few-shots`, `captions`, `questions`, `wikipedia`,
    `generator`, a text file, the column of a table (`rows.csv#column`,
    `hub:owner/name/config@split#column`), or a mix (`{captions: 0.7, few-shots: 0.3}`)."""
    first_sentence_kind: Literal["task", "question", "statement", "any"] = "task"
    """Sentences of a corpus that may be first sentences. `task`: those of the same kind as in the
    few shots."""
    shots_in_context: Annotated[int, Field(ge=0)] = 0
    """Few shots of the label that a causal model reads as earlier turns before it writes a row, the
    words of its label prompt in front of each (ours, not published)."""
    engine: Literal["auto", "transformers", "ctranslate2"] = "auto"
    """Decoding engine. With `transformers`, a row depends on its own seed only; with
    `ctranslate2`, also on the other rows of its batch, the machine and the number of threads.
    `auto` is `ctranslate2` for int8 where it is available, else `transformers`."""
    quantization: Literal["none", "int8"] = "none"
    """Number format of the weights while decoding. int8 is faster, needs `ctranslate2` and changes
    probabilities slightly."""
    batch_size: Positive = 64
    """Rows decoded at once. With `ctranslate2` the texts depend on it."""
    max_attempts_factor: Annotated[float, Field(ge=1)] = 10.0
    """Stop generating for a label after this many attempts per row of `rows_per_label`."""
    oversample: Annotated[float, Field(ge=1)] = 1.0
    """Write this many clean rows per wanted one and keep those of the highest label ratio; with a
    reader (`synthesis.choose.by`), those whose label the second text alone tells least, and
    single texts are not oversampled."""
    min_label_ratio: Share = 0.0
    """Reject rows with a smaller label ratio: the generator's p(text | label), divided by its sum
    over all labels, or over eight of more."""
    shard_rows: Positive = 1000
    """Kept rows per label in one Parquet shard; the best of an over-generation are chosen in it."""
    keep_rejected: bool = False
    """Write rejected rows to the shards too, marked as such. The ledger always counts them."""
    cleaning: CleaningSettings = CleaningSettings()
    choose: ChoosingSettings = ChoosingSettings()

    @property
    def chooses(self) -> bool:
        """Whether a reader chooses among the clean rows."""
        return self.choose.by == "reader"

    @field_validator("first_sentences", mode="before")
    @classmethod
    def _shares(cls, value: object) -> object:
        if isinstance(value, Mapping) and not (
            value and all(isinstance(x, int | float) and x > 0 for x in value.values())
        ):
            raise ValueError(
                "a mix gives each source a share greater than 0, as {captions: 0.7, few-shots: 0.3}"
            )
        return value

    def only_speed(self) -> set[str]:
        """Names of the settings that do not change the rows.

        The batch size does with ctranslate2, whose sampler has one stream for all rows of a batch.
        """
        by_transformers = self.engine == "transformers" or (
            self.engine == "auto" and self.quantization == "none"
        )
        unused = set() if self.chooses else {"choose"}
        return unused | ({"batch_size"} if by_transformers else set())

    def for_card(self, card: TaskCard) -> SynthesisSettings:
        """With the card's decoding settings, unless the preset or the user sets them, and with as
        many rows per label as ``most_rows`` leaves."""
        of_card = card.decoding.model_dump(exclude_unset=True, exclude=self.model_fields_set)
        if self.most_rows:
            share = max(1, self.most_rows // len(card.labels))
            of_card["rows_per_label"] = min(self.rows_per_label, share)
        return self.model_copy(update=of_card)


class NoiseSettings(Section):
    """Temporal ensembling of the predictions for noisy synthetic rows (FewGen)."""

    ensembling: bool = False
    """Pull the targets of synthetic rows towards the mean of the prompt's past predictions."""
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    """Momentum of that mean (FewGen: 0.9)."""
    weight: Annotated[float, Field(ge=0)] = 20.0
    """Weight of the distance to that mean in the loss (FewGen: 20)."""
    threshold: Share = 0.8
    """Leave out rows whose mean prediction of their own label is smaller (FewGen: 0.8)."""


class TuningSettings(Section):
    """Tuning of the task's soft prompt on real and synthetic rows (method.md §3)."""

    prompt_length: Positive = 100
    """Number of vectors (Lester et al. 2021: 100)."""
    init: Literal["instruction", "label-words", "vocabulary", "random"] = "label-words"
    """Initial prompt (Lester et al.: vocabulary or label words). `instruction` is the card's; it is
    much better on causal models (docs/log.md)."""
    optimizer: Literal["adamw", "adafactor"] = "adafactor"
    """Optimizer (Lester et al.: Adafactor)."""
    learning_rate: Rate = 0.3
    """Learning rate of the prompt (Lester et al.: 0.3)."""
    learning_rate_unit: RateUnit = "absolute"
    """`embedding`: learning rates are in units of the root mean square of the model's word vectors,
    which differs tenfold between models. Holds for the prompts of all methods."""
    schedule: Literal["constant", "linear", "cosine"] = "constant"
    """Learning rate schedule (Lester et al.: constant)."""
    warmup_steps: Annotated[int, Field(ge=0)] = 0
    """Steps over which the learning rate rises to its full value (Lester et al.: none)."""
    weight_decay: Annotated[float, Field(ge=0)] = 1e-5
    """Weight decay (Lester et al.: 1e-5)."""
    batch_size: Positive = 32
    """Real rows per step (Lester et al.: 32)."""
    synthetic_batch_size: Positive = 32
    """Synthetic rows per step (ours, not published)."""
    steps: Positive = 30_000
    """Number of steps (Lester et al.: 30,000)."""
    synthetic_steps: Positive | None = None
    """Number of steps of a prompt on synthetic rows, which has more to learn from (ours, not
    published). `null`: `steps`."""
    epsilon: Annotated[float, Field(ge=0)] = 1.0
    """Weight of the synthetic gradient in p <- p - eta (d_real + epsilon d_syn) (ours, not
    published)."""
    combine: Combine = "surgery"
    """How the gradients of real and synthetic rows are combined (method.md §3)."""
    label_smoothing: Share = 0.0
    """Label smoothing of synthetic rows (FewGen: 0.15). Methods named `-mixed` in the benchmark
    have none."""
    noise: NoiseSettings = NoiseSettings()
    eval_every: Positive = 100
    """Steps between evaluations on the development shots (ours, not published)."""
    checkpoint: CheckpointRule = "accuracy"
    """The prompt that is kept: the one of highest accuracy on the development shots (of macro-F1
    where the card says so), of lowest loss, or the last one (Lester et al.: the best checkpoint of
    the whole run)."""
    synthetic_checkpoint: CheckpointRule | None = None
    """The same of a prompt on synthetic rows. `null`: as `checkpoint`."""
    patience: Positive | None = None
    """Stop after this many evaluations without an improvement. `null`: never."""
    max_grad_norm: Rate | None = None
    """Clip the combined gradient to this norm."""
    average_decay: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Decay of an exponential moving average of the prompt, which is then evaluated and saved
    instead of the prompt itself. 0: no average."""
    baseline: bool = True
    """First tune a second prompt on the real shots alone, for comparison. `synthesis.choose.by:
    reader` needs that prompt and tunes it in any case."""
    tokens_per_batch: Positive = 8192
    """Tokens per forward and backward call, soft prompts and padding included. A step with more
    takes several calls. Changes speed and memory only."""

    def with_rows(self) -> TuningSettings:
        """The settings of a tuning on synthetic rows."""
        steps, rule = self.synthetic_steps, self.synthetic_checkpoint
        changes = {"steps": steps or self.steps, "checkpoint": rule or self.checkpoint}
        return self.model_copy(update=changes)


class EvaluationSettings(Section):
    """Scoring of rows with a prompt."""

    tokens_per_batch: Positive = 8192
    """Tokens scored at once, soft prompts included. Changes speed and memory only."""


class TrackingSettings(Section):
    """Trackers that receive the curves of `dawgen run`; they change no result."""

    to: list[Literal["tensorboard", "wandb", "mlflow"]] = Field(default=[])
    """Trackers to use; each must be installed."""
    project: str = "dawgen"
    """Name of the project in the tracker."""


class Settings(Section):
    """All settings; the `config.yaml` of a run folder holds the same."""

    seed: Annotated[int, Field(ge=0)] = 13
    """Seed of all random streams of the run."""
    shots: Positive = 16
    """Rows per label for training, and as many for choosing the checkpoint."""
    on_empty: Literal["error", "skip"] = "error"
    """Rows with an empty text in the training, development and test files: raise an error, or skip
    them and print how many."""
    quick: bool = False
    """Choose a classifier by the labelled rows alone: write no rows and tune no prompt. Up to 1,024
    labelled rows are used where `shots` is not set."""
    backbone: BackboneSettings = BackboneSettings()
    generator: GeneratorSettings = GeneratorSettings()
    synthesis: SynthesisSettings = SynthesisSettings()
    tuning: TuningSettings = TuningSettings()
    selection: SelectionSettings = SelectionSettings()
    evaluation: EvaluationSettings = EvaluationSettings()
    methods: MethodSettings = MethodSettings()
    tracking: TrackingSettings = TrackingSettings()

    @property
    def writer(self) -> BackboneSettings:
        """The language model that writes rows: ``backbone`` where the generator has none of its
        own, else that one, in the number format that is faster, on the same device."""
        path = self.generator.backbone
        if path in (None, self.backbone.path):
            return self.backbone
        both = self.backbone.model_dump(include={"device", "max_length", "checkpointing"})
        trusts = self.backbone.trust_remote_code
        return BackboneSettings(path=path, dtype="auto", trust_remote_code=trusts, **both)
