"""PEFT's prompt tuning, used plainly, and the rows and prompts that all arms share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from peft import PromptTuningConfig, TaskType, get_peft_model
from torch import Tensor

from benchmarks.measure import Job
from benchmarks.models import load
from dawgen.backbone import Backbone
from dawgen.backbone.linear import relax
from dawgen.prompts import cycle_tokens
from dawgen.settings.layers import build_settings
from dawgen.tasks import Row, TaskCard, load_card, load_rows, packaged_data
from dawgen.tuning.rows import EncodedRows, encode

PADDED = 128
"""What the published configurations pad to."""


@dataclass(frozen=True)
class Setting:
    """A backbone with encoded rows of the demo task (SNLI), and a prompt's start [P,H]."""

    backbone: Backbone
    card: TaskCard
    rows: list[Row]
    encoded: EncodedRows
    words: list[list[int]]
    start: Tensor
    real: int
    synthetic: int


def prepare(job: Job) -> Setting:
    """Prompt length and batch sizes of the shipped backbone's preset, or the published ones."""
    preset = "tiny" if job.device == "cpu" else "t5-large"
    tuning = build_settings(preset=preset)[0].tuning
    backbone = load(job.model, job.device, job.seed)
    card = load_card("demo")
    data = packaged_data(card)
    test = load_rows(card, data["test"], split="test")
    rows = [test[i % len(test)] for i in range(max(job.rows, 512))]
    words = backbone.label_word_ids(card)
    ids = cycle_tokens([token for word in words for token in word], tuning.prompt_length)
    start = backbone.embed(torch.tensor(ids, device=backbone.device)).detach().float()
    encoded = encode(card, rows, backbone, tuning.prompt_length)
    sizes = tuning.batch_size, tuning.synthetic_batch_size
    return Setting(backbone, card, rows, encoded, words, start, *sizes)


def peft_model(setting: Setting) -> Any:
    """PEFT's prompt tuning of the same model and start."""
    relax(setting.backbone.model)
    config = PromptTuningConfig(
        task_type=TaskType.SEQ_2_SEQ_LM,
        num_virtual_tokens=setting.start.shape[0],
        num_transformer_submodules=1,
        token_dim=setting.backbone.hidden_size,
    )
    model: Any = get_peft_model(setting.backbone.model, config)
    with torch.no_grad():
        model.prompt_encoder["default"].embedding.weight.copy_(setting.start)
    return model.to(setting.backbone.device)


def peft_batch(setting: Setting, rows: list[int], width: int | None) -> dict[str, Tensor]:
    """Inputs padded to ``width`` or their longest; labels are the label word and the end mark."""
    ids = [setting.encoded.ids[row] for row in rows]
    ids = [row[:width] for row in ids]
    longest = width or max(len(row) for row in ids)
    tokens = torch.zeros(len(ids), longest, dtype=torch.long)
    mask = torch.zeros(len(ids), longest, dtype=torch.long)
    for i, row in enumerate(ids):
        tokens[i, : len(row)], mask[i, : len(row)] = torch.tensor(row), 1
    chosen = setting.encoded.targets[rows].argmax(1).tolist()
    words = [[*setting.words[label], setting.backbone.end_id] for label in chosen]
    batch = {"input_ids": tokens, "attention_mask": mask, "labels": torch.tensor(words)}
    return {name: value.to(setting.backbone.device) for name, value in batch.items()}
