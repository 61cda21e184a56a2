"""Without a download there is a sentence encoder too: that of the embedded backbone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoModelForSeq2SeqLM, AutoTokenizer

from dawgen.backbone.fetch import get_backbone
from dawgen.backbone.registry import KNOWN
from dawgen.selection import encoder as encoding
from dawgen.selection.adapter import read_adapter
from dawgen.selection.cross_encoder import adapter_file, shared_cross_encoder
from dawgen.selection.encoder import SentenceEncoder, encoder_of, with_encoder
from dawgen.selection.packaged import CHANGES, packaged_encoder
from dawgen.selection.parts import Models
from dawgen.selection.select import wanted
from dawgen.serving.models import Shelf
from dawgen.settings import Settings
from dawgen.settings.layers import build_settings
from dawgen.settings.selection import PACKAGED
from dawgen.tasks import load_card

TEXTS = ["A man sleeps on a bench.", "Yes", "Who wrote the first novel of this kind, and when?"]


def settings_with(*overrides: str) -> Settings:
    return build_settings(overrides=list(overrides))[0]


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAWGEN_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def packaged() -> SentenceEncoder:
    return SentenceEncoder("dawgen/tiny", "cpu")


@torch.no_grad()
def test_without_its_changes_it_reads_as_the_backbone_does() -> None:
    place = get_backbone(KNOWN["tiny"])
    tokenizer = AutoTokenizer.from_pretrained(place)
    whole = AutoModelForSeq2SeqLM.from_pretrained(place, dtype=torch.float32).get_encoder().eval()
    bert = packaged_encoder(place, None).eval()
    for text in TEXTS:
        ids = tokenizer(text, return_tensors="pt")["input_ids"]
        expected, found = (model(input_ids=ids).last_hidden_state for model in (whole, bert))
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_its_changes_are_those_of_the_file(packaged: SentenceEncoder) -> None:
    place = get_backbone(KNOWN["tiny"])
    before, after = packaged_encoder(place, None).state_dict(), packaged.model.state_dict()
    changes = read_adapter(CHANGES).changes()
    for name, weight in before.items():
        layer = name.removesuffix(".weight")
        change = torch.from_numpy(changes[layer]) if layer in changes else 0.0
        torch.testing.assert_close(after[name], weight + change)
    assert len(changes) == 36


def test_an_export_of_it_is_opened_by_transformers(
    packaged: SentenceEncoder, tmp_path: Path
) -> None:
    packaged.save(tmp_path)
    again = SentenceEncoder(str(tmp_path), "cpu")
    np.testing.assert_allclose(again(TEXTS), packaged(TEXTS), atol=1e-6)
    assert type(AutoModel.from_pretrained(tmp_path)).__name__ == "BertModel"


def test_texts_that_say_the_same_are_near(packaged: SentenceEncoder) -> None:
    texts = [
        "The goalkeeper saved a penalty in the last minute.",
        "A late spot kick was stopped by the keeper.",
        "Shares of the bank fell after its results.",
        "The lender's stock dropped on weak earnings.",
    ]
    near = packaged(texts) @ packaged(texts).T
    np.fill_diagonal(near, -1.0)
    assert near.argmax(axis=1).tolist() == [1, 0, 3, 2]


@pytest.mark.parametrize(
    ("overrides", "here", "name"),
    [
        ([], False, "dawgen/tiny"),
        ([], True, "dawgen/mpnet"),
        (["selection.candidates=all"], False, "dawgen/mpnet"),
        (["selection.candidates=[embeddings]"], False, "dawgen/mpnet"),
        (["selection.encoder=minilm"], False, "dawgen/minilm"),
        (["selection.encoder=tiny", "selection.candidates=all"], True, "dawgen/tiny"),
    ],
)
def test_which_encoder_is_taken(
    overrides: list[str], here: bool, name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The larger one where it is here, or where somebody asks for what needs it."""
    monkeypatch.setattr(encoding, "cached", lambda known: tmp_path if here else None)
    settings = settings_with(*overrides)
    assert encoder_of(settings.selection) == name
    kept = with_encoder(settings)  # what a run folder says
    monkeypatch.setattr(encoding, "cached", lambda known: None if here else tmp_path)
    assert encoder_of(kept.selection) == name


def test_quick_has_embeddings_without_a_download() -> None:
    quick = settings_with().selection
    assert "tuned-embeddings+states" in wanted(quick, load_card("sst2"))
    pairs = wanted(quick, load_card("sick"))
    assert {"alignment", "embeddings", "cross-encoder", "embeddings+states"} <= set(pairs)
    assert not any("cross-encoder+alignment" in name or "tuned" in name for name in pairs)


def test_pairs_have_changes_of_their_own(packaged: SentenceEncoder) -> None:
    for_pairs = SentenceEncoder(PACKAGED, "cpu", is_pair=True)
    assert for_pairs.fingerprint != packaged.fingerprint
    assert np.abs(for_pairs(TEXTS) - packaged(TEXTS)).max() > 1e-2
    for name, expected in (("sst2", packaged), ("sick", for_pairs)):
        models = Models(load_card(name), with_encoder(settings_with()))
        assert models.encoder.fingerprint == expected.fingerprint
    shelf = Shelf()
    one, two, again = (shelf.encoder(PACKAGED, "cpu", is_pair=pair) for pair in (False, True, True))
    assert one.fingerprint == packaged.fingerprint
    assert two is again
    assert two.fingerprint == for_pairs.fingerprint


def test_its_cross_encoder_reads_both_texts() -> None:
    file = adapter_file(PACKAGED)
    assert file is not None
    packaged = SentenceEncoder(PACKAGED, "cpu", is_pair=True)
    read = shared_cross_encoder(packaged, file)
    first = "A man sleeps on a bench."
    seconds = ["Somebody is asleep.", "A person sleeps outside.", "He is awake.", "Nobody sleeps."]
    vectors = read([(first, second) for second in seconds])
    assert vectors.shape == (4, 2 * packaged.model.config.hidden_size)
    near = vectors @ vectors.T
    assert min(near[0, 1], near[2, 3]) > near[:2, 2:].max()  # by what follows, not by words


def test_quick_of_an_absent_encoder_has_no_embeddings() -> None:
    absent = settings_with("selection.encoder=minilm").selection
    assert not any("embeddings" in name for name in wanted(absent, load_card("sst2")))
