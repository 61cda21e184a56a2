"""Prompts on disk: PEFT's format, deterministic, and clear about what is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from peft import PeftModel, PrefixTuningConfig, PromptTuningConfig, get_peft_model
from safetensors.torch import load_file, save_file

from dawgen.backbone import Backbone
from dawgen.errors import UserError
from dawgen.prompts import load_label_prompts, load_prompt, save_label_prompts, save_prompt
from dawgen.tasks import Row, load_card

ROWS = [
    Row("a man is in the park", "a man is outside", "entailment"),
    Row("two children play", "the dog sleeps in the old house near a field", "neutral"),
    Row("it was good", "it was bad", "contradiction"),
]


def random_prompt(backbone: Backbone, length: int = 5, seed: int = 0) -> torch.Tensor:
    stream = torch.Generator().manual_seed(seed)
    return torch.randn(length, backbone.hidden_size, generator=stream)


@pytest.fixture(params=["tiny_t5", "tiny_gpt2", "tiny_bart"])
def backbone(request) -> Backbone:
    return request.getfixturevalue(request.param)


def peft_label_scores(peft, backbone: Backbone, rows, label_words) -> torch.Tensor:
    """log p(label) [B, C] by PEFT's own forward over the whole vocabulary."""
    scores = []
    for ids in rows:
        inputs = torch.tensor([ids])
        extra = {}
        if backbone.is_encoder_decoder:
            extra["decoder_input_ids"] = torch.tensor([backbone.decoder_start])
        with torch.no_grad():
            logits = peft(input_ids=inputs, attention_mask=torch.ones_like(inputs), **extra).logits
        scores.append(logits[0, -1, [word[0] for word in label_words]])
    return torch.log_softmax(torch.stack(scores), dim=-1)


def test_peft_gives_the_same_label_scores(backbone, tmp_path):
    card = load_card("sick").model_copy(
        update={"label_words": {"entailment": "yes", "neutral": "great", "contradiction": "no"}}
    )
    words = backbone.label_word_ids(card)
    assert all(len(word) == 1 for word in words)
    rows = backbone.encode_rows(card, ROWS, 5)
    prompt = random_prompt(backbone)
    with torch.no_grad():
        ours = backbone.label_scores(prompt.expand(3, -1, -1), rows, words)
        bare = backbone.label_scores(None, rows, words)

    save_prompt(prompt, tmp_path, backbone)
    peft = PeftModel.from_pretrained(backbone.model, str(tmp_path))
    theirs = peft_label_scores(peft, backbone, rows, words)

    torch.testing.assert_close(torch.log_softmax(ours, -1), theirs, atol=1e-5, rtol=0)
    assert (torch.log_softmax(bare, -1) - theirs).abs().max() > 1e-2  # the prompt matters here


def test_save_and_load_are_inverse(backbone, tmp_path):
    prompt = random_prompt(backbone)
    save_prompt(prompt, tmp_path / "prompt", backbone)
    assert torch.equal(load_prompt(tmp_path / "prompt", backbone), prompt)


def test_the_folder_holds_the_prompt_and_no_model(backbone, tmp_path):
    save_prompt(random_prompt(backbone), tmp_path, backbone)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "adapter_config.json",
        "adapter_model.safetensors",
    ]
    tensors = load_file(tmp_path / "adapter_model.safetensors")
    assert {name: list(t.shape) for name, t in tensors.items()} == {"prompt_embeddings": [5, 32]}
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    assert config["peft_type"] == "PROMPT_TUNING"
    assert config["num_transformer_submodules"] == 1
    assert config["task_type"] == ("SEQ_2_SEQ_LM" if backbone.is_encoder_decoder else "CAUSAL_LM")
    assert config["base_model_name_or_path"] == backbone.name


