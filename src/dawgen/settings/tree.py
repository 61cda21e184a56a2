"""Every setting once: typed, documented, and with the published default where there is one.

How files and the command line change them is in :mod:`dawgen.settings.layers`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, field_validator, model_validator

from dawgen.backbone.registry import full_name
from dawgen.settings.choosing import ChoosingSettings
from dawgen.settings.cleaning import CleaningSettings
from dawgen.settings.decoding import DecodingSettings
from dawgen.settings.methods import MethodSettings
from dawgen.settings.section import Positive, Rate, Section, Share
from dawgen.settings.selection import SelectionSettings

if TYPE_CHECKING:
    from dawgen.tasks import TaskCard

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


class BackboneSettings(Section):
    """The frozen language model."""

    path: str = "dawgen/tiny"
    """A model folder, a hub name, a GGUF file, or a name from `dawgen backbones list`, such as
    `smollm2`."""
    revision: str | None = None
    """Branch, tag or commit on the hub."""
    dtype: Literal["fp32", "bf16"] = "fp32"
    """Number format of the weights; fp16 is refused because T5's activations overflow in it."""
    device: str = "auto"
    """`auto` takes a GPU where there is one, else the CPU; or a torch device such as `cuda:1`."""
    max_length: Positive = 512
    """Most tokens of one input, soft prompt included; texts are cut to fit, templates never."""
    checkpointing: bool = False
    """Compute layers again for the backward pass instead of keeping their activations: less memory,
    more time, the same results."""
    trust_remote_code: bool = False
    """Run code that comes with a model; leave off unless you have read that code."""

    @field_validator("path")
    @classmethod
    def _full_name(cls, value: str) -> str:
        return full_name(value)

    @field_validator("dtype", mode="before")
    @classmethod
    def _no_fp16(cls, value: object) -> object:
        if value in ("fp16", "float16", "half"):
            raise ValueError(
                "fp16 is not offered because T5 overflows in it and gives NaN; take bf16 or fp32"
            )
        return value


class GeneratorSettings(Section):
    """Tuning one soft prompt per label on the few shots, method.md §1."""

    method: Literal["plain", "fewgen", "dawgen"] = "dawgen"
    """plain: equation (1); fewgen: weighted, (2)+(3); dawgen: with the regulariser (4) too."""
    frame: Literal["auto", "plain", "chat"] = "auto"
    """What a causal model reads around the texts: its chat template, or the plain words of the
    card's `causal_template`. `auto` is `chat` where the tokenizer has a template."""
    prompt_length: Positive = 100
    """Vectors per label (ours, not published: the task prompt's length)."""
    learning_rate: Rate = 5e-3
    """Of the label prompts (FewGen's prefix)."""
    learning_rate_unit: RateUnit = "absolute"
    """`embedding`: the rate is in units of the root mean square of the model's word vectors."""
    batch_size: Positive = 2
    """Rows per label and step (FewGen: 2)."""
    epochs: Positive = 20
    """Passes over the few shots (FewGen: 20)."""
    weight_hidden: Positive = 100
    """Hidden width of the token-weight network (FewGen: 1 -> 100 -> 1)."""
    weight_learning_rate: Rate = 1e-2
    """Of the token-weight network, Adam (FewGen)."""
    lookahead_rate: Rate = 2e-2
    """Step size of the look-ahead prompt Q(W) in (3) (FewGen)."""
    dist_weight: Annotated[float, Field(ge=0)] = 0.1
    """Lambda, the weight of (4) (ours, not published); 0 is FewGen. At 1, (4) drives the token
    weights alone and (3) has no say."""
    meta_gradient: Literal["jvp", "central"] = "jvp"
    """How the weights' gradient is taken: exact product, or central differences."""
    max_length: Positive = 128
    """Most tokens of a text to be generated (FewGen: 128); longer few shots are left out."""

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
    """Writing labelled rows, method.md §2."""

    rows_per_label: Positive = 5000
    """Kept rows per label (FewGen: 5,000)."""
    first_sentences: str | dict[str, Rate] = "card"
    """`card`, `few-shots`, `captions`, `questions`, `wikipedia`, `generator`, a text file, the
    column of a table (`rows.csv#column`, `hub:owner/name/config@split#column`), or shares of
    several (`{captions: 0.7, few-shots: 0.3}`)."""
    first_sentence_kind: Literal["task", "question", "statement", "any"] = "task"
    """Which sentences of a corpus may be first ones; `task` takes the kind of the few shots'."""
    engine: Literal["auto", "transformers", "ctranslate2"] = "auto"
    """Who decodes. With `transformers` a row depends on its own seed only; with `ctranslate2`
    on the seeds of all rows asked for with it, on the machine and on its number of threads.
    `auto` takes `transformers`, or where int8 is asked for and can be had `ctranslate2`."""
    quantization: Literal["none", "int8"] = "none"
    """Of the weights: int8 is quicker, needs `ctranslate2`, and shifts probabilities a little."""
    batch_size: Positive = 64
    """Rows decoded at once; with `ctranslate2` the texts depend on it too."""
    max_attempts_factor: Annotated[float, Field(ge=1)] = 10.0
    """Give up on a label after this many attempts per wanted row."""
    oversample: Annotated[float, Field(ge=1)] = 1.0
    """Write this many clean rows per wanted one and keep those of the highest label ratio."""
    min_label_ratio: Share = 0.0
    """Reject rows below it: the generator's p(text | label) over its sum for all labels."""
    shard_rows: Positive = 1000
    """Kept rows per label in one Parquet shard; the best of an over-generation are chosen in it."""
    keep_rejected: bool = False
    """Write rejected rows into the shards too, marked; the ledger counts them either way."""
    cleaning: CleaningSettings = CleaningSettings()
    """Which rows are rejected."""
    choose: ChoosingSettings = ChoosingSettings()
    """Which clean rows are kept."""

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
        """Names of the settings that do not change the rows; of ctranslate2's even the batch does.

        Its sampler has one stream for all rows of a batch. How a reader would choose means nothing
        where none does.
        """
        by_transformers = self.engine == "transformers" or (
            self.engine == "auto" and self.quantization == "none"
        )
        unused = set() if self.chooses else {"choose"}
        return unused | ({"batch_size"} if by_transformers else set())

    def for_card(self, card: TaskCard) -> SynthesisSettings:
        """With the card's decoding settings where neither preset nor user named another value."""
        theirs = {
            name: value
            for name, value in card.decoding.model_dump(exclude_unset=True).items()
            if name not in self.model_fields_set
        }
        return self.model_copy(update=theirs)


