"""The model card of the embedded backbone, from a run's state and an evaluation.

    python -m tools.pretrain.card --run DIR --evaluation evaluation.json --data DATA \\
        --corpora CORPORA --out src/dawgen/backbone/tiny --hardware "2 cores of an AMD EPYC, no GPU"
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import re
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib import pyplot

from tools.pretrain import checkpoint, text

BARS = {"mnli": 0.64, "qnli": 0.80, "mrpc": 0.68}
AGREEMENT, WEAKEST, COMPLETE = 0.62, 0.45, 0.90
TEMPLATE = Path(__file__).parent / "card.md"


def smooth(values: list[float], share: float = 0.8) -> list[float]:
    """An exponential moving average that starts at the first value."""
    out: list[float] = []
    for value in values:
        out.append(value if not out else share * out[-1] + (1 - share) * value)
    return out


def curve(history: list[list[Any]], name: str) -> list[float]:
    """A group's smoothed losses; NaN, a gap in the picture, where the group had no rows."""
    out: list[float] = []
    for present, entries in itertools.groupby(history, key=lambda entry: name in entry[2]):
        losses = [entry[2].get(name, math.nan) for entry in entries]
        out += smooth(losses) if present else losses
    return out


def draw_losses(history: list[list[Any]], path: Path) -> None:
    """The loss curve of every group over minutes of training."""
    matplotlib.use("Agg")
    names = sorted({name for _, _, losses in history for name in losses})
    figure, axes = pyplot.subplots(figsize=(6.4, 3.2), dpi=100)
    for name in names:
        minutes = [at for _, at, _ in history]
        axes.plot(minutes, curve(history, name), label=name, lw=1.2)
    axes.set_xlabel("minutes of training (wall clock)")
    axes.set_ylabel("loss, nats a token")
    axes.set_ylim(bottom=0)
    axes.legend(fontsize=7, ncols=2, frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(path, metadata={"Software": ""})
    pyplot.close(figure)


def percent(value: float) -> str:
    """``0.6412`` as ``64.1 %``."""
    return f"{100 * value:.1f} %"


def accuracy_table(report: dict[str, Any]) -> str:
    """Zero-shot accuracies, with the bar where there is one."""
    lines = ["| task | accuracy | bar |", "| --- | --- | --- |"]
    for task, value in report["accuracy"].items():
        bar = BARS.get(task)
        verdict = "–" if bar is None else f"{percent(bar)}: {'met' if value >= bar else 'missed'}"
        lines.append(f"| {task} | {percent(value)} | {verdict} |")
    return "\n".join(lines)


def writing_table(report: dict[str, Any]) -> str:
    """Label agreement of writing, by task and label."""
    lines = [
        "| first sentences | written for | judged to carry it | distinct-2 |",
        "| --- | --- | --- | --- |",
    ]
    for task, found in report["writing"].items():
        for label, share in found["by_label"].items():
            lines.append(
                f"| {task} | {label} | {percent(share)} | {found['distinct_2'][label]:.2f} |"
            )
        lines.append(f"| {task} | all labels | **{percent(found['agreement'])}** | |")
    return "\n".join(lines)


def writing_notes(report: dict[str, Any]) -> str:
    """Completeness, copies and unknown pieces, and the bars."""
    lines = []
    for task, found in report["writing"].items():
        lines.append(
            f"- {task}: {percent(found['complete'])} complete sentences, "
            f"{percent(found['copies'])} copies of the first sentence, "
            f"{found['unknown_pieces']} unknown pieces."
        )
    found = report["writing"].get("mnli")
    if found:
        met = found["agreement"] >= AGREEMENT and min(found["by_label"].values()) >= WEAKEST
        whole = found["complete"] >= COMPLETE and found["unknown_pieces"] == 0
        lines.append(
            f"- The bar on MNLI first sentences (agreement {percent(AGREEMENT)}, no label under "
            f"{percent(WEAKEST)}) is {'met' if met else 'missed'}; the bar on form "
            f"({percent(COMPLETE)} complete, no unknown pieces) is {'met' if whole else 'missed'}."
        )
    return "\n".join(lines)


def writing_intro(report: dict[str, Any]) -> str:
    """How the label agreement of writing was measured, or that it was not."""
    if not report["writing"]:
        return "Label agreement of writing: not measured for these weights."
    judged, sampling = report["judge"], report["sampling"]
    return (
        "**Label agreement of writing**: 500 first sentences of test rows, a text2 written for "
        f"each label (sampled, temperature {sampling['temperature']}, top-k {sampling['top_k']}), "
        "judged by a classifier of its own (the original encoder, fine-tuned on gold MNLI and "
        f"SNLI rows; it agrees with gold on {percent(judged['mnli'])} of the MNLI and "
        f"{percent(judged['snli'])} of the SNLI test rows). Chance is 33 %."
    )


def samples(report: dict[str, Any], count: int) -> str:
    """Samples of every label for a human eye."""
    if not report["writing"]:
        return ""
    lines = ["## Samples", "", f"The first {count} of every label, as they came:", ""]
    for task, found in report["writing"].items():
        for label, rows in found["samples"].items():
            lines += [f"**{task}, {label}**", ""]
            lines += [f"- {first} → *{second}*" for first, second in rows[:count]]
            lines.append("")
    return "\n".join(lines)


def counts(data: Path, corpora: Path) -> dict[str, str]:
    """How many rows and lines were at hand."""
    found = {task: len(text.read_training_pairs(data, task)) for task in ("mnli", "qnli")}
    for name in text.CORPORA:
        found[name] = len(text.read_corpus(text.corpus_path(corpora, name)))
    return {f"{name}_count": f"{count:,}" for name, count in found.items()}


def write_card(
    state: dict[str, Any], report: dict[str, Any], numbers: dict[str, str], hardware: str, out: Path
) -> None:
    """Fill the template and write ``README.md`` and ``loss.png`` into ``out``."""
    report = {"writing": {}, **report}
    draw_losses(state["history"], out / "loss.png")
    fields = {
        **numbers,
        "source_tokens": f"{state['source_tokens'] / 1e6:.2f} M",
        "target_tokens": f"{state['target_tokens'] / 1e6:.2f} M",
        "rows": f"{state['rows']:,}",
        "steps": f"{state['step']:,}",
        "wall": f"{state['wall_minutes']:.0f}",
        "cpu": f"{state['cpu_minutes']:.0f}",
        "hardware": hardware,
        "phases": "; ".join(f"`{name}` from step {step:,}" for step, name in state["recipes"]),
        "accuracy": accuracy_table(report),
        "test_rows": f"the first {report['rows']:,} test rows of each task"
        if report.get("rows")
        else "all test rows",
        "perplexity": ", ".join(f"{k} {v:.1f}" for k, v in report["perplexity"].items()),
        "writing_intro": writing_intro(report),
        "writing": writing_table(report) if report["writing"] else "",
        "writing_notes": writing_notes(report),
        "samples": samples(report, 20),
    }
    card = TEMPLATE.read_text(encoding="utf-8")
    for name, value in fields.items():
        card = card.replace("{" + name + "}", value)
    card = re.sub(r"\n{3,}", "\n\n", card).rstrip() + "\n"
    (out / "README.md").write_text(card, encoding="utf-8")


def main() -> None:
    """Write the card."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    for option in ("run", "evaluation", "data", "corpora", "out"):
        parser.add_argument(f"--{option}", type=Path, required=True)
    parser.add_argument("--hardware", required=True, help="as the card should name it")
    arguments = parser.parse_args()
    last = checkpoint.checkpoints(arguments.run)[-1]
    state = json.loads((last / "state.json").read_text(encoding="utf-8"))
    report = json.loads(arguments.evaluation.read_text(encoding="utf-8"))
    numbers = counts(arguments.data, arguments.corpora)
    write_card(state, report, numbers, arguments.hardware, arguments.out)


if __name__ == "__main__":
    main()
