"""T5-large without its weights: the paper's backbones by shape, planned and measured.

    python -m benchmarks.t5_shape                 both presets, 0.78 billion parameters each
    python -m benchmarks.t5_shape --scale 16      a sixteenth of the width and of the layers
    python -m benchmarks.t5_shape -s backbone.dtype=fp32     where bf16 is in software only

A model of the shape of google/t5-large-lm-adapt or google/flan-t5-large gets random weights. It
goes through every stage by the preset, with only the counts made small: two steps of tuning, twelve
rows per label (of two, what is done once for a set took a third of the time). Compared are the
time and the memory of every stage with what ``dawgen plan`` says, and the run's scores with those
of PEFT and of an exported checkpoint. The exit code is 1 where one of them is off. Plan and run are
processes of their own, so that the memory of each is its own.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import islice, product
from multiprocessing import get_context
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pandas as pd
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import (
    PreTrainedTokenizerFast,
    T5Config,
    T5ForConditionalGeneration,
    T5Tokenizer,
)

from benchmarks.measure import commit
from dawgen.backbone import load_backbone
from dawgen.evaluation import predict
from dawgen.exporting import export_run
from dawgen.machine.hardware import hardware, versions
from dawgen.pipeline import run as pipeline
from dawgen.pipeline.plan import plan
from dawgen.settings.cleaning import RuleName
from dawgen.settings.layers import build_settings
from dawgen.tasks.job import load_job
from dawgen.tasks.load import load_rows
from dawgen.use.finished import open_run

# As in the config.json of google/t5-v1_1-large and google/t5-large-lm-adapt.
T5_LARGE: dict[str, Any] = {
    "architectures": ["T5ForConditionalGeneration"],
    "model_type": "t5",
    "is_encoder_decoder": True,
    "d_model": 1024,
    "d_kv": 64,
    "d_ff": 2816,
    "num_layers": 24,
    "num_decoder_layers": 24,
    "num_heads": 16,
    "feed_forward_proj": "gated-gelu",
    "vocab_size": 32128,
    "relative_attention_num_buckets": 32,
    "layer_norm_epsilon": 1e-06,
    "initializer_factor": 1.0,
    "dropout_rate": 0.1,
    "pad_token_id": 0,
    "eos_token_id": 1,
    "decoder_start_token_id": 0,
    "tie_word_embeddings": False,
    "use_cache": True,
    "output_past": True,
}
SHAPES = {
    "t5-large": T5_LARGE,
    "flan-t5-large": T5_LARGE | {"n_positions": 512, "relative_attention_max_distance": 128},
}
SCALED = ("d_model", "d_ff", "num_layers", "num_decoder_layers", "num_heads")
TASK, SHOTS, TEST_ROWS, STEPS, ROWS_PER_LABEL = "sst2", 2, 6, 2, 12
COUNTS = [
    f"shots={SHOTS}",
    f"generator.epochs={STEPS}",  # of one step each: a batch holds both shots of a label
    f"synthesis.rows_per_label={ROWS_PER_LABEL}",
    "synthesis.max_attempts_factor=1",
    f"synthesis.cleaning.skip={json.dumps(get_args(RuleName))}",  # random weights write no text
    f"tuning.steps={STEPS}",
]
UNITS = {"generator": "step", "synthesis": "row", "tuning": "step", "evaluation": "row"}
SAME = 0.1  # nats between the labels: what the roundings of bf16 come to
WORDS = "the a film story actor music scene long short good bad dull bright was is and of with that"
OTHERS = "review: sentiment: great terrible"  # that the task's card needs


@dataclass(frozen=True)
class Figure:
    """One planned figure beside the measured one."""

    stage: str
    name: str
    planned: float
    measured: float

    @property
    def ratio(self) -> float:
        """Measured over planned."""
        return self.measured / self.planned

    def holds(self, within: float) -> bool:
        """Whether the larger is at most ``within`` (0.25 is a quarter) above the smaller."""
        return max(self.ratio, 1 / self.ratio) <= 1 + within


# --- the model ------------------------------------------------------------------------


def write_model(folder: Path, preset: str, scale: int, vocabulary: Path | None) -> int:
    """Write a model of the preset's shape with random weights in bf16; how many they are."""
    tree = SHAPES[preset]
    tree = tree | {key: max(1, tree[key] // scale) for key in SCALED}
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(tree, indent=1), "utf-8")
    write_tokenizer(folder, vocabulary)
    torch.manual_seed(13)
    torch.set_default_dtype(torch.bfloat16)
    try:
        state = T5ForConditionalGeneration(T5Config.from_pretrained(folder)).state_dict()
    finally:
        torch.set_default_dtype(torch.float32)
    table = state["shared.weight"]
    # A table of its own, as T5 1.1 has it; so large that logits are of the size of real ones.
    state["lm_head.weight"] = torch.randn(table.shape).to(table) * tree["d_model"] ** -0.5
    weights = {name: w for name, w in state.items() if not name.endswith("embed_tokens.weight")}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return sum(weight.numel() for weight in weights.values())


def write_tokenizer(folder: Path, vocabulary: Path | None) -> None:
    """T5's tokenizer from its ``spiece.model``, or one of the same size and kind without it."""
    if vocabulary:
        shutil.copyfile(vocabulary, folder / "spiece.model")
        T5Tokenizer.from_pretrained(folder).save_pretrained(folder)
        return
    pieces = [(piece, -float(place)) for place, piece in enumerate(islice(_pieces(), 31_997))]
    special = ["<pad>", "</s>", "<unk>"]
    raw = Tokenizer(models.Unigram([*((name, 0.0) for name in special), *pieces], unk_id=2))
    raw.add_special_tokens([f"<extra_id_{n}>" for n in reversed(range(100))])
    raw.pre_tokenizer = pre_tokenizers.Metaspace()
    raw.decoder = decoders.Metaspace()
    raw.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", 1)]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=raw, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    ).save_pretrained(folder)


def _pieces() -> Iterator[str]:
    """The words of the task, letters, and made-up words: as many as one takes."""
    yield from dict.fromkeys(f"▁{word}" for word in f"{WORDS} {OTHERS}".split())
    yield from map(chr, range(ord("!"), ord("~") + 1))
    yield "▁"
    for size in (2, 3):
        for parts in product("bdfgklmnprstvz", "aeiou", repeat=size):
            yield "▁" + "".join(parts)


def write_rows(folder: Path) -> tuple[Path, Path]:
    """Few-shot rows and test rows, as long as the texts that random weights write."""
    words, labels = WORDS.split(), ("positive", "negative")
    paths = folder / "train.jsonl", folder / "test.jsonl"
    for path, count, step in zip(paths, (4 * SHOTS, TEST_ROWS), (1, 2), strict=True):
        lines = []
        for n in range(count):
            text = " ".join(words[(n + step * place**2) % len(words)] for place in range(44))
            lines.append(json.dumps({"text1": f"{text}.", "label": labels[n % 2]}) + "\n")
        path.write_text("".join(lines), "utf-8")
    return paths


# --- planned and measured -------------------------------------------------------------


def planned(home: Path, preset: str, more: Sequence[str]) -> dict[str, dict[str, float]]:
    """What ``dawgen plan`` says of each stage: seconds and MiB."""
    settings, _ = build_settings(preset=preset, overrides=_overrides(home, more))
    job = load_job(TASK, settings, train=str(home / "train.jsonl"), test=str(home / "test.jsonl"))
    backbone = load_backbone(settings.backbone)
    found = plan(job, backbone, settings)
    on_gpu = backbone.device.type == "cuda"
    return {
        stage.name: {
            "seconds": (stage.seconds if on_gpu else stage.cpu_seconds).most,
            "mib": stage.probe.peak_gpu_memory_mib or stage.probe.peak_memory_mib,
        }
        for stage in found.stages
    }


def measured(home: Path, preset: str, more: Sequence[str]) -> dict[str, dict[str, float]]:
    """What ``dawgen run`` then takes for each stage, as ``run.json`` has it."""
    settings, name = build_settings(preset=preset, overrides=_overrides(home, more))
    pipeline.run(
        TASK,
        train=home / "train.jsonl",
        test=home / "test.jsonl",
        out=home / "run",
        settings=settings,
        preset=name,
    )
    stages = json.loads((home / "run" / "run.json").read_text("utf-8"))["stages"]
    return {
        stage: {
            "seconds": found["seconds" if found["peak_gpu_memory_mib"] else "cpu_seconds"],
            "mib": found["peak_gpu_memory_mib"] or found["peak_memory_mib"],
        }
        for stage, found in stages.items()
        if stage in UNITS
    }


def _overrides(home: Path, more: Sequence[str]) -> list[str]:
    own = (f"backbone.path={home / 'model'}", "selection.candidates=paper")
    return [*COUNTS, *own, *more]


def compare(
    plans: dict[str, dict[str, float]], takes: dict[str, dict[str, float]], labels: int = 2
) -> list[Figure]:
    """Seconds of a step or row, and MiB, of every stage."""
    counts = {
        "generator": STEPS,
        "synthesis": ROWS_PER_LABEL * labels,
        "tuning": STEPS,
        "evaluation": TEST_ROWS,
    }
    found = []
    for stage, unit in UNITS.items():
        ours, theirs, count = plans[stage], takes[stage], counts[stage]
        name = f"seconds per {unit}"
        found.append(Figure(stage, name, ours["seconds"] / count, theirs["seconds"] / count))
        found.append(Figure(stage, "MiB", ours["mib"], theirs["mib"]))
    return found


# --- the same scores elsewhere --------------------------------------------------------


def export_differs(home: Path, to: str) -> float:
    """How far an export's scores are from the run's, at most, in nats between the labels.

    The script of ``peft`` opens the prompt by ``PeftModel.from_pretrained``, that of ``hf`` the
    exported checkpoint.
    """
    folder = export_run(home / "run", to, home / to)
    base = [str(home / "model")] if to == "peft" else []
    script = [sys.executable, str(folder / "predict.py"), str(home / "test.jsonl"), *base]
    said = subprocess.run(script, capture_output=True, text=True, check=False)
    if said.returncode:
        raise RuntimeError(f"predict.py of {to}: {said.stderr.strip()}")
    rows = pd.DataFrame([json.loads(line) for line in said.stdout.splitlines()])
    return _furthest(rows, _predictions(home))


def prompt_moves(home: Path) -> float:
    """The same of the scores without the prompt: what an export that lost it would be off by."""
    card, settings = open_run(home / "run")
    rows = load_rows(card, home / "test.jsonl")
    bare = predict(load_backbone(settings.backbone), card, None, rows)
    names = [f"p_{label}" for label in card.labels]
    return _furthest(pd.DataFrame(bare, columns=names), _predictions(home))


def _predictions(home: Path) -> pd.DataFrame:
    return pd.read_parquet(home / "run" / "predictions.parquet")


def _furthest(one: pd.DataFrame, other: pd.DataFrame) -> float:
    columns = [name for name in one.columns if name.startswith("p_")]
    first, second = (np.log(rows[columns].to_numpy(dtype=float)) for rows in (one, other))
    return float(np.ptp(first - second, axis=1).max())


# --- one preset, and the command line -------------------------------------------------


def apart(work: Callable[..., Any], *given: Any) -> Any:
    """What ``work`` gives back from a process of its own."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(work, *given).result()


def measure(
    preset: str,
    home: Path,
    scale: int = 1,
    vocabulary: Path | None = None,
    more: Sequence[str] = (),
    call: Callable[..., Any] = apart,
) -> dict[str, Any]:
    """Build, plan, run and export a preset's shape in ``home``; everything that was found.

    Args:
        more: settings beside the preset's, such as ``backbone.dtype=fp32``.
        call: calls a function with what follows it.
    """
    home.mkdir(parents=True)
    write_rows(home)
    return {
        "preset": preset,
        "parameters": call(write_model, home / "model", preset, scale, vocabulary),
        "figures": compare(call(planned, home, preset, more), call(measured, home, preset, more)),
        "differences": {to: call(export_differs, home, to) for to in ("peft", "hf")},
        "prompt_moves": call(prompt_moves, home),
    }


def report(found: dict[str, Any], within: float) -> tuple[list[str], bool]:
    """A table of planned and measured, and whether all of it holds."""
    lines = [
        f"{found['preset']}, random weights: {found['parameters']:,} parameters",
        "",
        "| stage | figure | planned | measured | measured / planned | |",
        "| --- | --- | ---: | ---: | ---: | --- |",
    ]
    holding = []
    for one in found["figures"]:
        holding.append(one.holds(within))
        lines.append(
            f"| {one.stage} | {one.name} | {one.planned:,.2f} | {one.measured:,.2f} "
            f"| {one.ratio:.2f} | {_word(holding[-1])} |"
        )
    lines.append("")
    for to, difference in found["differences"].items():
        holding.append(difference <= SAME)
        lines.append(
            f"Scores of the {to} export differ by {difference:.4f} nats at most "
            f"({SAME} allowed): {_word(holding[-1])}"
        )
    holding.append(found["prompt_moves"] > 2 * SAME)
    lines.append(
        f"Without the prompt they would by {found['prompt_moves']:.4f} "
        f"(at least {2 * SAME}, or the above says nothing): {_word(holding[-1])}"
    )
    return [*lines, ""], all(holding)


def _word(holds: bool) -> str:
    return "reached" if holds else "missed"


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; 1 where a bound is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--presets", nargs="*", choices=SHAPES, default=list(SHAPES))
    parser.add_argument("--scale", type=int, default=1, help="divides layers and widths")
    parser.add_argument("--vocabulary", type=Path, help="T5's spiece.model; one is made without")
    parser.add_argument("--within", type=float, default=0.25, help="0.25: a quarter off at most")
    parser.add_argument("--out", type=Path, help="write the tables to this file too")
    parser.add_argument("-s", "--set", action="append", default=[], help="backbone.dtype=fp32")
    given = parser.parse_args(arguments)
    machine, used = hardware(), versions()
    lines = [
        "# T5-large's shape: planned and measured",
        "",
        f"Commit {commit()}; {machine['gpu'] or machine['processor']}, "
        f"{torch.get_num_threads()} thread(s), torch {used['torch']}, "
        f"transformers {used['transformers']}. Seconds are of the processor's clock on a CPU."
        + "".join(f" `{change}`." for change in given.set),
        "",
    ]
    holding = []
    for preset in given.presets:
        with tempfile.TemporaryDirectory() as folder:
            home = Path(folder) / preset
            found = measure(preset, home, given.scale, given.vocabulary, given.set)
        table, holds = report(found, given.within)
        lines += table
        holding.append(holds)
    print("\n".join(lines))
    if given.out:
        given.out.write_text("\n".join(lines), "utf-8")
    return 0 if all(holding) else 1


if __name__ == "__main__":
    sys.exit(main())