class NoiseSettings(Section):
    """FewGen's care with noisy synthetic rows, temporal ensembling (Meng et al. 2023)."""

    ensembling: bool = False
    """Draw synthetic rows' targets towards the mean of the prompt's own past predictions."""
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    """Of that mean (FewGen: 0.9)."""
    weight: Annotated[float, Field(ge=0)] = 20.0
    """Of the distance to it in the loss (FewGen: 20)."""
    threshold: Share = 0.8
    """Rows whose mean prediction of their own label is lower are left out (FewGen: 0.8)."""


class TuningSettings(Section):
    """Tuning the task's soft prompt on real and synthetic rows, method.md §3."""

    prompt_length: Positive = 100
    """Vectors (Lester et al. 2021: 100)."""
    init: Literal["instruction", "label-words", "vocabulary", "random"] = "label-words"
    """What the prompt starts from (Lester et al.: vocabulary or label words); `instruction` is the
    card's, and far better on causal models (docs/log.md)."""
    optimizer: Literal["adamw", "adafactor"] = "adafactor"
    """(Lester et al.: Adafactor)."""
    learning_rate: Rate = 0.3
    """(Lester et al.: 0.3)."""
    learning_rate_unit: RateUnit = "absolute"
    """`embedding`: the rate is in units of the root mean square of the model's word vectors, which
    differs tenfold between models; it holds for the prompts of all methods."""
    schedule: Literal["constant", "linear", "cosine"] = "constant"
    """(Lester et al.: constant)."""
    warmup_steps: Annotated[int, Field(ge=0)] = 0
    """Steps over which the rate climbs to its full value."""
    weight_decay: Annotated[float, Field(ge=0)] = 1e-5
    """(Lester et al.: 1e-5)."""
    batch_size: Positive = 32
    """Real rows a step (Lester et al.: 32)."""
    synthetic_batch_size: Positive = 32
    """Synthetic rows a step."""
    steps: Positive = 30_000
    """(Lester et al.: 30,000)."""
    epsilon: Annotated[float, Field(ge=0)] = 1.0
    """Weight of the synthetic gradient in p <- p - eta (d_real + epsilon d_syn)."""
    combine: Combine = "surgery"
    """How real and synthetic rows combine (method.md §3)."""
    label_smoothing: Share = 0.0
    """Of the synthetic rows' targets (FewGen: 0.15); the benchmark's `-mixed` methods have none."""
    noise: NoiseSettings = NoiseSettings()
    """How noisy synthetic rows are handled beyond label smoothing."""
    eval_every: Positive = 100
    """Steps between looks at the development shots."""
    patience: Positive | None = None
    """Stop after this many looks without a better one; none is never."""
    max_grad_norm: Rate | None = None
    """Clip an arm's combined gradient to this norm."""
    average_decay: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Score and keep an exponential moving average of the prompt over the steps, with this decay;
    0 keeps the last step's prompt."""
    baseline: bool = True
    """Tune a second prompt on the real shots alone first, to compare with; a reader that chooses
    rows (`synthesis.choose`) is this prompt, and is tuned even without."""
    tokens_per_batch: Positive = 8192
    """Tokens in one forward and backward call, soft prompts and padding included; a step's
    rows go through in several where there are more. Changes speed and memory only."""


class EvaluationSettings(Section):
    """Scoring rows with a prompt."""

    tokens_per_batch: Positive = 8192
    """Tokens scored at once, soft prompts included; changes speed and memory only."""


class TrackingSettings(Section):
    """Where the curves of `dawgen run` go besides its folder; changes no result."""

    to: list[Literal["tensorboard", "wandb", "mlflow"]] = Field(default=[])
    """Trackers, each of which must be installed; none by default."""
    project: str = "dawgen"
    """What the run is filed under there."""


class Settings(Section):
    """The whole tree; a run folder's `config.yaml` is exactly this."""

    seed: Annotated[int, Field(ge=0)] = 13
    """Every random stream of the run comes from it."""
    shots: Positive = 16
    """Rows a label for training, and as many for choosing the checkpoint."""
    on_empty: Literal["error", "skip"] = "error"
    """Rows with an empty text in the files that are learnt from and scored: refuse the file, or
    leave such rows out and say how many."""
    backbone: BackboneSettings = BackboneSettings()
    generator: GeneratorSettings = GeneratorSettings()
    synthesis: SynthesisSettings = SynthesisSettings()
    tuning: TuningSettings = TuningSettings()
    selection: SelectionSettings = SelectionSettings()
    evaluation: EvaluationSettings = EvaluationSettings()
    methods: MethodSettings = MethodSettings()
    tracking: TrackingSettings = TrackingSettings()
