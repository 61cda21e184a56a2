"""Sections of docs/performance.md whose results have forms of their own."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.arms import ARMS
from benchmarks.models import SHAPES

GENERATOR = (
    "plain generator step",
    "generator step, weights updated",
    "generator step, between updates",
)
"""Kinds of work of ``benchmarks.causal``."""


def sections(results: Path) -> list[str]:
    """Those that have results: small causal models, writing on small models, how cost grows."""
    makers = {
        "causal": causal_section,
        "writing": writing_section,
        "writing-t5-small": writing_section,
        "scaling": _growth,
    }
    found = []
    for name, make in makers.items():
        path = results / f"{name}.json"
        if path.exists():
            found.append(make(json.loads(path.read_text("utf-8"))))
    return found


def _made(record: dict[str, Any]) -> str:
    machine = record["hardware"]
    return f"Commit {record['commit']}; {machine['processor']}, {machine['cores']} cores"


def _threads(count: int | str) -> str:
    return "1 thread" if str(count) == "1" else f"{count} threads"


def causal_section(record: dict[str, Any]) -> str:
    """Steps of a small causal model. Figures that older records lack are shown as –."""
    arms: dict[str, dict[str, Any]] = record["arms"]
    most = max(arm.get("threads", 1) for arm in arms.values())
    rates = record.get("product_gflops_of_threads", {"1": record["product_gflops"]})
    rate = ", ".join(f"{rate:,.0f} GFLOP/s with {_threads(n)}" for n, rate in rates.items())
    how = f" --threads {most}" if most > 1 else ""
    about = f", medians of {record['repeats']}" if "repeats" in record else ", bf16"
    lines = [
        "## Steps of a small causal model\n",
        f"{_made(record)}; SmolLM2-135M's shape with {record['layers']} layers and random weights"
        f"{about} (`python -m benchmarks.causal{how}`). Arms of one thread are compared by CPU "
        'seconds, arms of several by clock time. "× transformers" is against its fastest arm of '
        "the same kind of work with no more threads; the generator's steps are all against its "
        f"plain step. The machine's bf16 products: {rate}. The limit is what the products with "
        "weights alone would take.\n",
        "| | CPU seconds | clock seconds | tokens/s | of the limit | × transformers | "
        "× one thread | peak memory, MiB | above the model, MiB |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    columns = {
        "seconds": ".2f",
        "clock_seconds": ".2f",
        "tokens_per_second": ",",
        "of_limit": ".2f",
        "times_transformers": ".2f",
        "times_one_thread": ".2f",
        "peak_mib": ",.0f",
        "above_loaded_mib": ",.0f",
    }
    for name, arm in arms.items():
        cells = [format(arm[key], form) if key in arm else "–" for key, form in columns.items()]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join([*lines, *_mean_step(record)]) + "\n"


def _mean_step(record: dict[str, Any]) -> list[str]:
    """What the preset's generator step costs on the mean, in plain ones."""
    every, sentences = record.get("weights_every"), []
    for threads in sorted({arm.get("threads", 0) for arm in record["arms"].values()}):
        figure = "seconds" if threads == 1 else "clock_seconds"
        of = {
            arm["work"]: arm[figure]
            for arm in record["arms"].values()
            if arm.get("side") == "dawgen" and arm["threads"] == threads
        }
        if every is None or GENERATOR[0] not in of:
            continue
        plain, full, between = (of[work] for work in GENERATOR)
        mean = (full + (every - 1) * between) / every
        sentences.append(
            f"with {_threads(threads)} the mean step takes {mean / plain:.2f} times as long as the "
            f"plain one ({full / plain:.2f} where it updates them, {between / plain:.2f} between)"
        )
    if not sentences:
        return []
    return [
        "",
        f"The preset `smollm2` updates the token weights in one step of {every}: "
        f"{'; '.join(sentences)}. The plain step computes no figures for the report, as all but "
        "the first of an epoch.",
    ]


def writing_section(record: dict[str, Any]) -> str:
    """Writing synthetic rows: rates against plain transformers, and memory."""
    jobs = [result["job"] for result in record["results"]]
    models = " ".join(job["model"] for job in jobs)
    causal = "with a small causal model" if models == "smollm2" else f"with the shape of {models}"
    shots = (
        "Each row reads four few shots of its label, of which eight rows in a row read the same "
        "ones; dawgen reads these once. "
        if any(job["turns"] for job in jobs)
        else ""
    )
    lines = [
        f"## Writing {causal}\n",
        f"{_made(record)} (`python -m benchmarks.synthesis --models {models}`). {shots}Memory is "
        "each process's peak, in which loading the model is included.\n",
    ]
    for job, result in zip(jobs, record["results"], strict=True):
        arms = {arm: each for arm, each in result["arms"].items() if "failed" not in each}
        lines += [
            f"**{SHAPES[job['model']]}**, {job['rows']} rows, {_threads(job['threads'])}, seed "
            f"{job['seed']}; label prompts of {job['prompt_length']} vectors; loading it takes "
            f"{max(each['loaded_mib'] for each in arms.values()):,.0f} MiB\n",
            "| | rows/s | tokens/s | × one row at a time | × batched `generate` | "
            "peak memory, MiB |",
            "| --- | ---: | ---: | ---: | ---: | ---: |",
        ]
        for arm, each in arms.items():
            rows, rate = job["rows"] / median(each["seconds"]), each["tokens_per_second"]
            times = [rate / arms[base]["tokens_per_second"] for base in "ab"]
            lines.append(
                f"| {ARMS[arm]} | {rows:.2f} | {rate:,.0f} | {times[0]:.1f} | {times[1]:.1f} | "
                f"{each['memory_mib']:,.0f} |"
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
