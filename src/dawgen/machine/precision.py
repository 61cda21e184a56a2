"""Which number format a device computes in fastest."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from dawgen.machine.limits import read_text

_CPU_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}
"""As Linux names them on x86 and, the last, on Arm."""


def best_dtype(device: str) -> Literal["fp32", "bf16"]:
    """bf16 where the device has instructions for it, else fp32.

    A processor without them computes bf16 in software: a sentence encoder takes eight times as long
    there as in fp32 (docs/log.md).

    Args:
        device: as ``backbone.device``.
    """
    if device == "cpu":
        return _cpu_dtype()
    import torch  # takes a second, and the command line reads settings without it

    if device == "auto" and not torch.cuda.is_available():
        return _cpu_dtype()
    is_gpu = device == "auto" or device.startswith("cuda")
    return "bf16" if is_gpu and torch.cuda.is_bf16_supported() else "fp32"


def _cpu_dtype(file: Path = Path("/proc/cpuinfo")) -> Literal["fp32", "bf16"]:
    listed = re.search(r"^(?:flags|Features)\s*:(.*)", read_text(file), re.MULTILINE)
    return "bf16" if listed and _CPU_FLAGS & set(listed[1].split()) else "fp32"
