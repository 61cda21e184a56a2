"""The benchmark's arms do the same work, and its table says what was measured."""

from __future__ import annotations

import pytest

from benchmarks.arms import MAKE, Job, Texts
from benchmarks.synthesis import table
from dawgen.decoding import Decoding, Request
from tests.synthesis.helpers import random_prompts


@pytest.mark.parametrize("name", ["tiny_gpt2", "small_t5"])
@pytest.mark.parametrize("arm", MAKE)
def test_every_arm_writes_texts_of_the_given_lengths(name, arm, request):
    if arm in "de":
        pytest.importorskip("ctranslate2")
    backbone = request.getfixturevalue(name)
    requests = [Request(text, i % 2, i) for i, text in enumerate(["a", "the dog runs", "a", "no"])]
    prompts = random_prompts(backbone, 2)
    lengths = [3, 1, 6, 4]
    texts = Texts(backbone, prompts, requests, lengths, Decoding(max_new_tokens=9), forced=True)
    write = MAKE[arm](texts)
    assert write() == write() == sum(lengths)


def test_the_table_holds_medians_as_ratios():
    figures = {"seconds": [2.0, 1.0], "memory_mib": 600.0, "gpu_mib": None}
    found = {
        "a": {**figures, "tokens_per_second": 50.0},
        "b": {**figures, "tokens_per_second": 400.0, "memory_mib": 800.0},
        "c": {**figures, "tokens_per_second": 1200.0, "memory_mib": 1000.0},
        "d": {"failed": "UnsupportedError: not here"},
    }
    lines = table(Job("gpt2-small", "cpu", 128, 64, 20, 13, 2, True), found).splitlines()
    assert (
        "| (c) dawgen, transformers | 1,200 | 24.0 | 3.0 | 2.00 to 1.00 | 1,000 | 1.25 |" in lines
    )
    assert any("UnsupportedError: not here" in line for line in lines)
