"""Settings: layers, presets, and one clear sentence for a wrong one."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from dawgen.errors import UserError
from dawgen.settings import Settings, build_settings, dump_settings, preset_names


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_loads(name: str) -> None:
    settings, used = build_settings(preset=name)
    assert used == name
    assert settings != Settings()


def test_the_preset_follows_the_backbone() -> None:
    assert build_settings()[1] == "tiny"
    assert build_settings(overrides=["backbone.path=google/flan-t5-large"])[1] == "flan-t5-large"
    assert build_settings(overrides=["backbone.path=./mine"])[1] is None


def test_later_layers_win(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("tuning: {steps: 7, epsilon: 0.5}\n")
    settings, _ = build_settings(file=file, overrides=["tuning.steps=9", "seed=21"])
    assert (settings.tuning.steps, settings.tuning.epsilon, settings.seed) == (9, 0.5, 21)
    assert settings.tuning.prompt_length == 20  # the preset's


def test_scientific_numbers_and_nothing_are_read() -> None:
    settings, _ = build_settings(overrides=["tuning.learning_rate=1e-3", "tuning.patience=null"])
    assert settings.tuning.learning_rate == 0.001
    assert settings.tuning.patience is None


def test_a_dump_is_read_back_the_same(tmp_path: Path) -> None:
    settings, _ = build_settings(overrides=["tuning.steps=11"])
    (tmp_path / "config.yaml").write_text(dump_settings(settings))
    assert build_settings(file=tmp_path / "config.yaml")[0] == settings


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("tuning.step=3", "no setting 'tuning.step'; did you mean 'tuning.steps'"),
        ("learning_rate=3", "no setting 'learning_rate'; did you mean"),
        ("tuning.steps=many", "'tuning.steps' cannot be 'many'"),
        ("tuning.steps=0", "greater than 0"),
        ("backbone.dtype=fp16", "T5 overflows"),
        ("tuning.combine=magic", "'tuning.combine' cannot be 'magic'"),
        ("tuning.steps", "write it as section.name=value"),
        ("backbone=5", "'backbone' cannot be 5"),
    ],
)
def test_a_wrong_override_is_one_sentence(override: str, words: str) -> None:
    with pytest.raises(UserError) as caught:
        build_settings(overrides=[override])
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unreadable_file_names_its_line(tmp_path: Path) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text("seed: 3\ntuning: [unclosed\n")
    with pytest.raises(UserError, match=r"bad\.yaml, line \d"):
        build_settings(file=file)


def test_an_unknown_preset_names_the_known() -> None:
    with pytest.raises(UserError, match="no preset 'big'; choose one of flan-t5-large"):
        build_settings(preset="big")


def test_presets_hold_only_what_differs() -> None:
    defaults = Settings().model_dump()
    for name in preset_names():
        tree = build_settings(preset=name)[0].model_dump()
        file = Path(__file__).parents[1] / "src/dawgen/presets" / f"{name}.yaml"
        for section, values in yaml.safe_load(file.read_text()).items():
            for key in values:
                if (section, key) != ("backbone", "path"):
                    assert tree[section][key] != defaults[section][key], f"{name}: {section}.{key}"
