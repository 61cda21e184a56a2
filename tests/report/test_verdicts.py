"""Verdicts: every rule from figures that are worked by hand, and none where a run has none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dawgen.report.read import read_run
from dawgen.report.verdicts import about_rows, tune_command, verdicts
from dawgen.synthesis.verdicts import Verdict, of_rows
from tests.report.folder import LEDGER, RUN, SCORES

COMMAND = ["dawgen", "run", "pairs.yaml", "--train", "t.csv", "--out", "runs/pairs"]


def write(folder: Path, name: str, content: Any) -> None:
    (folder / name).write_text(json.dumps(content))


@pytest.fixture
def run_folder(run_folder: Path) -> Path:
    """With a command without hostile texts."""
    write(run_folder, "run.json", RUN | {"command": COMMAND, "overlap": 0})
    return run_folder


def found(folder: Path, name: str) -> Verdict | None:
    named = [verdict for verdict in verdicts(read_run(folder), None) if verdict.name == name]
    assert len(named) <= 1
    return named[0] if named else None


def text_of(folder: Path, name: str) -> str:
    verdict = found(folder, name)
    assert verdict is not None
    return verdict.text


def scores(folder: Path, **changes: Any) -> None:
    write(folder, "scores.json", {k: v for k, v in (SCORES | changes).items() if v is not None})


def candidate(name: str, held_out: float, test: float, **more: Any) -> dict[str, Any]:
    facts = {"shipped_better": 3, "shipped_worse": 1, "p": 0.625, "held_out_rows": 8}
    return {"name": name, "held_out_accuracy": held_out, "test_accuracy": test, **facts, **more}


def test_at_most_five_and_each_with_a_command(run_folder: Path) -> None:
    write(run_folder, "run.json", RUN | {"command": COMMAND, "overlap": 2})
    scores(run_folder, scored_on="development shots", n=4)
    quality = {
        "from_few_shots": {"length": 10.0, "length_there": 37.0},
        "text2_alone": {"accuracy": 0.9, "chance": 0.5},
    }
    write(run_folder, "synthetic/quality.json", quality)
    every = verdicts(read_run(run_folder), None)
    assert [v.name for v in every] == ["written", "test", "overlap", "no better", "unlike", "alone"]
    assert verdicts(read_run(run_folder)) == every[:5]
    assert all(verdict.command[:2] == ("dawgen", "run") for verdict in every)


def test_an_empty_folder_has_none(tmp_path: Path) -> None:
    assert verdicts(read_run(tmp_path)) == []


# --- written rows ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("baseline", "sentence"),
    [
        ((0.25, 0.05, 0.7), "helped the prompt by 25.0 points"),
        ((0.75, 0.3, 0.95), "hurt the prompt by 25.0 points"),
        ((0.10, 0.05, 0.14), "helped the prompt by 40.0 points"),
        ((0.5, 0.15, 0.85), "made no difference to the prompt"),
    ],
)
def test_whether_written_rows_helped(
    run_folder: Path, baseline: tuple[float, float, float], sentence: str
) -> None:
    accuracy, *interval = baseline
    scores(run_folder, baseline={"accuracy": accuracy, "accuracy_95": interval, "n": 4})
    text = text_of(run_folder, "written")
    assert text.startswith(f"Written rows {sentence}: 50.0% of 4 test rows")
    assert ("may be chance" in text) == (accuracy in (0.25, 0.75))  # the interval is 15 to 85 %


def test_a_doubtful_gain_asks_for_another_seed_in_its_own_folder(run_folder: Path) -> None:
    verdict = found(run_folder, "written")
    assert verdict is not None
    assert " ".join(verdict.command) == (
        "dawgen run pairs.yaml --train t.csv --seed 14 --out runs/pairs-14"
    )


def test_another_seed_replaces_the_one_of_the_command(run_folder: Path) -> None:
    write(run_folder, "run.json", RUN | {"command": [*COMMAND, "--seed=13"]})
    verdict = found(run_folder, "written")
    assert verdict is not None
    assert [word for word in verdict.command if "seed" in word] == ["--seed"]


def test_rows_that_help_beyond_chance_are_tried_with_another_seed(run_folder: Path) -> None:
    for accuracy in (0.10, 0.5):  # rows that helped, rows that made no difference
        scores(run_folder, baseline={"accuracy": accuracy, "accuracy_95": [0.05, 0.14], "n": 4})
        verdict = found(run_folder, "written")
        assert verdict is not None
        assert verdict.change == ("--seed", "14", "--out", "runs/pairs-14")


def test_rows_that_hurt_beyond_chance_are_left_out_next_time(run_folder: Path) -> None:
    scores(run_folder, baseline={"accuracy": 0.95, "accuracy_95": [0.9, 0.99], "n": 4})
    verdict = found(run_folder, "written")
    assert verdict is not None
    assert verdict.command == (*COMMAND, "-s", "tuning.combine=real")


def test_a_shipped_head_is_compared_with_and_without_written_rows(run_folder: Path) -> None:
    table = [candidate("tfidf", 0.7, 0.25), candidate("tfidf+written", 0.8, 0.75)]
    scores(run_folder, choice="tfidf+written", candidates=table, prompt={"accuracy": 0.5, "n": 4})
    assert text_of(run_folder, "written").startswith(
        "Written rows helped logistic regression on TF-IDF by 50.0 points: 75.0% of 4 test rows"
    )
    assert "; the prompt has 50.0% with them and 25.0% without." in text_of(run_folder, "written")
    # The model card is about the prompt.
    assert about_rows(read_run(run_folder))[0].text.startswith("Written rows helped the prompt")


def test_the_prompt_is_mentioned_where_the_shipped_head_gained_nothing(run_folder: Path) -> None:
    table = [candidate("tfidf", 0.7, 0.75), candidate("tfidf+written", 0.8, 0.75)]
    scores(run_folder, choice="tfidf", candidates=table, prompt={"accuracy": 0.5, "n": 4})
    text = text_of(run_folder, "written")
    assert "made no difference to logistic regression on TF-IDF: 75.0% of 4 test rows" in text
    assert text.endswith("; the prompt has 50.0% with them and 25.0% without.")


def test_without_a_baseline_the_best_candidate_on_shots_alone_stands_for_it(
    run_folder: Path,
) -> None:
    table = [
        candidate("tfidf", 0.7, 0.25),
        candidate("states", 0.6, 0.99),  # held-out rows decide, not test rows
        candidate("zero-shot", 0.9, 0.9),
        candidate("prompt", 0.8, 0.5),
    ]
    scores(run_folder, baseline=None, choice="prompt", candidates=table)
    assert text_of(run_folder, "written").startswith(
        "With written rows the prompt reaches 50.0% of 4 test rows, logistic regression on TF-IDF "
        "without written rows 25.0%"
    )


def test_without_anything_to_compare_it_says_so(run_folder: Path) -> None:
    scores(run_folder, baseline=None)
    verdict = found(run_folder, "written")
    assert verdict is not None
    assert "is not known" in verdict.text
    assert verdict.command[-1] == "tuning.baseline=true"


def test_rows_that_were_not_used_get_no_credit(run_folder: Path) -> None:
    write(run_folder, "prompt/arm.json", {"combine": "real"})
    assert "were not used" in text_of(run_folder, "written")


@pytest.mark.parametrize(
    ("ours", "yours", "change"),
    [
        (10.0, 37.0, "synthesis.shortest_text=0.5"),
        (60.0, 37.0, "synthesis.longest_text=1.0"),
        (30.0, 37.0, None),
        (None, 37.0, None),
    ],
)
def test_rows_of_another_length(ours: float | None, yours: float, change: str | None) -> None:
    shots = {"length": ours, "length_there": yours}
    verdicts_ = of_rows({"from_few_shots": shots}, {})
    assert [verdict.change for verdict in verdicts_] == ([("-s", change)] if change else [])
    if ours == 10.0:
        assert verdicts_[0].text == (
            "Written rows look unlike yours: they have a mean of 10 words, yours 37."
        )


@pytest.mark.parametrize(("accuracy", "said"), [(0.67, True), (0.66, False)])
def test_a_label_that_text2_gives_away(accuracy: float, said: bool) -> None:
    """Of three labels, half of the way from chance to certainty is 2/3."""
    quality = {"text2_alone": {"accuracy": accuracy, "chance": 0.3333}}
    assert [verdict.name for verdict in of_rows(quality, {})] == ["alone"] * said
    assert of_rows({"text2_alone": None}, {}) == []


@pytest.mark.parametrize(
    ("rows", "shots", "said"), [(0.9, 0.2, True), (0.5, 0.2, False), (0.9, 0.5, False)]
)
def test_a_label_that_a_word_gives_away(rows: float, shots: float, said: bool) -> None:
    """Unless the few shots have at least half of the difference."""
    part = {"word": "not", "rows": rows, "elsewhere": 0.1, "shots": shots, "shots_elsewhere": 0.0}
    other = {"word": "a", "rows": 0.3, "elsewhere": 0.2, "shots": 0.0, "shots_elsewhere": 0.0}
    found = of_rows({"telling_words": {"other": other, "against": part}}, {})
    assert [verdict.name for verdict in found] == ["word"] * said
    if said:
        assert found[0].text == (
            "Written rows of label against give it away by a word: 'not' is in 90.0% of them and "
            "in 10.0% of the others (your examples: 20.0% and 0.0%)."
        )


def test_a_label_with_few_rows() -> None:
    (verdict,) = of_rows({}, labels(yes=90, no=10))
    assert verdict.text == (
        "Label no has 10 written rows of 100 tries; the mean of all labels is 50."
    )
    assert of_rows({}, labels(yes=90, no=30)) == []
    assert of_rows({}, LEDGER) == []


def labels(**kept: int) -> dict[str, Any]:
    return {"labels": {name: {"attempted": 100, "kept": n} for name, n in kept.items()}}


# --- the choice, scores, tuning --------------------------------------------------------


def test_the_choice_against_the_prompt(run_folder: Path) -> None:
    table = [candidate("tfidf", 0.875, 0.5), candidate("prompt", 0.75, 0.5)]
    scores(run_folder, choice="tfidf", candidates=table)
    assert text_of(run_folder, "choice") == (
        "Shipped: logistic regression on TF-IDF, chosen among 2 candidates, right on 87.5% of 8 "
        "held-out rows; it alone is right on 3 of them, the tuned prompt alone on 1 (p = 0.62)."
    )
    predict = ("dawgen", "predict", "runs/pairs", "NEW-ROWS.csv")
    assert [v.command for v in verdicts(read_run(run_folder)) if v.name == "choice"] == [predict]
    scores(run_folder, choice="prompt", candidates=table)
    assert text_of(run_folder, "choice").endswith("right on 75.0% of 8 held-out rows.")
    assert [v.command for v in verdicts(read_run(run_folder)) if v.name == "choice"] == [predict]
    assert verdicts(read_run(run_folder))[0].name == "choice"


def test_no_test_rows(run_folder: Path) -> None:
    assert found(run_folder, "test") is None
    scores(run_folder, scored_on="development shots")
    verdict = found(run_folder, "test")
    assert verdict is not None
    assert verdict.command == (*COMMAND, "--test", "HELD-OUT.csv")


@pytest.mark.parametrize("encoder", ["dawgen/mpnet", "dawgen/tiny"])
def test_a_cross_encoder_that_has_learnt_from_the_task(run_folder: Path, encoder: str) -> None:
    config = run_folder / "config.yaml"
    config.write_text(f"selection:\n  encoder: {encoder}\n")
    both = [candidate("tfidf", 0.5, 0.5), candidate("cross-encoder+alignment", 0.9, 0.9)]
    ships = {"choice": "cross-encoder+alignment", "candidates": both}
    scores(run_folder, task="snli", **ships)
    assert "has learnt from other labelled rows of snli" in text_of(run_folder, "learnt")
    product = [both[0], candidate("embeddings+states", 0.9, 0.9)]
    scores(run_folder, task="snli", choice="embeddings+states", candidates=product)
    assert found(run_folder, "learnt") is None
    product.append(candidate("cross-encoder", 0.8, 0.8))  # then the product has it
    scores(run_folder, task="snli", choice="embeddings+states", candidates=product)
    assert found(run_folder, "learnt") is not None
    for others in ({"task": "mail"}, {"task": "snli", "choice": "tfidf"}):
        scores(run_folder, **ships | others)
        assert found(run_folder, "learnt") is None
    scores(run_folder, task="snli", **ships)
    config.write_text("selection:\n  encoder: /models/made-without-snli\n")
    assert found(run_folder, "learnt") is None


def test_what_a_download_would_bring(run_folder: Path) -> None:
    (run_folder / "config.yaml").write_text("selection:\n  encoder: dawgen/tiny\n")
    scores(run_folder, choice="embeddings", candidates=[candidate("embeddings", 0.9, 0.9)])
    verdict = found(run_folder, "encoder")
    assert verdict is not None
    assert verdict.command == ("dawgen", "backbones", "get", "mpnet")
    scores(run_folder, choice="tfidf", candidates=[candidate("tfidf", 0.9, 0.9)])
    assert found(run_folder, "encoder") is None


def test_a_change_replaces_the_option_of_the_command(run_folder: Path) -> None:
    command = ["dawgen", "run", "pairs.yaml", "--test=old.csv", "--out=runs/pairs"]
    write(run_folder, "run.json", RUN | {"command": command, "overlap": 2})
    verdict = found(run_folder, "overlap")
    assert verdict is not None
    assert verdict.text.startswith("2 of the test rows repeat a few-shot row")
    assert " ".join(verdict.command) == (
        "dawgen run pairs.yaml --out runs/pairs --test OTHER-ROWS.csv"
    )


def test_no_tuning_that_is_better(run_folder: Path) -> None:
    assert text_of(run_folder, "no better").startswith(
        "The untuned backbone is better by 25.0 points: 75.0% of 4 rows against 50.0%"
    )
    scores(run_folder, zero_shot=None)
    assert found(run_folder, "no better") is None  # the most frequent label has 50 % too
    uneven = {"yes": {"yes": 1, "no": 2}, "no": {"yes": 0, "no": 1}}
    scores(run_folder, zero_shot=None, confusion=uneven)
    assert "most frequent label" in text_of(run_folder, "no better")


def test_a_label_that_is_never_answered(run_folder: Path) -> None:
    part = SCORES["labels"]
    assert isinstance(part, dict)
    never = {name: figures | {"predicted": 0} for name, figures in part.items()}
    scores(run_folder, labels=never)
    assert text_of(run_folder, "never") == (
        "Label yes is never answered (2 rows have it), and one label more."
    )
    verdict = found(run_folder, "never")
    assert verdict is not None
    assert " ".join(verdict.command) == (  # of two labels it had four rows
        "dawgen run pairs.yaml --out runs/pairs --train MORE-ROWS.csv --shots 4"
    )


def test_two_labels_that_are_confused(run_folder: Path) -> None:
    confusion = {
        "a": {"a": 60, "b": 40, "c": 0},
        "b": {"a": 5, "b": 90, "c": 5},
        "c": {"a": 4, "b": 0, "c": 1},  # four rows say nothing
    }
    scores(run_folder, confusion=confusion)
    assert text_of(run_folder, "confused") == ("40 of 100 rows of label a are answered b (40%).")
    verdict = found(run_folder, "confused")
    assert verdict is not None
    assert verdict.change[:2] == ("--train", "MORE-ROWS.csv")
    scores(run_folder, confusion={"a": {"a": 71, "b": 29}, "b": {"a": 0, "b": 9}})
    assert found(run_folder, "confused") is None


@pytest.mark.parametrize(
    ("best", "change"), [(4, "tuning.steps=8"), (0, "tuning.learning_rate=0.1"), (2, None)]
)
def test_the_step_at_an_end(run_folder: Path, best: int, change: str | None) -> None:
    _tuned(run_folder, best, {step: abs(step - best) for step in (0, 2, 4)})
    verdict = found(run_folder, "step")
    assert (verdict.command if verdict else None) == ((*COMMAND, "-s", change) if change else None)


def test_the_last_step_is_not_the_best_one_because_it_was_kept(run_folder: Path) -> None:
    _tuned(run_folder, 4, {0: 1.0, 2: 0.5, 4: 0.6})  # tuning.checkpoint: last
    assert found(run_folder, "step") is None


@pytest.mark.parametrize(
    ("losses", "accuracies"),
    [((0.9, 0.7, 0.6), (0.5, 0.8, 0.7)), ((0.9, 0.6, 0.7), (0.5, 0.7, 0.8))],
)
def test_the_last_step_is_the_best_one_by_loss_or_by_accuracy(
    run_folder: Path, losses: tuple[float, ...], accuracies: tuple[float, ...]
) -> None:
    of = dict(zip((0, 2, 4), accuracies, strict=True))
    _tuned(run_folder, 4, dict(zip(of, losses, strict=True)), of)
    verdict = found(run_folder, "step")
    assert verdict is not None
    assert verdict.command == (*COMMAND, "-s", "tuning.steps=8")


def _tuned(
    run_folder: Path,
    best: int,
    losses: dict[int, float],
    accuracies: dict[int, float] | None = None,
) -> None:
    hits = accuracies or dict.fromkeys(losses, 0.5)
    looks = [{"step": n, "dev_accuracy": hits[n], "dev_loss": losses[n]} for n in losses]
    (run_folder / "prompt" / "log.jsonl").write_text("\n".join(map(json.dumps, looks)))
    write(run_folder, "prompt/arm.json", {"best_step": best, "learning_rate": 0.3})


def test_tuning_on_edited_rows_takes_the_runs_own_options(run_folder: Path) -> None:
    command = [*COMMAND, "--test", "x.csv", "--max-hours", "2", "-s", "seed=3"]
    write(run_folder, "run.json", RUN | {"command": command})
    assert " ".join(tune_command(read_run(run_folder))) == (
        "dawgen tune pairs.yaml --train t.csv -s seed=3 --synthetic edited.csv "
        "--out runs/pairs-edited"
    )


def test_a_command_without_a_folder_is_of_the_default_one(run_folder: Path) -> None:
    write(run_folder, "run.json", RUN | {"command": ["dawgen", "run", "demo"]})
    verdict = found(run_folder, "written")
    assert verdict is not None
    assert verdict.command[-1] == "runs/latest-14"


def test_a_head_that_learns_from_written_rows_is_compared_even_if_the_prompt_has_none(
    run_folder: Path,
) -> None:
    write(run_folder, "prompt/arm.json", {"combine": "real"})
    table = [candidate("tfidf", 0.7, 1.0), candidate("tfidf+written", 0.8, 0.25)]
    scores(run_folder, choice="tfidf", candidates=table, prompt={"accuracy": 0.5, "n": 4})
    text = text_of(run_folder, "written")
    assert "hurt logistic regression on TF-IDF by 75.0 points" in text
    assert "the prompt has" not in text


def test_a_run_from_python_has_commands_too(run_folder: Path) -> None:
    write(run_folder, "run.json", RUN | {"command": []})
    verdict = found(run_folder, "written")
    assert verdict is not None
    assert verdict.command[:2] == ("dawgen", "run")
    assert verdict.command[-1] == "pairs-13-14"


# --- macro-F1 --------------------------------------------------------------------------


def test_where_the_card_goes_by_macro_f1_so_do_the_words(run_folder: Path) -> None:
    by_f1 = {"macro_f1": 0.4, "macro_f1_95": [0.2, 0.6]}
    table = [
        candidate("tfidf", 0.7, 0.5, held_out_macro_f1=0.61, test_macro_f1=0.4),
        candidate("tfidf+written", 0.8, 0.25, held_out_macro_f1=0.5, test_macro_f1=0.3),
        candidate("prompt", 0.9, 0.5, held_out_macro_f1=0.3, test_macro_f1=0.2),
    ]
    for each in table:
        each["test_macro_f1_95"] = [0.1, 0.9]
    prompt = {"accuracy": 0.5, "macro_f1": 0.2, "macro_f1_95": [0.1, 0.3], "n": 4}
    scores(run_folder, metric="macro_f1", choice="tfidf", candidates=table, prompt=prompt, **by_f1)
    assert "with a macro-F1 of 61.0% on 8 held-out rows" in text_of(run_folder, "choice")
    assert text_of(run_folder, "written").startswith(
        "Written rows hurt logistic regression on TF-IDF by 10.0 points: a macro-F1 of 30.0% on 4 "
        "test rows instead of 40.0% (may be chance"
    )
    assert found(run_folder, "no better") is None
