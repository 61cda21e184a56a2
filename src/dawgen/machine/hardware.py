"""The hardware and the package versions of a run."""

from __future__ import annotations

import os
import platform
import re
import resource
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from dawgen.machine.limits import read_text

_PACKAGES = (
    "dawgen",
    "torch",
    "transformers",
    "peft",
    "datasets",
    "tokenizers",
    "numpy",
    "safetensors",
    "pyarrow",
    "sentencepiece",
    "pydantic",
    "ctranslate2",
)


def hardware() -> dict[str, object]:
    """Processor, cores and GPU; no host names."""
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    model = re.search(r"^model name\s*:(.*)", read_text(Path("/proc/cpuinfo")), re.MULTILINE)
    processor = model[1].strip() if model else platform.processor() or platform.machine()
    return {
        "processor": processor,
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpu": gpu,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }


def versions() -> dict[str, str]:
    """Installed versions of the packages that results depend on."""
    installed = {}
    for package in _PACKAGES:
        with suppress(PackageNotFoundError):
            installed[package] = version(package)
    return installed


def peak_memory_mib() -> float:
    """Largest resident size of this process so far, in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1024 if platform.system() == "Linux" else 1024 * 1024), 1)
