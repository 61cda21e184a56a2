"""Secrets are taken out of what is written and shown, and only they."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
import yaml

from dawgen.pipeline.tracking import _flat
from dawgen.settings.layers import build_settings, dump_settings
from dawgen.storage.seals import read_seal, set_seal
from dawgen.terminal.harmless import hide_secrets, without_secrets

HUB = "hf_" + "Q" * 34
OAUTH = "hf_oauth_eyJhbGciOiJFZERTQSJ9.eyJzdWIi-_x.c2lnbmF0dXJl"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"with {HUB}, it", "with ***, it"),
        (f"with {OAUTH} it", "with *** it"),
        (f"Authorization: Bearer {'x' * 9}", "Authorization: Bearer ***"),
        (f"oauth2 {'gho_' + 'Q' * 36}", "oauth2 ***"),
        ("https://me:pw@hub/x", "https://***@hub/x"),
        ("https://TOKEN@hub/x", "https://***@hub/x"),
        ("https://me:p/w@hub/x", "https://***@hub/x"),
        ("https://me:p@w@hub:80/x", "https://***@hub:80/x"),
        ("https://me:p/@/w?#@hub/x", "https://***@hub/x"),
        ("at 'mlflow+https://me:p'w@hub/', now", "at 'mlflow+https://***@hub/', now"),
        ("https://hub/x?token=a/b&rows=3", "https://hub/x?token=***&rows=3"),
        ("https://hub/x?rows=3&access_token=ab#c", "https://hub/x?rows=3&access_token=***#c"),
        ("https://hub/x?X-Amz-Signature=ab&sig=c", "https://hub/x?X-Amz-Signature=***&sig=***"),
        ("-s HF_TOKEN=ab", "-s HF_TOKEN=***"),
    ],
)
def test_a_secret_is_hidden(text: str, shown: str) -> None:
    assert without_secrets(text) == shown
    assert without_secrets(shown) == shown
    assert hide_secrets({"a": [text, 3, None], text: 1}) == {"a": [shown, 3, None], shown: 1}


@pytest.mark.parametrize(
    "text",
    [
        "tuning.tokens_per_batch=8192 synthesis.max_new_tokens=50",
        "https://cdn.org/package@1.2/x and me@hub.org",
        "http://localhost:5000/runs?key_figures=3",
        "hub:me/rows@train",
        "exports/hf_sentiment_classifier_of_reviews",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert without_secrets(text) == text


def test_endless_text_takes_no_endless_time() -> None:
    started = time.process_time()
    for text in ("a-" * 20_000, "://x:" * 10_000, "https://a:" + "b" * 100_000, "eyJ" * 30_000):
        without_secrets(text)
    assert time.process_time() - started < 10


def test_settings_are_written_and_sent_without_secrets(tmp_path: Path) -> None:
    """Also where YAML would break a long value into lines."""
    address = f"https://me:{'p/w@ ü' * 9}{HUB}@hub/x?token={'a' * 200}".replace(" ", "")
    settings, _ = build_settings(overrides=[f"tracking.project={json.dumps(address)}"])
    assert settings.tracking.project == address
    tree = yaml.safe_load(dump_settings(settings))
    assert tree["tracking"]["project"] == "https://***@hub/x?token=***"
    assert _flat(settings)["tracking.project"] == "https://***@hub/x?token=***"
    set_seal(tmp_path, "mark", {"tracking": settings.tracking.model_dump(mode="json")})
    seal = read_seal(tmp_path)
    assert seal is not None
    assert (seal.mark, seal.damage) == ("mark", None)
    assert seal.inputs["tracking"]["project"] == "https://***@hub/x?token=***"
