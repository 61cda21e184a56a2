"""Sections of docs/performance.md whose results have forms of their own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks.arms import ARMS
from benchmarks.models import SHAPES


def sections(results: Path) -> list[str]:
    """Those that have results: small causal models, writing on them, and how cost grows."""
    makers = {"causal": _causal, "writing": _writing, "scaling": _growth}
    found = []
    for name, make in makers.items():
        path = results / f"{name}.json"
        if path.exists():
            found.append(make(json.loads(path.read_text("utf-8"))))
    return found


def _made(record: dict[str, Any]) -> str:
    machine = record["hardware"]
    return f"Commit {record['commit']}; {machine['processor']}, {machine['cores']} cores"


def _causal(record: dict[str, Any]) -> str:
    lines = [
        "## Steps of a small causal model\n",
        f"{_made(record)}; SmolLM2-135M's shape with {record['layers']} layers and random weights, "
        "bf16, CPU seconds of one thread (`python -m benchmarks.causal`). The machine's products: "
        f"{record['product_gflops']:,.0f} GFLOP/s. The limit is what the products with "
        "weights alone would take.\n",
        "| | CPU seconds | tokens/s | of the limit | × transformers |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for name, arm in record["arms"].items():
        lines.append(
            f"| {name} | {arm['seconds']:.2f} | {arm['tokens_per_second']:,} | "
            f"{arm['of_limit']:.2f} | {arm['times_transformers']:.2f} |"
        )
    return "\n".join(lines) + "\n"


def _writing(record: dict[str, Any]) -> str:
    lines = [
        "## Writing with a small causal model\n",
        f"{_made(record)} (`python -m benchmarks.synthesis --models smollm2`). Each row reads four "
        "few shots of its label, of which eight rows in a row read the same ones; dawgen reads "
        "these once.\n",
    ]
    for result in record["results"]:
        job = result["job"]
        lines += [
            f"**{SHAPES[job['model']]}**, {job['rows']} rows, {job['threads']} thread(s), seed "
            f"{job['seed']}\n",
            "| | tokens/s | × one row at a time | × batched `generate` |",
            "| --- | ---: | ---: | ---: |",
        ]
        rates = {arm: each["tokens_per_second"] for arm, each in result["arms"].items()}
        for arm, rate in rates.items():
            lines.append(
                f"| {ARMS[arm]} | {rate:,.0f} | {rate / rates['a']:.1f} | {rate / rates['b']:.1f} |"
            )
    return "\n".join(lines) + "\n"


def _growth(record: dict[str, Any]) -> str:
    lines = [
        "## How cost grows\n",
        f"{_made(record)}; one thread (`python -m benchmarks.scaling`). One size changes at a "
        "time. The exponent is the slope of log(CPU seconds) over log(size): 1 is proportional.\n",
        "| of a | size | at | CPU seconds | exponent |",
        "| --- | --- | --- | --- | ---: |",
    ]
    for name, part in record["growth"].items():
        sizes, seconds = (", ".join(map(str, part[key])) for key in ("sizes", "cpu_seconds"))
        lines.append(f"| {part['of']} | {name} | {sizes} | {seconds} | {part['exponent']:.2f} |")
    stack = record["growth"]["prompts in one stack"]
    first, last = stack["cpu_seconds"][0], stack["cpu_seconds"][-1]
    lines += [
        "",
        "Folds of few shots, seeds and candidates gain little from a common stack on a processor. "
        "Each prompt reads its own rows, because in a causal model a row's states depend on the "
        "prompt before it, and one prompt's rows already fill the products: "
        f"{stack['sizes'][-1]} prompts take {last / first:.1f} times as long as one.",
        "",
        "A step of the generator grows with the square of the labels: it has as many rows of every "
        "label, and (3) reads each row under every label's prompt.",
    ]
    return "\n".join(lines) + "\n"
