"""A random sentence encoder of a few units, saved as all-MiniLM-L6-v2 is."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import torch
from transformers import BertConfig, BertModel

from tests.conftest import word_tokenizer


@pytest.fixture(scope="session")
def encoder_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a BERT of 16 units that reads 12 tokens."""
    folder = tmp_path_factory.mktemp("encoder")
    tokenizer = word_tokenizer()
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=32,
        pad_token_id=0,
        initializer_range=0.5,
    )
    BertModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 12}))
    return folder


@pytest.fixture(scope="session")
def cross_folder(encoder_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, with random changes of its upper layer that make a cross-encoder of it."""
    folder = shutil.copytree(encoder_folder, tmp_path_factory.mktemp("cross") / "encoder")
    made = np.random.default_rng(1)
    model = BertModel.from_pretrained(folder)
    numbers = {}
    for name, layer in model.named_modules():
        if isinstance(layer, torch.nn.Linear) and name.startswith("encoder.layer.1."):
            numbers[f"down.{name}"] = made.normal(size=(2, layer.in_features))
            numbers[f"up.{name}"] = made.normal(size=(layer.out_features, 2))
    halves = {name: each.astype(np.float16) for name, each in numbers.items()}
    safetensors.numpy.save_file(halves, folder / "cross_encoder.safetensors")
    return folder
