"""GGUF files as backbones."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch
from gguf import GGMLQuantizationType
from transformers import LlamaForCausalLM

from dawgen.backbone import load_backbone
from dawgen.backbone.gguf import check_gguf, find_gguf
from dawgen.errors import UserError
from dawgen.settings import BackboneSettings
from dawgen.synthesis.provenance import model_licence
from tests.backbone.toys import write_gguf
from tests.invariants.jobs import dawgen, write_job


@pytest.fixture(scope="module")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, LlamaForCausalLM]:
    path = tmp_path_factory.mktemp("gguf") / "tiny.Q8_0.gguf"
    return path, write_gguf(path)


def test_a_gguf_file_is_the_model_it_was_written_from(model_file) -> None:
    path, model = model_file
    backbone = load_backbone(BackboneSettings(path=str(path)))
    ids = torch.tensor([backbone.text_ids("maybe yes no")])
    with torch.no_grad():
        ours = backbone.model(input_ids=ids).logits
        theirs = model(input_ids=ids).logits
    assert (ours - theirs).abs().max() < 0.05 * theirs.abs().max()  # eight bits a weight
    assert backbone.quantization == "Q8_0"
    assert model_licence(str(path)) == "apache-2.0"


def test_a_dequantised_model_is_a_plain_one(model_file, tmp_path: Path) -> None:
    backbone = load_backbone(BackboneSettings(path=str(model_file[0])))
    backbone.model.save_pretrained(tmp_path)
    backbone.tokenizer.save_pretrained(tmp_path)
    assert "quantization_config" not in json.loads((tmp_path / "config.json").read_text())
    again = load_backbone(BackboneSettings(path=str(tmp_path)))
    for name, weight in backbone.model.state_dict().items():
        assert torch.equal(again.model.state_dict()[name], weight)
    assert again.quantization is None
    table = again.model.get_input_embeddings().weight
    assert table.data_ptr() == again.model.get_output_embeddings().weight.data_ptr()


def test_the_tokenizer_of_a_gguf_file_is_the_models_own(model_file) -> None:
    tokenizer = load_backbone(BackboneSettings(path=str(model_file[0]))).tokenizer
    assert (tokenizer.bos_token, tokenizer.eos_token) == ("<|start|>", "<|end|>")
    text = "maybe  12 <|end|>é"
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text
    shown = tokenizer.apply_chat_template([{"role": "user", "content": "yes"}], tokenize=False)
    assert shown == "<|start|>yes<|end|>"
    # digits stand alone, so the space before one is never part of it
    assert tokenizer.tokenize("a  1 1")[1:] == ["ĠĠ", "1", "Ġ", "1"]


def test_digits_are_split_only_where_the_file_says_so(tmp_path: Path) -> None:
    write_gguf(tmp_path / "a.gguf", pre="gpt-2")
    tokenizer = load_backbone(BackboneSettings(path=str(tmp_path))).tokenizer
    assert tokenizer.tokenize("a 1") == ["a", "Ġ1"]


def test_an_unknown_way_of_splitting_is_warned_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_gguf(tmp_path / "a.gguf", pre="of-tomorrow")
    load_backbone(BackboneSettings(path=str(tmp_path)))
    assert "'of-tomorrow'" in capsys.readouterr().err


def test_a_folder_with_one_gguf_file_is_that_file(model_file) -> None:
    path = model_file[0]
    settings = [BackboneSettings(path=str(place)) for place in (path, path.parent)]
    first, second = (load_backbone(each).fingerprint for each in settings)
    assert first == second


def test_a_folder_with_several_gguf_files_is_refused(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / f"{name}.gguf").touch()
    with pytest.raises(UserError, match="has 2 GGUF files"):
        load_backbone(BackboneSettings(path=str(tmp_path)))


def test_safetensors_come_before_a_gguf_file_beside_them(tmp_path: Path) -> None:
    (tmp_path / "a.gguf").touch()
    (tmp_path / "config.json").touch()
    assert find_gguf(tmp_path) is None


@pytest.mark.parametrize("path", ["missing.gguf", "./missing.gguf"])
def test_a_missing_file_is_named(path: str) -> None:
    with pytest.raises(UserError, match=r"There is no model file .*missing\.gguf"):
        load_backbone(BackboneSettings(path=path))


def test_an_unknown_architecture_is_refused(tmp_path: Path) -> None:
    write_gguf(tmp_path / "a.gguf", architecture="clip")
    with pytest.raises(UserError, match="architecture 'clip'"):
        load_backbone(BackboneSettings(path=str(tmp_path)))


def test_an_unknown_quantisation_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.gguf"
    write_gguf(path)
    content = bytearray(path.read_bytes())
    at = content.index(b"token_embd.weight") + len(b"token_embd.weight") + 4 + 2 * 8
    assert content[at] == GGMLQuantizationType.Q8_0
    content[at] = GGMLQuantizationType.Q8_1  # of sums only; nobody stores weights in it
    path.write_bytes(content)
    with pytest.raises(UserError, match="weights of type Q8_1"):
        load_backbone(BackboneSettings(path=str(tmp_path)))
    content[at] = 99
    path.write_bytes(content)
    with pytest.raises(UserError, match="weights of type 99"):
        load_backbone(BackboneSettings(path=str(tmp_path)))


@pytest.mark.parametrize("share", [0.01, 0.3, 0.9, 0.999])
def test_a_cut_file_is_refused(model_file, tmp_path: Path, share: float) -> None:
    content = model_file[0].read_bytes()
    (tmp_path / "cut.gguf").write_bytes(content[: int(share * len(content))])
    with pytest.raises(UserError, match="is cut off or damaged"):
        check_gguf(tmp_path / "cut.gguf")


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"", "cut off"), (b"PK\3\4" * 9, "no GGUF file"), (b"GGUF" + b"\1\0\0\0" * 9, "version 1")],
)
def test_another_format_is_refused(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "other.gguf").write_bytes(content)
    with pytest.raises(UserError, match=words):
        check_gguf(tmp_path / "other.gguf")


def test_a_run_names_the_quantisation_in_its_record_and_report(model_file, tmp_path: Path) -> None:
    job = write_job(tmp_path, model_file[0])
    small: dict[str, object] = {"generator__epochs": 1, "tuning__steps": 2}
    small |= {"synthesis__cleaning__skip": "[cut off, broken text, too short, other script]"}
    small |= {"backbone__dtype": "fp32"}  # auto is bf16 where the processor has it
    outcome = job.run(tmp_path / "run", **small)
    assert outcome.code == 0, outcome.err
    record = json.loads((tmp_path / "run" / "run.json").read_text())["backbone"]
    assert (record["quantization"], record["dtype"]) == ("Q8_0", "fp32")
    page = (tmp_path / "run" / "report.html").read_text()
    assert re.search(r"quantization</th><td>Q8_0</td>", page)
    export = dawgen("export", tmp_path / "run", "--to", "peft", "--out", tmp_path / "export")
    assert export.code == 0, export.err
    assert not (tmp_path / "export" / "base").exists()
    assert "base_model: " not in (tmp_path / "export" / "README.md").read_text()
