"""Train the embedded backbone, or go on training it.

    python -m tools.pretrain.train --recipe R.yaml --start DIR --run DIR --minutes 60 \\
        --data DATA --corpora CORPORA --cards src/dawgen/tasks/cards

``--start`` is a converted model folder; where ``--run`` holds a checkpoint the run goes on from
it. A file named ``stop`` in ``--run`` ends it after the step, saved. A step's rows and its dropout
are functions of the seed and the step's number, so a resumed run is the run never stopped.
"""

from __future__ import annotations

import argparse
import math
import os
import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from torch.multiprocessing.spawn import spawn
from torch.optim import AdamW
from transformers import BartForConditionalGeneration

from tools.pretrain import checkpoint, loss, parallel
from tools.pretrain.batching import Pools
from tools.pretrain.mixture import Mixture, Row, load_sources
from tools.pretrain.recipe import Group, Recipe, read_recipe

DROPOUT_STREAM, RIVAL_STREAM = 2, 3
REPORT_EVERY = 10


def make_optimiser(model: BartForConditionalGeneration, recipe: Recipe) -> AdamW:
    """AdamW with a rate for the encoder, the embeddings and the decoder; norms do not decay."""
    groups: list[dict[str, Any]] = []
    rates = {
        "encoder": recipe.encoder_rate,
        "embedding": recipe.embedding_rate,
        "decoder": recipe.decoder_rate,
    }
    for part, rate in rates.items():
        for decays in (True, False):
            tensors = [
                parameter
                for name, parameter in model.named_parameters()
                if parameter.requires_grad
                and part_of(name) == part
                and (parameter.ndim > 1 and "embed" not in name) == decays
            ]
            decay = recipe.weight_decay if decays else 0.0
            groups.append({"params": tensors, "lr": rate, "rate": rate, "weight_decay": decay})
    return AdamW([g for g in groups if g["params"]], betas=(0.9, 0.98), eps=1e-8, fused=True)


def cut_gradient(model: BartForConditionalGeneration, layers: int) -> None:
    """Let no gradient below the encoder's first ``layers`` layers: their output is a constant."""
    if layers:
        encoder = model.model.encoder
        below = [encoder.embed_positions, encoder.layernorm_embedding, *encoder.layers[:layers]]
        for module in below:
            module.requires_grad_(False)
        bottom = model.model.encoder.layers[layers - 1]
        bottom.register_forward_hook(lambda _module, _inputs, output: detached(output))


def detached(output: Any) -> Any:
    """A layer's output without its graph; a tuple's parts one by one."""
    if isinstance(output, tuple):
        return tuple(detached(part) for part in output)
    return output.detach() if isinstance(output, torch.Tensor) else output


def part_of(name: str) -> str:
    """Which learning rate a parameter takes."""
    if "shared" in name or "encoder.embed" in name or "encoder.layernorm_embedding" in name:
        return "embedding"
    return "decoder" if ".decoder." in name else "encoder"


@dataclass
class StepReport:
    """What one process read, wrote and lost in one step."""

    losses: dict[str, float] = field(default_factory=dict)
    source_tokens: int = 0
    target_tokens: int = 0
    rows: int = 0


def group_backward(
    model: BartForConditionalGeneration,
    group: Group,
    rows: list[Row],
    team: parallel.Team,
    rivals: bool,
    recipe: Recipe,
    report: StepReport,
) -> tuple[float, float]:
    """Add this process's share of a group's gradient; return its token and contrast losses."""
    # Dropout's noise would swamp the small difference between two labels, and a frozen encoder
    # has nothing to regularise.
    model.train(not rivals)
    model.model.encoder.train(not rivals and not group.freeze_encoder)
    total = sum(len(row.target) - 1 for row in rows) + len(rows) * group.end_weight
    with_rival = sum(row.rival is not None for row in rows) if rivals else 0
    on_gpu = model.device.type == "cuda"
    autocast: AbstractContextManager[Any] = (
        torch.autocast("cuda", dtype=torch.bfloat16) if on_gpu else nullcontext()
    )
    tokens = contrast = 0.0
    budget = recipe.batch_tokens // (2 if rivals else 1)
    for batch in loss.chunks(team.share(rows), budget):
        with autocast:
            found = loss.batch_losses(
                model,
                batch,
                freeze_encoder=group.freeze_encoder,
                end_weight=group.end_weight,
                rivals=rivals,
                smoothing=group.smoothing,
            )
        value = group.weight * found.tokens / total
        if found.rivals:
            value = value + group.weight * group.contrast * found.contrast / with_rival
        value.backward()  # type: ignore[no-untyped-call]
        tokens += float(found.tokens.detach()) / total
        contrast += float(found.contrast.detach()) / max(with_rival, 1)
        report.source_tokens += found.source_tokens
        report.target_tokens += found.target_tokens
        report.rows += len(batch)
    return tokens, contrast


def train_step(
    model: BartForConditionalGeneration,
    optimiser: AdamW,
    pools: Pools,
    recipe: Recipe,
    step: int,
    team: parallel.Team = parallel.Team(),  # noqa: B008 - frozen
) -> StepReport:
    """One optimiser step over all groups of the recipe; the report is this process's own."""
    rng = np.random.default_rng([recipe.seed, RIVAL_STREAM, step])
    torch.manual_seed((recipe.seed * 1_000_003 + step * 10 + DROPOUT_STREAM) * 8 + team.rank)
    report = StepReport()
    for name, group in recipe.groups.items():
        rivals = group.contrast > 0 and bool(rng.random() < group.rival_share)
        tokens, contrast = group_backward(
            model, group, pools.rows(name, step), team, rivals, recipe, report
        )
        if not math.isfinite(tokens):
            raise FloatingPointError(f"loss of group {name} is {tokens} at step {step}")
        report.losses[name] = tokens
        if rivals:
            report.losses[f"{name}_contrast"] = contrast
    team.sum_gradients(model)
    torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.clip)
    for parameters in optimiser.param_groups:
        parameters["lr"] = parameters["rate"] * recipe.rate(step)
    optimiser.step()
    optimiser.zero_grad(set_to_none=True)
    return report


