"""docs/performance.md from the figures of the benchmarks.

python -m benchmarks.page
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks.models import SHAPES
from benchmarks.more import sections

RESULTS, PAGE = Path("benchmarks/results"), Path("docs/performance.md")
NAMES = ("tuning", "stack", "meta", "evaluation")

HEAD = """\
# Performance

`python -m benchmarks.page` writes this page from `benchmarks/results/*.json`. `make bench` repeats
the measurements.

Every ratio compares medians within one run. Each arm is a process of its own, and the arms run in
turn. On a CPU, arms of one thread are compared by CPU seconds, which other work on the machine
changes less than clock time. Clock seconds are beside them. Memory is what a process used above the
loaded model. Rows are those of the demo task (SNLI).
"""

HOW = """\
## What makes the difference

- **Matrix products.** PyTorch computes fp32 products with MKL, whose AVX-512 kernels run on Intel
  processors only. On others, dawgen uses oneDNN, which is also part of PyTorch
  (`backbone/linear.py`). The line "ours, PyTorch's products" is dawgen without it.
- **Length.** Rows of similar length share a call. The number of calls is weighed against their
  padding, and no call is larger than a processor's cache (`backbone/calls.py`).
- **One pass.** Real and synthetic rows of all arms go through one forward and one backward pass.
- **Causal models without padding.** On a processor, Llama, Mistral, Qwen, SmolLM and Gemma 3 read a
  call's rows end to end as one sequence, and each soft prompt once for all rows that share it.
  Attention is the only part of a layer that sees where a row ends (`backbone/packed.py`). Calls run
  side by side, one on each of PyTorch's threads, and so do the derivatives through them
  (`backbone/threads.py`). `python -m benchmarks.causal` compares SmolLM2's shape with plain
  transformers and with the rate of the machine's own matrix products.
- **Label words only.** The head is computed for the label words, at one position. If words have
  several tokens, a causal model reads each row once, and then the words after its keys and values.
  This is 2 times as fast with 3 words and 15 times with 20 (`backbone/words.py`; GPT-2 shape,
  8 layers of 384, rows of 50 tokens, one core).
- **Meta-step.** The derivative of the token losses goes back through the look-ahead's own gradient.
  The outer loss is computed in pieces of a few rows (`generator/meta.py`, `generator/outer.py`).
  With C labels, a step passes its rows forward 2·C + 1 times and back C + 2 times, the derivative
  included; `generator/fit.py` lists them. `plain` does both once. It scores the rows under the
  other labels in the first step of an epoch, for the report.
- **No stored logits.** A token's log-probability is computed together with its gradient by the
  hidden state, some rows at a time: enough that the last layer's weight is not read too often.
  Nothing as wide as the vocabulary is stored (`backbone/readout.py`).

Two things are not used. `torch.compile` was no faster on a CPU than PyTorch's eager layers, slower
than oneDNN's, and took two minutes to compile. The log has the figures; it was not measured on a
GPU. CUDA graphs were not measured. No figure on this page is from a GPU unless its table says so.
On a GPU, `python -m benchmarks.tuning --big` and the others use the T5-large shape in bf16.

## Several runs on one GPU

A small model leaves a GPU idle: a step of SmolLM2 is some thousands of kernels of a few
microseconds, which one processor core starts one by one. So run several processes at once, as many
as there are cores, under CUDA's multi-process service:

```sh
nvidia-cuda-mps-control -d
export OMP_NUM_THREADS=1
for seed in 13 21 42; do dawgen run sick ... -s backbone.path=smollm2 -s seed=$seed --out runs/sick-$seed & done; wait
```

On one NVIDIA H200 with 16 cores, 14 whole runs side by side took 108 to 300 seconds each, 2.9
minutes on the mean of 24 (commit 0aa4fb4, commands in `results/smollm2/README.md`); `nvidia-smi`
showed the GPU busy for 73 to 92 % of the time. One run took 1.7 to 6.3 GiB of its memory. On a
processor the same runs take 13 to 33 minutes of one core.
"""  # noqa: E501


def page(records: list[dict[str, Any]]) -> str:
    """The page in Markdown."""
    there = {record["name"] for record in records}
    missing = ", ".join(f"`benchmarks.{name}`" for name in NAMES if name not in there)
    note = [f"No figures yet of {missing}.\n"] if missing else []
    more = sections(RESULTS)
    return "\n".join([HEAD, *note, *(_section(record) for record in records), *more, HOW])


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
