"""Five ways of writing the same texts, each in a process of its own."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import GenerationConfig, StoppingCriteria, StoppingCriteriaList
from transformers.utils import logging

from benchmarks.models import load
from dawgen.backbone import Backbone
from dawgen.backbone.frame import PLAIN
from dawgen.backbone.linear import relax
from dawgen.decoding import Decoding, Generation, Request, TransformersEngine
from dawgen.decoding.base import allowed_tokens, read_ids
from dawgen.decoding.ctranslate2 import CTranslate2Engine
from dawgen.decoding.sampling import Sampler
from dawgen.generator import label_prompt_start
from dawgen.machine.hardware import peak_memory_mib
from dawgen.synthesis.sources import corpus_lines
from dawgen.synthesis.writer import TURNS_SHARED_BY
from dawgen.tasks import Row, TaskCard, load_card, load_rows, packaged_data

ARMS = {
    "a": "one row at a time, `generate`",
    "b": "batched `generate`",
    "c": "dawgen, transformers",
    "d": "dawgen, ctranslate2 fp32",
    "e": "dawgen, ctranslate2 int8",
}


@dataclass(frozen=True)
class Job:
    """What every arm does.

    Attributes:
        batch_size: of dawgen's engines; (b) takes all rows at once.
        forced: whether texts end at a length drawn from the demo task's texts; a random model
            does not know when to end, the shipped one does.
        turns: few shots of its label that each row reads first; 8 rows read the same ones.
    """

    model: str
    device: str
    rows: int
    batch_size: int
    prompt_length: int
    seed: int
    threads: int
    forced: bool
    turns: int = 0


@dataclass
class Texts:
    """The texts to write, and in what way."""

    backbone: Backbone
    prompts: Tensor
    requests: list[Request]
    lengths: list[int]
    decoding: Decoding
    forced: bool


Write = Callable[[], int]
"""Writes all texts; how many tokens they have, end marks included."""


def prepare(job: Job) -> Texts:
    """Captions drawn by the seed, each once, under the prompts that the demo task's start from."""
    backbone = load(job.model, job.device, job.seed)
    card = load_card("demo")
    demo = load_rows(card, packaged_data(card)["train"], split="train")
    prompts = label_prompt_start(card, backbone, job.prompt_length)
    rng = np.random.default_rng(job.seed)
    captions = rng.choice(list(corpus_lines("captions")), job.rows, replace=False)
    texts = [len(backbone.encode_target(row.text2 or "")) for row in demo]
    frame = PLAIN if job.turns else None
    longest = -(-3 * max(texts) // 2)
    return Texts(
        backbone,
        prompts,
        _requests(job, card, demo, [str(text) for text in captions]),
        [int(n) for n in rng.choice(texts, job.rows)],
        Decoding(max_new_tokens=longest, batch_size=job.batch_size, frame=frame),
        job.forced,
    )


def _requests(
    job: Job, card: TaskCard, rows: Sequence[Row], captions: Sequence[str]
) -> list[Request]:
    count, found = len(card.labels), list[Request]()
    for i, text in enumerate(captions):
        label, group = i % count, i // count // TURNS_SHARED_BY
        own = [row for row in rows if row.label == card.labels[label]]
        drawn = [own[(group * job.turns + n) % len(own)] for n in range(job.turns)]
        turns = tuple((row.text1, row.text2 or "") for row in drawn)
        found.append(Request(text, label, i, turns))
    return found


# --- plain transformers ----------------------------------------------------------------


class _Lengths(StoppingCriteria):
    """Row i ends with its ``lengths[i]``-th token."""

    def __init__(self, lengths: Sequence[int], start: int) -> None:
        self.lengths, self.start = torch.tensor(lengths), start

    def __call__(self, input_ids: Tensor, scores: Any, **_: Any) -> Tensor:
        return (input_ids.shape[1] - self.start >= self.lengths).to(input_ids.device)


def _generate(texts: Texts, chosen: Sequence[int]) -> int:
    """Tokens of the chosen texts, written by one call of ``generate``."""
    backbone, requests = texts.backbone, [texts.requests[i] for i in chosen]
    length = texts.prompts.shape[1]
    frame = texts.decoding.frame
    sources = [backbone.encode_source(r.source, length, frame, r.turns) for r in requests]
    inputs = backbone.generation_inputs(texts.prompts[[r.label for r in requests]], sources)
    start = len(backbone.decoder_start) if backbone.is_encoder_decoder else 0
    config = GenerationConfig(
        do_sample=True,
        top_k=texts.decoding.top_k,
        max_new_tokens=texts.decoding.max_new_tokens,
        eos_token_id=backbone.end_id,
        pad_token_id=backbone.end_id,
        suppress_tokens=[backbone.end_id] if texts.forced else None,
        decoder_start_token_id=backbone.decoder_start[0] if start else None,
    )
    lengths = [texts.lengths[i] for i in chosen]
    stop = StoppingCriteriaList([_Lengths(lengths, start)] if texts.forced else [])
    model: Any = backbone.model
    with torch.inference_mode():
        ids = model.generate(**inputs, generation_config=config, stopping_criteria=stop)
    if texts.forced:
        return sum(lengths)
    return sum(read_ids(backbone, row).tokens for row in ids[:, start:].tolist())


def one_by_one(texts: Texts) -> Write:
    """As FewGen's published code writes its rows; products are PyTorch's own."""
    relax(texts.backbone.model)
    return lambda: sum(_generate(texts, [i]) for i in range(len(texts.requests)))


def batched(texts: Texts) -> Write:
    """One padded batch; products are PyTorch's own."""
    relax(texts.backbone.model)
    return lambda: _generate(texts, range(len(texts.requests)))


# --- ours ------------------------------------------------------------------------------


class _ForcedSampler(Sampler):
    """Chooses the end mark as a row's last token and never before; rows are told by seeds."""

    lengths: Tensor

    def choose(self, scores: Tensor, written: Tensor, labels: Tensor, seeds: Tensor) -> Tensor:
        scores[:, self.end_id] = -torch.inf
        chosen = super().choose(scores, written, labels, seeds)
        last = self.lengths[seeds] == written.shape[1] + 1
        return torch.where(last, self.end_id, chosen)


class _ForcedCTranslate2(CTranslate2Engine):
    """Stops each row at its length by the library's callback; rows are told by their place.

    A place is one within a batch, so each group of rows is one batch, whatever its size.
    """

    lengths: list[int]

    def generate(self, requests: Sequence[Request]) -> list[Generation]:
        self.requests = list(requests)
        return super().generate(requests)

    def _write(self, model: Any, rows: Any) -> list[list[int]]:
        every, label = self.backbone.is_encoder_decoder, rows[0][0]
        asked = [r for r in self.requests if every or r.label == label]
        self.missing = [self.lengths[r.seed] for r in asked]
        return super()._write(model, rows)

    def _options(self, label: int) -> dict[str, Any]:
        def ends(step: Any) -> bool:
            self.missing[step.batch_id] -= 1
            return self.missing[step.batch_id] <= 0

        options = {**super()._options(label), "max_batch_size": 0, "callback": ends}
        return {**options, "suppress_sequences": [[str(self.backbone.end_id)]]}


def ours(texts: Texts) -> Write:
    """The engine `transformers`."""
    engine = TransformersEngine(texts.backbone, texts.prompts, texts.decoding)
    if texts.forced:
        allowed = allowed_tokens(texts.backbone)
        sampler = _ForcedSampler(allowed, texts.backbone.end_id, texts.decoding)
        sampler.lengths = torch.tensor(texts.lengths, device=texts.backbone.device)
        engine.sampler = sampler
    return lambda: sum(text.tokens for text in engine.generate(texts.requests))


def theirs(texts: Texts, quantization: str) -> Write:
    """The engine `ctranslate2`."""
    kind = _ForcedCTranslate2 if texts.forced else CTranslate2Engine
    engine = kind(texts.backbone, texts.prompts, texts.decoding, quantization)
    if isinstance(engine, _ForcedCTranslate2):
        engine.lengths = texts.lengths
    # The library runs a model of its own: an engine alone would not hold the other.
    return lambda: sum(text.tokens for text in engine.generate(texts.requests))


MAKE: dict[str, Callable[[Texts], Write]] = {
    "a": one_by_one,
    "b": batched,
    "c": ours,
    "d": lambda texts: theirs(texts, "none"),
    "e": lambda texts: theirs(texts, "int8"),
}


def serve(arm: str, job: Job, line: Connection) -> None:
    """An arm's process: get ready, then write all texts whenever asked, and report."""
    logging.set_verbosity_error()
    torch.set_num_threads(job.threads)
    try:
        texts = prepare(job)
        before = peak_memory_mib()
        write = MAKE[arm](texts)
        write()  # the first time pages memory in
        line.send(("ready", before))
        while line.recv():
            gc.collect()
            started, busy = time.perf_counter(), time.process_time()
            tokens = write()
            if job.device != "cpu":
                torch.cuda.synchronize()
            line.send((tokens, time.perf_counter() - started, time.process_time() - busy))
        gpu = torch.cuda.max_memory_allocated() / 2**20 if job.device != "cpu" else None
        line.send({"memory_mib": peak_memory_mib(), "loaded_mib": before, "gpu_mib": gpu})
    except Exception as error:
        line.send(("failed", f"{type(error).__name__}: {error}"))
