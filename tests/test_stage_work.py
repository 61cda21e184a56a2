"""Stages counted against PyTorch's own counter while they run."""

from __future__ import annotations

from dataclasses import replace

import pytest
from torch.utils.flop_counter import FlopCounterMode

from dawgen.backbone import Backbone
from dawgen.backbone import linear as products
from dawgen.generator import fit_generator
from dawgen.pipeline.stage_work import Counter
from dawgen.settings.layers import build_settings
from dawgen.streams import Streams
from dawgen.tasks import Row, Shots, load_card
from dawgen.tasks.job import Job
from dawgen.tuning import fit_prompts, planned_arms

CARD = load_card("sick")
SMALL = [
    "generator.prompt_length=4",
    "generator.epochs=1",
    "generator.batch_size=2",
    "generator.meta_gradient=central",
    "tuning.prompt_length=4",
    "tuning.steps=4",
    "tuning.eval_every=2",
    "tuning.batch_size=3",
    "tuning.synthetic_batch_size=3",
]


def rows(count: int) -> list[Row]:
    return [Row("a man runs", "two dogs sleep", CARD.labels[i % 3]) for i in range(count)]


@pytest.fixture
def counter(tiny_bart: Backbone, monkeypatch: pytest.MonkeyPatch) -> Counter:
    monkeypatch.setattr(products, "onednn_is_faster", lambda: False)
    job = Job(CARD, Shots(rows(6), rows(3)), rows(5))
    return Counter(job, tiny_bart, build_settings(overrides=SMALL)[0])


def counted(call) -> int:
    with FlopCounterMode(display=False) as flops:
        call()
    return int(flops.get_total_flops())


@pytest.mark.parametrize("method", ["plain", "fewgen"])
def test_generator(counter: Counter, method: str) -> None:
    settings = build_settings(overrides=[*SMALL, f"generator.method={method}"])[0]
    count, train = replace(counter, settings=settings), counter.job.shots.train

    def fit() -> None:
        fit_generator(
            CARD, train, count.backbone, settings.generator, Streams(0), write_first=False
        )

    with counter.backbone.eager_attention():
        found = counted(fit)
    assert count.generator_steps() == 1  # two rows of each label, two at once
    assert count.generator().flops == pytest.approx(found, rel=0.1)


def test_tuning_with_its_looks(counter: Counter) -> None:
    tuning, shots, made = counter.settings.tuning, counter.job.shots, rows(9)
    works = [counter.tuning(made), counter.baseline()]
    for arm, work in zip(planned_arms(tuning, 13), works, strict=True):
        with counter.backbone.eager_attention():
            found = counted(
                lambda arm=arm: fit_prompts(
                    CARD, [arm], shots.train, shots.dev, made, counter.backbone, tuning
                )
            )
        assert work.flops == pytest.approx(found, rel=0.1)


def test_every_step_and_every_look_counts_once(counter: Counter) -> None:
    made = rows(9)
    look = counter.tuning(made, steps=0).flops
    step = counter.tuning(made, steps=1).flops - 2 * look  # one step ends with a look
    assert counter.tuning(made, steps=4).flops == pytest.approx(4 * step + 3 * look)
