"""Which number format a device gets where the settings leave it open."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from dawgen.machine import precision
from dawgen.settings import BackboneSettings
from dawgen.settings.layers import build_settings, dump_settings

INTEL = "processor : 0\nvendor_id\t: GenuineIntel\nflags\t\t: fpu avx2 {}\n"
X86 = "processor : 0\nvendor_id\t: AuthenticAMD\nflags\t\t: fpu avx2 {}\n\nprocessor : 1\n"


@pytest.mark.parametrize(
    ("text", "dtype"),
    [
        (X86.format("avx512f avx512_bf16"), "bf16"),
        (X86.format("amx_bf16 amx_tile"), "bf16"),
        (INTEL.format("avx512_bf16 amx_bf16"), "bf16"),
        (INTEL.format("avx512f avx512_bf16"), "fp32"),
        (X86.format("avx512f"), "fp32"),
        ("Features\t: fp asimd bf16 i8mm\n", "bf16"),
        ("Features\t: fp asimd\n", "fp32"),
        ("model name : bf16\n", "fp32"),
        ("", "fp32"),
    ],
)
def test_a_processor_computes_bf16_if_its_instructions_are_faster(
    text: str, dtype: str, tmp_path: Path
) -> None:
    (tmp_path / "cpuinfo").write_text(text)
    assert precision._cpu_dtype(tmp_path / "cpuinfo") == dtype
    assert precision._cpu_dtype(tmp_path / "none") == "fp32"


@pytest.mark.parametrize(("here", "dtype"), [(True, "bf16"), (False, "fp32")])
def test_a_gpu_is_asked(here: bool, dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: here)
    assert {precision.best_dtype(name) for name in ("auto", "cuda", "cuda:1")} == {dtype}
    assert precision.best_dtype("meta") == "fp32"


def test_a_run_keeps_what_was_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """On another machine it is read with the same weights."""
    monkeypatch.setattr("dawgen.settings.tree.best_dtype", lambda device: "bf16")
    assert BackboneSettings(dtype="auto").dtype == "bf16"
    settings, _ = build_settings(preset="smollm2")
    assert "dtype: bf16" in dump_settings(settings)
    assert BackboneSettings().dtype == "fp32"
    assert build_settings(preset="smollm2", overrides=["backbone.dtype=fp32"])[
        0
    ].backbone.dtype == ("fp32")
