"""SPoT: a prompt trained on a large source task starts the target's (Vu et al. 2022).

As published: prompt tuning on the source (rate 0.3, batch 32) through the source's own template
and label words; the best checkpoint on source rows kept from training starts the target's
prompt, which then trains as any other. The source's labels need not be the target's. One
source prompt serves all seeds: its own seed is fixed.

Ours, where we differ: the kept rows are at most a fifth of the source's; optimiser, weight
decay and start are those of ``settings.tuning``; the loss is over the label words instead of
the whole vocabulary.
"""

from __future__ import annotations

from torch import Tensor

from dawgen.backbone import Backbone
from dawgen.errors import UserError
from dawgen.methods.base import Task
from dawgen.methods.prompted import PromptJob, at_constant_rate, on_real_rows
from dawgen.methods.stored import Trained, stored_prompt
from dawgen.methods.transfer import labelled_rows
from dawgen.settings import Settings
from dawgen.streams import Streams
from dawgen.tasks import Row, Shots
from dawgen.tasks.job import rows_hash
from dawgen.tuning import Arm, fit_prompts

SEED = 13  # of the source prompt, whatever the task's seed: one prompt serves them all


def prepare(
    task: Task, shots: Shots, backbone: Backbone, settings: Settings, streams: Streams
) -> PromptJob:
    """The few shots, started from the stored source prompt.

    Raises:
        UserError: no source, source rows that are too few or unlabelled, or a loss that is
            not finite.
    """
    start = source_prompt(task, backbone, settings)
    return on_real_rows("spot", shots, settings.tuning, streams, start)


def source_prompt(task: Task, backbone: Backbone, settings: Settings) -> Tensor:
    """The source's prompt [P,H], from ``task.folder``; made where it is not there yet."""
    source = task.needed_source("SPoT")
    rows = labelled_rows(source, "SPoT")
    spot = settings.methods.spot
    tuning = at_constant_rate(
        settings.tuning,
        learning_rate=spot.learning_rate,
        batch_size=spot.batch_size,
        steps=spot.steps,
        patience=None,
    )
    card = source.card
    shared = {"prompt_length", "init", "optimizer", "weight_decay", "eval_every", "max_grad_norm"}
    inputs = {
        "backbone": backbone.fingerprint,
        "max_length": backbone.max_length,
        "card": card.model_dump(mode="json", include={"name", "labels", "template", "label_words"}),
        "rows": rows_hash(rows),
        "spot": spot.model_dump(mode="json"),
        "tuning": tuning.model_dump(mode="json", include=shared),
        "seed": SEED,
    }

    def train() -> Trained:
        train_rows, dev_rows = split(rows, spot.dev_rows, card.name)
        arm = Arm("source", SEED, "real", learning_rate=tuning.learning_rate)
        (tuned,) = fit_prompts(card, [arm], train_rows, dev_rows, [], backbone, tuning)
        return tuned.prompt, tuned.history

    return stored_prompt(task.folder / "spot", inputs, backbone, train)


def split(rows: list[Row], dev_rows: int, name: str) -> tuple[list[Row], list[Row]]:
    """Rows to train on and rows to choose the checkpoint by, a fifth of all at most."""
    kept = min(dev_rows, len(rows) // 5)
    if not kept:
        raise UserError(
            f"SPoT keeps a fifth of the source's rows to choose the prompt by, and {name} has "
            f"only {len(rows)}; give five at least."
        )
    order = Streams(SEED).numpy("spot", "split").permutation(len(rows)).tolist()
    return [rows[i] for i in order[kept:]], [rows[i] for i in order[:kept]]
