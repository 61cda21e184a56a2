"""Which number format a device computes in fastest."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from dawgen.machine.limits import read_text

_FAST = {"amx_bf16", "bf16"}
"""Instructions by which bf16 is faster than fp32, as Linux names them on x86 and on Arm."""
_FAST_UNLESS_INTEL = "avx512_bf16"
"""Intel's processors compute it slower than fp32: SmolLM2's tuning steps take 1.8 times as long on
a Xeon of model 207, writing 2.8 times (docs/log.md). Those that are fast have amx_bf16 too, unless
a virtual machine hides it."""


def best_dtype(device: str) -> Literal["fp32", "bf16"]:
    """bf16 where the device has instructions that are faster than fp32's, else fp32.

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
    text = read_text(file)
    listed = re.search(r"^(?:flags|Features)\s*:(.*)", text, re.MULTILINE)
    flags = set(listed[1].split()) if listed else set()
    is_intel = re.search(r"^vendor_id\s*:\s*GenuineIntel", text, re.MULTILINE) is not None
    fast = flags & _FAST or (_FAST_UNLESS_INTEL in flags and not is_intel)
    return "bf16" if fast else "fp32"
