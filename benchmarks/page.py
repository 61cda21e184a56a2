"""docs/performance.md from the figures of the benchmarks.

python -m benchmarks.page
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks.models import SHAPES

RESULTS, PAGE = Path("benchmarks/results"), Path("docs/performance.md")
NAMES = ("tuning", "stack", "meta", "evaluation")

HEAD = """\
# Performance

Written by `python -m benchmarks.page` from `benchmarks/results/*.json`; `make bench` measures anew.
Every ratio is of medians within one run: each arm is a process of its own, and they are asked in
turn. Arms of one thread on a CPU are compared by CPU seconds, which other work on the machine
moves less than the clock; the clock's are beside them. Memory is what a process took above the
loaded model. Rows are the demo task's (SNLI).
"""

HOW = """\
## What makes the difference

- **Products.** PyTorch computes fp32 products by MKL, whose AVX-512 kernels run on Intel processors
  only. Elsewhere dawgen asks oneDNN, which comes with PyTorch too (`backbone/linear.py`). The line
  "ours, PyTorch's products" is dawgen without it.
- **Length.** Rows are cut into calls of like length, whose number is weighed against their padding,
  none larger than a processor's cache holds (`backbone/calls.py`).
- **One pass.** Real and synthetic rows of all arms go through one forward and one backward pass.
- **Label words only.** The head is computed for the label words, at one position.
- **Meta-step.** The derivative of the token losses goes back through the look-ahead's own gradient,
  and the outer loss comes in pieces of few rows (`generator/meta.py`, `generator/outer.py`).
- **No kept logits.** A token's log-probability comes with its gradient by the hidden state, some
  rows at a time; nothing as wide as the vocabulary is kept (`backbone/readout.py`).

Not done: `torch.compile`, which on a CPU was no quicker than PyTorch's eager layers, slower than
oneDNN's, and took two minutes to compile (the log has the figures; not measured on a GPU), and CUDA
graphs (not measured). No figure on this page is from a GPU unless its table says so; there,
`python -m benchmarks.tuning --big` and the others take the T5-large shape in bf16.
"""


def page(records: list[dict[str, Any]]) -> str:
    """The page in Markdown."""
    there = {record["name"] for record in records}
    missing = ", ".join(f"`benchmarks.{name}`" for name in NAMES if name not in there)
    note = [f"No figures yet of {missing}.\n"] if missing else []
    return "\n".join([HEAD, *note, *(_section(record) for record in records), HOW])


def _section(record: dict[str, Any]) -> str:
    machine = record["hardware"]
    about = machine["gpu"] if "cuda" in _devices(record) else machine["processor"]
    lines = [
        f"## {record['title']}\n",
        f"Commit {record['commit']}; {about}, {machine['cores']} cores; torch "
        f"{record['versions']['torch']}, peft {record['versions']['peft']}; "
        f"medians of {record['repeats']}.\n",
    ]
    for result in record["results"]:
        job = result["job"]
        lines += [
            f"**{SHAPES[job['model']]}**, {job['threads']} thread(s), seed {job['seed']}"
            + (f", {job['rows']:,} rows" if record["name"].startswith("evaluation") else "")
            + "\n",
            "| | seconds | slowest to quickest | CPU seconds | GFLOP/s | of peak | "
            "memory above model, MiB |",
            "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
        ]
        for name, arm in result["arms"].items():
            rate = arm["flops"] / arm["time"] / 1e9
            share = f"{100 * arm['share_of_peak']:.0f} %" if rate else ""
            spread = f"{max(arm['seconds']):.2f} to {min(arm['seconds']):.2f}"
            lines.append(
                f"| {name} | {arm['median_seconds']:.2f} | {spread} | "
                f"{arm['median_cpu_seconds']:.2f} | {f'{rate:,.0f}' if rate else ''} | {share} | "
                f"{arm['above_loaded_mib']:,.0f} |"
            )
        lines += ["", "| ratio | measured | bar | |", "| --- | ---: | ---: | --- |"]
        for bar in result["bars"]:
            word = "reached" if bar["reached"] else "**missed**"
            lines.append(f"| {bar['title']} | {bar['ratio']:.2f} | {bar['bar']} | {word} |")
        lines.append("")
    return "\n".join(lines)


def _devices(record: dict[str, Any]) -> set[str]:
    return {result["job"]["device"] for result in record["results"]}


def main() -> None:
    """Write the page."""
    found = [RESULTS / f"{name}{form}.json" for name in NAMES for form in ("", "-gpu")]
    records = [json.loads(path.read_text("utf-8")) for path in found if path.exists()]
    PAGE.write_text(page(records), "utf-8")
    print(PAGE)


if __name__ == "__main__":
    main()