def test_equal_prompts_give_equal_bytes(tiny_bart, tmp_path):
    for name in ("a", "b"):
        save_prompt(random_prompt(tiny_bart), tmp_path / name, tiny_bart)
    for file in ("adapter_config.json", "adapter_model.safetensors"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_saving_over_an_older_prompt_leaves_other_files(tiny_bart, tmp_path):
    save_prompt(random_prompt(tiny_bart, seed=1), tmp_path, tiny_bart)
    (tmp_path / "log.jsonl").write_text("{}\n")
    save_prompt(random_prompt(tiny_bart, length=3, seed=2), tmp_path, tiny_bart)
    assert torch.equal(load_prompt(tmp_path), random_prompt(tiny_bart, length=3, seed=2))
    assert (tmp_path / "log.jsonl").read_text() == "{}\n"


def test_a_stop_between_the_files_leaves_no_adapter(tiny_bart, tmp_path, monkeypatch):
    save_prompt(random_prompt(tiny_bart), tmp_path, tiny_bart)

    def stop(*_args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("dawgen.prompts.store._config", stop)
    with pytest.raises(KeyboardInterrupt):
        save_prompt(random_prompt(tiny_bart, seed=9), tmp_path, tiny_bart)
    with pytest.raises(UserError, match=r"no adapter_config\.json"):
        load_prompt(tmp_path)


def test_a_bf16_prompt_is_kept_in_fp32(tiny_bart, tmp_path):
    save_prompt(random_prompt(tiny_bart).to(torch.bfloat16), tmp_path, tiny_bart)
    assert load_prompt(tmp_path).dtype == torch.float32


def test_pefts_two_submodule_adapter_is_read_as_peft_reads_it(tiny_t5, tmp_path):
    config = PromptTuningConfig(task_type="SEQ_2_SEQ_LM", num_virtual_tokens=4)
    peft = get_peft_model(tiny_t5.model, config)
    peft.save_pretrained(str(tmp_path))
    stored = load_file(tmp_path / "adapter_model.safetensors")["prompt_embeddings"]
    assert stored.shape == (8, 32)
    assert torch.equal(load_prompt(tmp_path), stored[:4])


def test_label_prompts_come_back_in_the_order_of_the_labels(tiny_bart, tmp_path):
    prompts = torch.stack([random_prompt(tiny_bart, seed=s) for s in range(3)])
    labels = ["yes", "not/so", ".."]
    save_label_prompts(prompts, labels, tmp_path / "q", tiny_bart)
    assert torch.equal(load_label_prompts(tmp_path / "q", labels), prompts)
    assert torch.equal(load_label_prompts(tmp_path / "q", labels[::-1]), prompts.flip(0))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["q"]  # ".." stayed inside
    assert len(list((tmp_path / "q").iterdir())) == 3


def test_label_prompts_of_different_lengths_are_refused(tiny_bart, tmp_path):
    save_prompt(random_prompt(tiny_bart, 2), tmp_path / "a", tiny_bart)
    save_prompt(random_prompt(tiny_bart, 3), tmp_path / "b", tiny_bart)
    with pytest.raises(UserError, match=r"a: \[2, 32\], b: \[3, 32\]"):
        load_label_prompts(tmp_path, ["a", "b"])


def test_a_prompt_of_another_width_is_not_saved(tiny_bart, tmp_path):
    with pytest.raises(ValueError, match=r"\[P, 32\]"):
        save_prompt(torch.zeros(4, 16), tmp_path / "p", tiny_bart)
    assert not (tmp_path / "p").exists()


class TestWhatIsNotAPrompt:
    """Each one sentence that names what was found."""

    def test_no_folder(self, tmp_path):
        with pytest.raises(UserError, match="no such folder"):
            load_prompt(tmp_path / "nowhere")

    def test_a_folder_of_something_else(self, tmp_path):
        (tmp_path / "notes.txt").write_text("hello")
        with pytest.raises(UserError, match=r"no adapter_config\.json \(it holds notes\.txt\)"):
            load_prompt(tmp_path)

    def test_another_models_width(self, tiny_bart, tmp_path):
        save_prompt(random_prompt(tiny_bart), tmp_path, tiny_bart)
        wider = SimpleNamespace(hidden_size=1024, name="tests/bart")
        with pytest.raises(UserError, match=r"hidden size 32 \(made for tests/bart\).*has 1024"):
            load_prompt(tmp_path, wider)

    def test_another_model_of_the_same_width_is_warned_of(self, tiny_bart, tmp_path, capsys):
        save_prompt(random_prompt(tiny_bart), tmp_path, tiny_bart)
        load_prompt(tmp_path, tiny_bart)
        assert capsys.readouterr().err == ""
        load_prompt(tmp_path, SimpleNamespace(hidden_size=32, name="models/another"))
        assert "was tuned on tests/bart, the backbone is models/another" in capsys.readouterr().err

    def test_another_kind_of_adapter(self, tiny_t5, tmp_path):
        PrefixTuningConfig(task_type="SEQ_2_SEQ_LM").save_pretrained(str(tmp_path))
        with pytest.raises(UserError, match="of type PREFIX_TUNING"):
            load_prompt(tmp_path)

    def test_broken_json(self, tmp_path: Path):
        (tmp_path / "adapter_config.json").write_text("{")
        with pytest.raises(UserError, match="this is not JSON"):
            load_prompt(tmp_path)

    def test_no_weights(self, tiny_bart, tmp_path):
        save_prompt(random_prompt(tiny_bart), tmp_path, tiny_bart)
        (tmp_path / "adapter_model.safetensors").rename(tmp_path / "adapter_model.bin")
        with pytest.raises(UserError, match=r"holds adapter_config\.json, adapter_model\.bin"):
            load_prompt(tmp_path)

    def test_weights_cut_off(self, tiny_bart, tmp_path):
        save_prompt(random_prompt(tiny_bart), tmp_path, tiny_bart)
        path = tmp_path / "adapter_model.safetensors"
        path.write_bytes(path.read_bytes()[:100])
        with pytest.raises(UserError, match="cannot be read as safetensors"):
            load_prompt(tmp_path)

    def test_weights_of_something_else(self, tiny_bart, tmp_path):
        save_prompt(random_prompt(tiny_bart), tmp_path, tiny_bart)
        save_file({"lora_A": torch.zeros(2)}, tmp_path / "adapter_model.safetensors")
        with pytest.raises(UserError, match="holds lora_A, not prompt_embeddings"):
            load_prompt(tmp_path)

    def test_fewer_vectors_than_the_configuration_says(self, tiny_bart, tmp_path):
        save_prompt(random_prompt(tiny_bart), tmp_path, tiny_bart)
        save_file({"prompt_embeddings": torch.zeros(2, 32)}, tmp_path / "adapter_model.safetensors")
        with pytest.raises(UserError, match="5 prompt tokens"):
            load_prompt(tmp_path)