@dataclass
class Window:
    """Reports since the last line of the log."""

    losses: dict[str, list[float]] = field(default_factory=dict)
    counts: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0])
    started: float = field(default_factory=time.monotonic)

    def add(self, report: StepReport) -> None:
        """Count one step."""
        for group, value in report.losses.items():
            self.losses.setdefault(group, []).append(value)
        new = (report.source_tokens, report.target_tokens, report.rows)
        self.counts = [old + more for old, more in zip(self.counts, new, strict=True)]


def new_state() -> dict[str, Any]:
    """The counters a run starts with."""
    counters = {"wall_minutes": 0.0, "cpu_minutes": 0.0, "source_tokens": 0, "target_tokens": 0}
    return {"step": 0, **counters, "rows": 0, "history": [], "recipes": []}


def close_window(state: dict[str, Any], window: Window, cpu: float, team: parallel.Team) -> None:
    """Add a window's time, tokens and losses, summed over the team, to the state; print them."""
    names = sorted(window.losses)
    means = [sum(window.losses[name]) / len(window.losses[name]) for name in names]
    summed = team.sum([*window.counts, cpu, *means])
    seconds = time.monotonic() - window.started
    for key, value in zip(("source_tokens", "target_tokens", "rows"), summed, strict=False):
        state[key] += int(value)
    state["wall_minutes"] += seconds / 60
    state["cpu_minutes"] += summed[3] / 60
    losses = {name: round(value, 4) for name, value in zip(names, summed[4:], strict=True)}
    state["history"].append([state["step"], round(state["wall_minutes"], 3), losses])
    if team.rank == 0:
        print(
            f"step {state['step']} minutes {state['wall_minutes']:.1f} "
            f"(cpu {state['cpu_minutes']:.1f}) source {summed[0] / seconds:.0f}/s "
            f"target {summed[1] / seconds:.0f}/s {losses}",
            flush=True,
        )


def run(
    model: BartForConditionalGeneration,
    mixture: Mixture,
    recipe: Recipe,
    folder: Path,
    *,
    minutes: float,
    save_minutes: float = 5.0,
    name: str = "recipe",
    last_step: int | None = None,
    team: parallel.Team = parallel.Team(),  # noqa: B008 - frozen
) -> dict[str, Any]:
    """Train until the recipe's steps, ``last_step`` or ``minutes`` are used up; save at the end."""
    cut_gradient(model, recipe.frozen_layers)
    optimiser = make_optimiser(model, recipe)
    state = new_state()
    found = checkpoint.checkpoints(folder)
    if found:
        state = checkpoint.load(found[-1], model, optimiser)
        print(f"resumed from {found[-1].name}", flush=True)
    if not state["recipes"] or state["recipes"][-1][1] != name:
        state["recipes"].append([state["step"], name])
    stop = folder / "stop"
    stop.unlink(missing_ok=True)
    pools = Pools(mixture, recipe)
    model.train()
    started = saved = time.monotonic()
    cpu, window = time.process_time(), Window()
    end = min(recipe.steps, last_step if last_step is not None else recipe.steps)
    going = state["step"] < end
    while going:
        window.add(train_step(model, optimiser, pools, recipe, state["step"], team))
        state["step"] += 1
        spent = time.monotonic() - started > minutes * 60
        over = team.sum([float(spent or stop.exists())])[0] > 0
        going = state["step"] < end and not over
        if state["step"] % REPORT_EVERY == 0 or not going:
            close_window(state, window, time.process_time() - cpu, team)
            cpu, window = time.process_time(), Window()
            if team.rank == 0 and (not going or time.monotonic() - saved > save_minutes * 60):
                path = checkpoint.save(folder, model, optimiser, state)
                saved = time.monotonic()
                print(f"saved {path.name}", flush=True)
    return state


def work(rank: int, arguments: argparse.Namespace) -> None:
    """One process's whole life."""
    team = parallel.join(rank, arguments.processes, arguments.port)
    torch.set_num_threads(arguments.threads)
    recipe = read_recipe(arguments.recipe)
    tokenizer = Tokenizer.from_file(str(arguments.start / "tokenizer.json"))
    sources = load_sources(
        arguments.data,
        arguments.corpora,
        arguments.cards,
        recipe.wikipedia_lines,
        arguments.written,
    )
    model = BartForConditionalGeneration.from_pretrained(str(arguments.start))
    model.to(arguments.device)
    run(
        model,
        Mixture(sources, tokenizer),
        recipe,
        arguments.run,
        minutes=arguments.minutes,
        save_minutes=arguments.save_minutes,
        name=arguments.recipe.stem,
        team=team,
    )


def main() -> None:
    """Read the command line and train."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    for option in ("recipe", "start", "run", "data", "corpora", "cards"):
        parser.add_argument(f"--{option}", type=Path, required=True)
    parser.add_argument("--written", type=Path, help="folder with rows of self-training")
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--save-minutes", type=float, default=5.0)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2, help="threads of each process")
    parser.add_argument("--port", type=int, default=29_533)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    arguments = parser.parse_args()
    if arguments.processes == 1:
        work(0, arguments)
    else:
        os.environ.setdefault("OMP_NUM_THREADS", str(arguments.threads))
        spawn(work, (arguments,), nprocs=arguments.processes)


if __name__ == "__main__":
    main()
