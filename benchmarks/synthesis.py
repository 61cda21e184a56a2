"""Tokens a second of five ways to write synthetic rows, and their memory, in one run.

    python -m benchmarks.synthesis --out benchmarks/results/synthesis
    python -m benchmarks.synthesis --models t5-small --threads 1 --rows 96
    python -m benchmarks.synthesis --device cuda --big --rows 512 --batch-size 512

Every arm is a process of its own, so that its memory is its own; they stay alive and are asked
in turn, one repeat each, so that what else the machine does meets them all. Random models' texts
end at lengths drawn from the demo task's, the same for all arms.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch

from benchmarks.arms import ARMS, Job, serve
from benchmarks.models import SHAPES
from dawgen.machine.hardware import hardware, versions
from dawgen.settings import GeneratorSettings, SynthesisSettings
from dawgen.settings.layers import build_settings

PRESETS = {"shipped": "tiny", "smollm2": "smollm2"}


def measure(job: Job, arms: str, repeats: int) -> dict[str, dict[str, Any]]:
    """Figures of each arm: its repeats' seconds and tokens, peak memory; or why there are none."""
    context = get_context("spawn")
    lines, found = {}, {}
    for arm in arms:
        line, end = context.Pipe()
        process = context.Process(target=serve, args=(arm, job, end), daemon=True)
        process.start()
        word, note = line.recv()
        if word == "failed":
            found[arm] = {"failed": note}
        else:
            lines[arm] = (line, process)
            found[arm] = {"seconds": [], "cpu_seconds": [], "tokens": []}
    for _ in range(repeats):
        for arm, (line, _process) in lines.items():
            line.send(True)
            for name, figure in zip(("tokens", "seconds", "cpu_seconds"), line.recv(), strict=True):
                found[arm][name].append(figure)
    for arm, (line, process) in lines.items():
        line.send(False)
        found[arm].update(line.recv())
        process.join()
        rates = [n / s for n, s in zip(found[arm]["tokens"], found[arm]["seconds"], strict=True)]
        found[arm]["tokens_per_second"] = statistics.median(rates)
    return found


def table(job: Job, found: dict[str, dict[str, Any]]) -> str:
    """One model's figures in Markdown."""
    turns = f" and {job.turns} few shots in context" if job.turns else ""
    lines = [
        f"### {SHAPES[job.model]}\n",
        f"{job.rows} rows, in (c) to (e) {job.batch_size} at once; label prompts of "
        f"{job.prompt_length} vectors{turns}; {job.device}, {job.threads} threads, "
        f"seed {job.seed}.\n",
        "| | tokens/s | × (a) | × (b) | slowest to quickest repeat, s | peak memory, MiB | × (b) |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for arm, name in ARMS.items():
        if arm not in found:
            continue
        figures = found[arm]
        if "failed" in figures:
            lines.append(f"| ({arm}) {name} | {figures['failed']} | | | | | |")
            continue
        rate, memory = figures["tokens_per_second"], figures["gpu_mib"] or figures["memory_mib"]
        base = found.get("b", {})
        shared = base.get("gpu_mib") or base.get("memory_mib")
        lines.append(
            f"| ({arm}) {name} | {rate:,.0f} | {_times(rate, found, 'a')} | "
            f"{_times(rate, found, 'b')} | "
            f"{max(figures['seconds']):.2f} to {min(figures['seconds']):.2f} | {memory:,.0f} | "
            f"{f'{memory / shared:.2f}' if shared else ''} |"
        )
    return "\n".join(lines) + "\n"


def _times(rate: float, found: dict[str, dict[str, Any]], arm: str) -> str:
    base = found.get(arm, {}).get("tokens_per_second")
    return f"{rate / base:.1f}" if base else ""


def _prompt_length(model: str) -> int:
    """What a user gets who names no other: the preset's for the shipped model, or the default."""
    if model in PRESETS:
        return build_settings(preset=PRESETS[model])[0].generator.prompt_length
    return GeneratorSettings().prompt_length


def _commit() -> str:
    asked = subprocess.run(
        ["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False
    )
    return asked.stdout.strip() or "unknown"


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=128)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--arms", default="abcde")
    parser.add_argument("--models", nargs="*", choices=SHAPES, help="default: the small ones")
    parser.add_argument("--big", action="store_true", help="GPT-2-large and T5-large in bf16")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--batch-size", type=int, default=SynthesisSettings().batch_size)
    parser.add_argument("--prompt-length", type=int, help="default: the settings' for each model")
    parser.add_argument("--seed", type=int, default=13)
    parser.add_argument("--out", type=Path, help="writes this name with .md and .json")
    given = parser.parse_args()
    usual = ["gpt2-large", "t5-large"] if given.big else ["shipped", "gpt2-small"]
    machine = hardware()
    made = {"commit": _commit(), "hardware": machine, "versions": versions()}
    about = f"{machine['gpu'] if given.device != 'cpu' else machine['processor']}"
    text = [
        f"Medians of {given.repeats}; commit {made['commit']}; {about}, {machine['cores']} cores; "
        + ", ".join(f"{name} {number}" for name, number in versions().items())
        + ".\n"
    ]
    results = []
    for model in given.models or usual:
        job = Job(
            model=model,
            device=given.device,
            rows=given.rows,
            batch_size=given.batch_size,
            prompt_length=given.prompt_length or _prompt_length(model),
            seed=given.seed,
            threads=given.threads,
            forced=model != "shipped",
            turns=4 if model == "smollm2" else 0,
        )
        found = measure(job, given.arms, given.repeats)
        results.append({"job": vars(job), "arms": found})
        text.append(table(job, found))
        print(text[-1], flush=True)
    if given.out:
        given.out.parent.mkdir(parents=True, exist_ok=True)
        given.out.with_suffix(".md").write_text("\n".join(text), "utf-8")
        given.out.with_suffix(".json").write_text(
            json.dumps({**made, "results": results}, indent=1) + "\n", "utf-8"
        )
    else:
        print(text[0])


if __name__ == "__main__":
    main()
