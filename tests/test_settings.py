"""Settings: layers, presets, and one clear sentence for a wrong one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from dawgen.errors import UserError
from dawgen.machine.precision import best_dtype
from dawgen.settings import BackboneSettings, Settings
from dawgen.settings.layers import as_overrides, build_settings, dump_settings, preset_names
from dawgen.settings.retired import RETIRED
from dawgen.tasks import load_card, parse_card


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_loads(name: str) -> None:
    settings, used = build_settings(preset=name)
    assert used == name
    assert settings != Settings()


def test_the_preset_follows_the_backbone() -> None:
    assert build_settings()[1] == "tiny"
    assert build_settings(overrides=["backbone.path=google/flan-t5-large"])[1] == "flan-t5-large"
    assert build_settings(overrides=["backbone.path=./mine"])[1] is None


def test_the_preset_of_a_writer_sets_what_concerns_writing() -> None:
    sets = ["backbone.path=tiny", "generator.backbone=gemma3"]
    both, name = build_settings(overrides=[*sets, "generator.epochs=2"])
    tiny, gemma3 = build_settings(preset="tiny")[0], build_settings(preset="gemma3")[0]
    assert name == "tiny"
    assert (both.tuning, both.backbone) == (tiny.tuning, tiny.backbone)
    assert both.synthesis == gemma3.synthesis
    writing = both.generator.model_dump(exclude={"backbone", "epochs"})
    assert writing == gemma3.generator.model_dump(exclude={"backbone", "epochs"})
    assert (both.generator.epochs, both.generator.backbone) == (2, "dawgen/gemma3")
    assert both.writer == gemma3.backbone
    assert tiny.writer is tiny.backbone


def test_a_writer_is_where_the_backbone_is() -> None:
    """Its own are path and number format; a model's own code runs only if the user allows it."""
    sets = ["backbone.path=a", "backbone.device=meta", "backbone.max_length=99"]
    settings, _ = build_settings(overrides=[*sets, "backbone.revision=v1", "generator.backbone=b"])
    expected = BackboneSettings(path="b", device="meta", max_length=99, dtype="auto")
    assert settings.writer == expected
    trusting = build_settings(
        overrides=["generator.backbone=b", "backbone.trust_remote_code=true"]
    )[0]
    assert trusting.writer.trust_remote_code
    same = build_settings(overrides=["backbone.path=a", "generator.backbone=a"])[0]
    assert same.writer is same.backbone


def test_later_layers_win(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("tuning: {steps: 7, epsilon: 0.5}\n")
    settings, _ = build_settings(file=file, overrides=["tuning.steps=9", "seed=21"])
    assert (settings.tuning.steps, settings.tuning.epsilon, settings.seed) == (9, 0.5, 21)
    assert settings.tuning.prompt_length == 20  # the preset's


def test_a_mapping_is_one_value(tmp_path: Path) -> None:
    """A later mix of sources is not stirred into an earlier one; a dotted name changes an entry."""
    file = tmp_path / "mine.yaml"
    file.write_text("synthesis: {first_sentences: {captions: 0.7, few-shots: 0.3}}\n")
    key = "synthesis.first_sentences"

    def mix(*overrides: str) -> object:
        return build_settings(file=file, overrides=overrides)[0].synthesis.first_sentences

    assert mix(f"{key}={{questions: 1.0}}") == {"questions": 1.0}
    assert mix("synthesis={first_sentences: {questions: 1.0}}") == {"questions": 1.0}
    assert mix(f"{key}.few-shots=0.1") == {"captions": 0.7, "few-shots": 0.1}
    assert mix(f"{key}=card", f"{key}.wikipedia=1") == {"wikipedia": 1.0}
    again = build_settings(file=file, overrides=["synthesis={temperature: 0.5}"])[0].synthesis
    assert (again.temperature, again.first_sentences) == (0.5, mix())


def test_scientific_numbers_and_nothing_are_read() -> None:
    settings, _ = build_settings(overrides=["tuning.learning_rate=1e-3", "tuning.patience=null"])
    assert settings.tuning.learning_rate == 0.001
    assert settings.tuning.patience is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        *((text, text) for text in ("a #b", "#b", "123", "null", "~", "no", "2020-01-01", "1e5")),
        *((text, text) for text in ("model: v2", "[a]", "{a: 1}", "{a", "'a' b", "!!str 5")),
        *((" a ", "a"), ("", ""), ("'no'", "no"), ('"a: b"', "a: b"), ("'it''s'", "it's")),
    ],
)
@pytest.mark.parametrize("key", ["backbone.path", "tracking.project", "methods.ppt.corpus"])
def test_what_takes_text_takes_any_text(key: str, value: str, expected: str) -> None:
    found: Any = build_settings(preset="tiny", overrides=[f"{key}={value}"])[0]
    for name in key.split("."):
        found = getattr(found, name)
    assert found == expected


