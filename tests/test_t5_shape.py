"""`make t5-shape` on a small shape: what it builds, measures and says; not its speed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import T5Config, T5ForConditionalGeneration

from benchmarks import t5_shape
from benchmarks.t5_shape import SAME, SHAPES, UNITS, Figure, compare, measure, report
from dawgen.backbone import load_backbone
from dawgen.settings.layers import build_settings

Found = tuple[Path, dict[str, Any]]


def here(work: Callable[..., Any], *given: Any) -> Any:
    """In this process: a new one takes longer to start than a small shape takes."""
    return work(*given)


@pytest.mark.parametrize("preset", SHAPES)
def test_the_shape_has_as_many_parameters_as_the_published_models(preset: str) -> None:
    tree = {key: value for key, value in SHAPES[preset].items() if key != "architectures"}
    with torch.device("meta"):
        model = T5ForConditionalGeneration(T5Config(**tree))
    size = sum(weight.numel() for weight in model.parameters())
    assert size + model.shared.weight.numel() == 783_150_080  # with the head's own table


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Found:
    """A sixteenth of Flan-T5-large through all of it; in software bf16 would take minutes."""
    home = tmp_path_factory.mktemp("t5") / "home"
    more = ["backbone.dtype=fp32"]
    return home, measure("flan-t5-large", home, scale=16, more=more, call=here)


@pytest.mark.slow
def test_a_small_shape_goes_through_the_preset_with_counts_and_dtype_changed(small: Found) -> None:
    """The presets themselves ask for bf16."""
    assert {build_settings(preset=name)[0].backbone.dtype for name in SHAPES} == {"bf16"}
    home, found = small
    record = json.loads((home / "run" / "run.json").read_text("utf-8"))
    assert record["preset"] == "flan-t5-large"
    assert record["backbone"]["dtype"] == "fp32"
    ledger = json.loads((home / "run" / "synthetic" / "ledger.json").read_text("utf-8"))
    assert ledger["kept"] == ledger["attempted"] == 24
    logs = {stage: home / "run" / stage / "log.jsonl" for stage in ("generator", "prompt")}
    steps = {stage: len(log.read_text().splitlines()) for stage, log in logs.items()}
    assert steps == {"generator": 2, "prompt": 3}  # the prompt's start is looked at too
    assert [one.stage for one in found["figures"][::2]] == list(UNITS)
    assert all(one.planned > 0 and one.measured > 0 for one in found["figures"])


@pytest.mark.slow
def test_the_head_has_a_table_of_its_own(small: Found) -> None:
    """As T5 1.1; with the input's for both, logits would be scaled and scores others."""
    backbone = load_backbone(str(small[0] / "model"))
    table = backbone.model.get_input_embeddings().weight
    assert backbone.head.weight.shape == table.shape
    assert not torch.equal(backbone.head.weight, table)
    assert backbone.head.scale == 1.0


@pytest.mark.slow
def test_peft_and_the_exported_checkpoint_give_the_run_s_scores(small: Found) -> None:
    found = small[1]
    assert max(found["differences"].values()) < SAME < found["prompt_moves"] / 2


@pytest.mark.parametrize(("ratio", "holds"), [(1.25, True), (0.8, True), (1.26, False), (0.79, 0)])
def test_a_figure_may_be_a_quarter_off(ratio: float, holds: bool) -> None:
    assert Figure("tuning", "MiB", 100.0, 100.0 * ratio).holds(0.25) == bool(holds)


def test_figures_are_of_a_step_or_a_row() -> None:
    plans = {stage: {"seconds": 12.0, "mib": 100.0} for stage in UNITS}
    takes = {stage: {"seconds": 24.0, "mib": 110.0} for stage in UNITS}
    found = compare(plans, takes)
    assert [one.planned for one in found if one.name != "MiB"] == [6.0, 0.5, 6.0, 2.0]
    assert {round(one.ratio, 3) for one in found} == {2.0, 1.1}


def test_each_missed_bound_is_a_failure(monkeypatch, capsys) -> None:
    """The exit code is 1, and the table says which one."""
    whole = {
        "preset": "t5-large",
        "parameters": 7,
        "figures": [Figure("tuning", "MiB", 100.0, 120.0)],
        "differences": {"peft": 0.01, "hf": 0.0},
        "prompt_moves": 1.0,
    }
    missed = [
        whole | {"figures": [Figure("tuning", "MiB", 100.0, 130.0)]},
        whole | {"differences": {"peft": 0.2, "hf": 0.0}},
        whole | {"prompt_moves": 0.05},
    ]
    assert report(whole, 0.25)[1]
    for found in missed:
        lines, holds = report(found, 0.25)
        assert not holds
        assert "\n".join(lines).count("missed") == 1
    for given, code in [(whole, 0), (missed[0], 1)]:
        monkeypatch.setattr(t5_shape, "measure", lambda *_, given=given: given)
        assert t5_shape.main(["--presets", "t5-large"]) == code
        assert "| tuning | MiB | 100.00 | 1" in capsys.readouterr().out
