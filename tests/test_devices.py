"""Every stage keeps its tensors on the backbone's device: a run on a GPU that is none."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from dawgen.backbone import Backbone
from dawgen.settings.cleaning import RuleName
from tests.invariants.conftest import model_folder
from tests.invariants.jobs import SmallJob, write_job
from tests.selection.conftest import encoder_folder

__all__ = ["encoder_folder", "model_folder"]
ROOT = Path(__file__).resolve().parents[1]


def on_gpu(*arguments: object, code: str | None = None) -> subprocess.CompletedProcess[str]:
    """The command line, or some lines of Python, where cuda:0 is pretended."""
    what = ["-m", "tests.pretended_gpu", *map(str, arguments)] if code is None else ["-c", code]
    environment = os.environ | {"PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}
    return subprocess.run(
        [sys.executable, *what], cwd=ROOT, env=environment, capture_output=True, text=True
    )


def run(job: SmallJob, encoder: Path) -> None:
    """A run with all candidates succeeds on either device, and zero-shot is as accurate.

    What is tuned or drawn differs: on a GPU rows are padded and read in other batches.
    """
    job.settings.update(
        {
            "selection.candidates": "all",
            "selection.encoder": encoder,
            "synthesis.engine": "transformers",
            "synthesis.choose.by": "none",
            "synthesis.cleaning.skip": json.dumps(get_args(RuleName)),  # a random model writes any
            "synthesis.max_attempts_factor": 4,
            "backbone.dtype": "fp32",
        }
    )
    here, there = job.folder / "here", job.folder / "there"
    assert job.run(here).code == 0
    arguments = [*job.arguments(backbone__device="cuda:0"), "--test", job.data("test")]
    outcome = on_gpu("run", job.card, *arguments, "--out", there)
    assert outcome.returncode == 0, outcome.stderr
    found, expected = (
        json.loads((folder / "scores.json").read_text("utf-8")) for folder in (there, here)
    )
    names = [each["name"] for each in expected["candidates"]]
    assert [each["name"] for each in found["candidates"]] == names
    assert {"embeddings+written", "zero-shot", "prompt", "noisy-channel"} <= set(names)
    zero = [scores["zero_shot"]["accuracy"] for scores in (found, expected)]
    assert zero[0] == pytest.approx(zero[1])


@pytest.mark.slow
def test_a_run_of_a_sequence_to_sequence_model(
    tmp_path: Path, model_folder: Path, encoder_folder: Path
) -> None:
    run(write_job(tmp_path, model_folder), encoder_folder)


@pytest.mark.slow
def test_a_run_of_a_causal_model(
    tmp_path: Path, tiny_llama: Backbone, encoder_folder: Path
) -> None:
    folder = tmp_path / "llama"
    tiny_llama.model.save_pretrained(folder)
    tiny_llama.tokenizer.save_pretrained(folder)
    run(write_job(tmp_path, folder), encoder_folder)


def test_tensors_of_two_places_do_not_mix() -> None:
    """The two tests above can fail."""
    lines = [
        "from tests.pretended_gpu import pretend",
        "import torch",
        "with pretend():",
        "    x = torch.ones(3, device='cuda:0')",
        "    assert (x + x).cpu().tolist() == [2, 2, 2]",
        "    for wrong in (lambda: x + torch.ones(3), x.numpy):",
        "        try:",
        "            wrong()",
        "        except (RuntimeError, TypeError):",
        "            print('refused')",
    ]
    outcome = on_gpu(code="\n".join(lines))
    assert outcome.stdout.split() == ["refused", "refused"], outcome.stderr