def test_text_beside_other_kinds_of_values() -> None:
    """Null where a setting can be empty, a mix where it can be one; quotes say the text."""

    def get(override: str) -> object:
        settings = build_settings(preset="tiny", overrides=[override])[0]
        return settings.backbone.revision or settings.synthesis.first_sentences

    assert get("backbone.revision=null") == build_settings()[0].synthesis.first_sentences
    assert get("backbone.revision='null'") == "null"
    assert get("backbone.revision=12e4567") == "12e4567"
    assert get("synthesis.first_sentences=model: v2") == "model: v2"
    assert get("synthesis.first_sentences={captions: 1}") == {"captions": 1}
    assert get("synthesis.first_sentences={captions: 1}.txt") == "{captions: 1}.txt"


def test_a_pair_of_name_and_value_is_taken_as_it_is() -> None:
    tree = {"tuning.steps": 7, "tracking.project": "null", "tracking.to": ["wandb"]}
    settings = build_settings(overrides=as_overrides(tree))[0]
    assert (settings.tuning.steps, settings.tracking.project) == (7, "null")
    assert settings.tracking.to == ["wandb"]
    with pytest.raises(UserError, match=r"'backbone\.path' cannot be null"):
        build_settings(overrides=as_overrides({"backbone.path": None}))


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
        ("tuning.steps=0", "more than 0"),
        ("tuning.steps=5 #b", "'tuning.steps' cannot be '5 #b'"),
        ("tracking.to=[wandb #b]", "'tracking.to' cannot be '[wandb #b]'"),
        ("backbone.dtype=fp16", "T5 overflows"),
        ("tuning.combine=magic", "'tuning.combine' cannot be 'magic'"),
        ("tuning.steps", "write it as section.name=value"),
        ("synthesis.repetition_penalty={neutral: 0.5}", "at least 1, or one for each label"),
        ("synthesis.repetition_penalty=high", "cannot be 'high'"),
        ("synthesis.engine=vllm", "'synthesis.engine' cannot be 'vllm'"),
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
    with pytest.raises(UserError, match="no preset 'big'; choose one of causal, flan-t5-large"):
        build_settings(preset="big")


