"""Grids: the shipped ones, the user's, filters, layers of settings."""

from __future__ import annotations

import pytest

from dawgen.bench.grid import BackboneSpec, grid_names, grid_settings, load_grid, narrow, parse_grid
from dawgen.errors import UserError
from dawgen.evaluation.published import PAPER_ROWS, paper_tasks
from dawgen.methods import METHODS
from dawgen.tasks import card_names

SMALL = "{tasks: [sick], seeds: [1], methods: [a, b], backbones: [{name: tiny}], name: small}"


def test_three_tables_are_shipped():
    paper = ["table1", "table2", "table3"]
    assert grid_names() == ["gemma3-part", "smollm2-core", "smollm2-single", *paper]


@pytest.mark.parametrize("name", ["gemma3-part", "smollm2-core", "smollm2-single"])
def test_a_grid_of_a_small_model_names_methods_and_tasks_that_there_are(name):
    grid = load_grid(name)
    assert set(grid.tasks) <= set(card_names())
    assert "dawgen-shipped" in grid.methods
    assert set(grid.methods) <= set(METHODS)
    (settings,) = grid_settings(grid).values()
    assert settings.synthesis.chooses
    assert settings.selection.candidates == "all"


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_shipped_grid_is_its_table(number):
    grid = load_grid(f"table{number}")
    assert set(grid.tasks) == set(paper_tasks()) <= set(card_names())
    assert grid.seeds == [13, 21, 42, 87, 100]
    assert grid.methods == [row.method for row in PAPER_ROWS[number]]
    assert set(grid.methods) <= set(METHODS)
    assert grid.test_rows == 1000
    (settings,) = grid_settings(grid).values()
    assert (settings.backbone.path, settings.shots) == ("dawgen/tiny", 16)
    assert settings.tuning.optimizer == "adamw"  # the preset of that path


def test_transfer_has_sources_where_the_paper_has_figures():
    grid = load_grid("table1")
    assert set(paper_tasks()) - set(grid.sources) == {"qnli", "rte"}
    assert set(grid.sources.values()) <= set(card_names())
    assert all(task != source for task, source in grid.sources.items())


def test_filters_keep_the_grids_order():
    grid = narrow(load_grid("table1"), tasks=["sick", "mrpc"], methods=["ppt"], seeds=[21])
    assert (grid.tasks, grid.methods, grid.seeds) == (["mrpc", "sick"], ["ppt"], [21])


def test_a_preset_is_a_backbone_too():
    grid = narrow(load_grid("table1"), backbones=["flan-t5-large"])
    assert grid.backbones == [BackboneSpec(name="flan-t5-large", preset="flan-t5-large")]
    (settings,) = grid_settings(grid).values()
    assert settings.backbone.path == "google/flan-t5-large"


@pytest.mark.parametrize(
    "wrong", [{"tasks": ["sst2"]}, {"methods": ["pptt"]}, {"seeds": [7]}, {"backbones": ["bert"]}]
)
def test_a_filter_that_the_grid_does_not_have(wrong):
    with pytest.raises(UserError, match=r"^The grid has no .*; it has .*\.$"):
        narrow(load_grid("table1"), **wrong)


def test_layers_of_settings():
    text = SMALL.replace("{name: tiny}", "{name: tiny, settings: {tuning.steps: 7}}")
    text = text.replace("name: small", "settings: {tuning: {steps: 5, batch_size: 3}}, name: s")
    grid = parse_grid(text, "here")
    assert grid_settings(grid)["tiny"].tuning.steps == 7
    assert grid_settings(grid)["tiny"].tuning.batch_size == 3
    assert grid_settings(grid, ["tuning.steps=9"])["tiny"].tuning.steps == 9


def test_a_path_among_the_overrides_is_the_backbone_and_its_name():
    (name,) = found = grid_settings(load_grid("table1"), ["backbone.path=google/flan-t5-large"])
    assert name == "flan-t5-large"
    assert found[name].backbone.dtype == "bf16"  # its preset


def test_a_seed_is_no_setting_of_a_grid():
    with pytest.raises(UserError, match="--seeds"):
        grid_settings(load_grid("table1"), ["seed=5"])


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("[sick]", "[]", "tasks"),
        ("[a, b]", "[a, a]", "'a' is listed twice"),
        ("name: small", "nmae: small", "no grid entry 'nmae'"),
        ("seeds: [1], ", "", "entry 'seeds' is missing"),
        ("[{name: tiny}]", "[{name: tiny}, {name: tiny}]", "same name"),
        ("[{name: tiny}]", "[{name: a/b}]", "backbones.0.name"),
        ("seeds: [1]", "seeds: [1", "readable YAML"),
        (
            "seeds: [1]",
            "seeds: [-1]",
            "'seeds' cannot hold -1: it must be at least 0",
        ),
        (SMALL, "words", "name: value"),
    ],
)
def test_a_grid_that_is_none(old, new, words):
    with pytest.raises(UserError, match=r"^here") as caught:
        parse_grid(SMALL.replace(old, new), "here")
    assert words in str(caught.value)


def test_a_grid_that_is_not_there():
    with pytest.raises(UserError, match="did you mean 'table1'"):
        load_grid("tabel1")