def values(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """The leaves by their dotted names."""
    leaves = {}
    for key, value in tree.items():
        inner = isinstance(value, dict)
        leaves |= values(value, f"{prefix}{key}.") if inner else {f"{prefix}{key}": value}
    return leaves


@pytest.mark.parametrize("name", preset_names())
def test_a_preset_holds_only_what_differs(name: str) -> None:
    """From the defaults, or from the preset that it extends."""
    folder = Path(__file__).parents[1] / "src/dawgen/settings/presets"
    tree = yaml.safe_load((folder / f"{name}.yaml").read_text())
    base = tree.pop("preset", None)
    before = build_settings(preset=base)[0] if base else Settings()
    after = values(build_settings(preset=name)[0].model_dump())
    same = {key for key in values(tree) if after[key] == values(before.model_dump())[key]}
    assert same <= {"backbone.path", "backbone.dtype"}  # auto is fp32 on some machines


@pytest.mark.parametrize(
    ("name", "path"),
    [("t5-large", "google/t5-large-lm-adapt"), ("flan-t5-large", "google/flan-t5-large")],
)
def test_the_defaults_are_the_papers(name: str, path: str) -> None:
    changes = {"path": path, "dtype": "bf16"}
    tree = Settings().model_dump()
    tree["backbone"].update(changes)
    assert build_settings(preset=name)[0].model_dump() == tree


def test_a_card_decides_what_neither_preset_nor_user_names(tmp_path: Path) -> None:
    """Defaults, then the card, then the preset, then the user."""
    text = yaml.safe_dump(
        {
            **load_card("demo").model_dump(),
            "decoding": {"temperature": 0.2, "top_k": 3, "top_p": 0.9},
        }
    )
    card = parse_card(text, "a card")
    synthesis = build_settings(overrides=["synthesis.top_k=7"])[0].synthesis.for_card(card)
    assert synthesis.temperature == 0.7  # the preset's
    assert synthesis.top_k == 7
    assert synthesis.top_p == 0.9
    assert synthesis.for_card(card) == synthesis
    assert (
        build_settings()[0].synthesis.for_card(load_card("demo")) == build_settings()[0].synthesis
    )


def test_with_many_labels_each_has_fewer_rows() -> None:
    settings, _ = build_settings(preset="smollm2")
    rows = {
        name: settings.synthesis.for_card(load_card(name)).rows_per_label
        for name in ("sick", "trec", "banking77")
    }
    assert rows == {"sick": 100, "trec": 100, "banking77": 25}
    more, _ = build_settings(preset="smollm2", overrides=["synthesis.most_rows=null"])
    assert more.synthesis.for_card(load_card("banking77")).rows_per_label == 100


def test_a_penalty_by_label_is_read(tmp_path: Path) -> None:
    settings, _ = build_settings(overrides=["synthesis.repetition_penalty={'no': 1.5}"])
    assert settings.synthesis.repetition_penalty == {"no": 1.5}
    with pytest.raises(UserError, match="quote labels such as 'no'"):
        build_settings(overrides=["synthesis.repetition_penalty={no: 1.5}"])
    file = tmp_path / "mine.yaml"
    file.write_text("synthesis: {repetition_penalty: {entailment: 1, neutral: 1.5}}\n")
    assert build_settings(preset="t5-large", file=file)[0].synthesis.repetition_penalty == {
        "entailment": 1,
        "neutral": 1.5,
    }


@pytest.mark.parametrize(
    ("over", "expected"),
    [
        ([], {"batch_size", "choose"}),
        (["synthesis.engine=transformers"], {"batch_size", "choose"}),
        (["synthesis.engine=ctranslate2"], {"choose"}),
        (["synthesis.quantization=int8"], {"choose"}),
        (["synthesis.choose.by=reader"], {"batch_size"}),
    ],
)
def test_the_batch_is_only_speed_where_rows_have_their_own_seeds(
    over: list[str], expected: set[str]
) -> None:
    assert build_settings(overrides=over)[0].synthesis.only_speed() == expected


def test_a_causal_model_without_a_preset_takes_the_rule_for_causal_models(tmp_path: Path) -> None:
    def preset_of(config: dict[str, object] | None, file: str = "config.json") -> str | None:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        (folder / file).write_text(json.dumps(config))
        return build_settings(overrides=[f"backbone.path={folder}"])[1]

    assert preset_of({"architectures": ["LlamaForCausalLM"]}) == "causal"
    assert preset_of({}, "weights.gguf") == "causal"
    assert preset_of({"architectures": ["T5ForConditionalGeneration"]}) is None
    assert preset_of({"architectures": ["XCausalLM"], "is_encoder_decoder": True}) is None
    assert preset_of(None) is None
    assert build_settings(overrides=["backbone.path=owner/never-fetched"])[1] is None


def test_the_named_causal_models_take_the_same_rule() -> None:
    rule = build_settings(preset="causal")[0].model_dump(exclude={"backbone"})
    for name in ("smollm2", "gemma3"):
        settings, preset = build_settings(overrides=[f"backbone.path={name}"])
        assert preset == name
        assert settings.backbone.path == f"dawgen/{name}"
        assert settings.backbone.dtype == best_dtype("auto")
        own = {
            "synthesis": {"rows_per_label", "shots_in_context", "oversample"},
            "generator": {"epochs", "weights_every"},
        }
        tree = settings.model_dump(exclude={"backbone"})
        for part, keys in own.items():
            differs = {key for key in rule[part] if tree[part][key] != rule[part][key]}
            assert differs == keys
        assert {**tree, **{part: rule[part] for part in own}} == rule


# --- settings that were removed ---------------------------------------------------------------


@pytest.mark.parametrize("key", list(RETIRED))
def test_a_file_with_a_removed_setting_at_its_default_opens_silently(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], key: str
) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(dump_settings(Settings()) + f"{key}: {json.dumps(RETIRED[key])}\n")
    assert build_settings(file=file, preset="t5-large")[0] == Settings.model_validate(
        yaml.safe_load(dump_settings(Settings()))
    )
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("key", list(RETIRED))
def test_a_file_with_another_value_of_a_removed_setting_opens_with_a_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], key: str
) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(f"shots: 3\n{key}: 2.5\n")
    assert build_settings(file=file)[0].shots == 3
    told = " ".join(capsys.readouterr().err.split())
    assert f"{key} was removed from dawgen; its value 2.5 has no effect" in told


@pytest.mark.parametrize("key", [*RETIRED, "synthesis.cleaning.contrast", "contrast"])
def test_a_removed_setting_on_the_command_line_is_an_error(key: str) -> None:
    with pytest.raises(UserError, match=f"{key.rpartition('.')[2]} was removed; leave it out"):
        build_settings(overrides=[f"{key}=1"])


def test_an_old_card_with_a_removed_setting_opens(capsys: pytest.CaptureFixture[str]) -> None:
    tree = load_card("demo").model_dump()
    tree["decoding"] = {"temperature": 0.5, "min_p": 0.0}
    assert parse_card(yaml.safe_dump(tree), "a card").decoding.temperature == 0.5
    assert capsys.readouterr().err == ""
    tree["decoding"]["contrast"] = 0.5
    parse_card(yaml.safe_dump(tree), "a card")
    assert "synthesis.contrast was removed" in " ".join(capsys.readouterr().err.split())
