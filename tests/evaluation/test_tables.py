"""Tables from cells written by hand, against the exact text."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dawgen.evaluation.published import (
    PAPER_ROWS,
    paper_backbones,
    paper_scores,
    paper_tasks,
    published,
)
from tests.invariants.jobs import Outcome, dawgen

GOLD = "0 1 0 1 0 1 0 1 0 1"


def write(out, method, task, seed, right, *, backbone="my_model", settings="s", test="t"):
    """A cell that labels the first ``right`` of ten rows right."""
    gold = GOLD.split()
    predicted = gold[:right] + [str(1 - int(label)) for label in gold[right:]]
    folder = out / "cells" / backbone / task
    folder.mkdir(parents=True, exist_ok=True)
    cell = {
        **{"task": task, "method": method, "seed": seed, "backbone": backbone},
        **{"accuracy": right / 10, "n": 10, "settings_hash": settings, "data": {"test": test}},
        **{"gold": GOLD, "predicted": " ".join(predicted)},
    }
    (folder / f"{method}-{seed}.json").write_text(json.dumps(cell))


def fail(out, method, task, seed, backbone="my_model"):
    folder = out / "cells" / backbone / task
    folder.mkdir(parents=True, exist_ok=True)
    cell = {"task": task, "method": method, "seed": seed, "backbone": backbone, "error": "Oops"}
    (folder / f"{method}-{seed}.error.json").write_text(json.dumps(cell))


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Prompt tuning and surgery on two tasks, others only in parts."""
    for seed, plain, surgery in ((13, 5, 7), (21, 6, 9), (42, 4, 8)):
        write(tmp_path, "prompt-tuning", "sick", seed, plain)
        write(tmp_path, "dawgen-surgery", "sick", seed, surgery)
        write(tmp_path, "dawgen-surgery", "rte", seed, plain)
    write(tmp_path, "prompt-tuning", "rte", 13, 5)
    fail(tmp_path, "prompt-tuning", "rte", 21)
    write(tmp_path, "optima", "sick", 13, 8)
    fail(tmp_path, "spot", "sick", 13)
    return tmp_path


def lines_of(text: str, start: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith(start)]


def show(out: Path, *more: object) -> Outcome:
    outcome = dawgen("tables", out, *more)
    assert outcome.code == 0, outcome.err
    return outcome


def test_markdown(out):
    text = show(out, "--format", "markdown").out
    assert text.startswith("## Table 1: Few-shot classification: prompting,")
    assert "| method | by | rte | sick | average |\n| --- | --- | ---: | ---: | ---: |" in text
    assert lines_of(text, "| Prompt tuning ") == [
        "| Prompt tuning | my_model | 50.0 † ! | 50.0 ± 10.0 | 50.0 † ! |",
        "| Prompt tuning | paper, t5-large | 51.70 | 27.80 | 39.75 |",
        "| Prompt tuning | paper, flan-t5-large | 26.78 | 60.61 | 43.70 |",
    ]
    # seeds' averages over rte and sick: (50 + 70, 60 + 90, 40 + 80) / 2 = 60, 75, 60
    assert lines_of(text, "| DawGen + ")[0] == (
        "| DawGen + gradient surgery | my_model | 50.0 ± 10.0 | 80.0 ± 10.0 | 65.0 ± 8.7 |"
    )
    assert lines_of(text, "| SPoT") == [
        "| SPoT (transfer) | my_model | – | ! | – |",
        "| SPoT (transfer) | paper, t5-large | – | 72.90 | – |",
    ]
    assert lines_of(text, "| OPTIMA")[0] == "| OPTIMA (transfer) | my_model | – | 80.0 † | – |"
    assert lines_of(text, "| Fine-tuning")[0] == "| Fine-tuning | my_model | – | – | – |"
    assert lines_of(text, "| TF-IDF") == ["| TF-IDF + logistic regression | my_model | – | – | – |"]
    assert "standard deviation (n - 1) over seeds" in text
    assert "over the tasks that all methods but transfer have: rte, sick." in text
    assert "The paper's rows are averaged over the same tasks, by us." in text
    assert "(43.49) differs from the mean of its row (43.56)" in text
    assert "COLM 2024" in text
    assert "Table 2" not in text


def test_every_seed_can_be_shown(out):
    text = show(out, "--format", "markdown", "--seeds").out
    rows = text.splitlines()
    place = rows.index("| Prompt tuning | my_model | 50.0 † ! | 50.0 ± 10.0 | 50.0 † ! |")
    assert rows[place + 1 : place + 4] == [
        "|  | seed 13 | 50.0 | 50.0 | 50.0 |",
        "|  | seed 21 | ! | 60.0 | ! |",
        "|  | seed 42 | – | 40.0 | – |",
    ]


def test_csv_lists_each_seed(out):
    rows = show(out, "--format", "csv", "--table", "1").out.splitlines()
    assert rows[0] == "table,method,by,backbone,task,seed,accuracy,std,seeds,state"
    assert [row for row in rows if row.startswith("1,prompt-tuning,ours,my_model,")] == [
        "1,prompt-tuning,ours,my_model,rte,13,50.00,,,done",
        "1,prompt-tuning,ours,my_model,rte,21,,,,failed",
        "1,prompt-tuning,ours,my_model,rte,mean,50.00,,1,done",
        "1,prompt-tuning,ours,my_model,sick,13,50.00,,,done",
        "1,prompt-tuning,ours,my_model,sick,21,60.00,,,done",
        "1,prompt-tuning,ours,my_model,sick,42,40.00,,,done",
        "1,prompt-tuning,ours,my_model,sick,mean,50.00,10.00,3,done",
        "1,prompt-tuning,ours,my_model,average,13,50.00,,,done",
        "1,prompt-tuning,ours,my_model,average,21,,,,failed",
        "1,prompt-tuning,ours,my_model,average,mean,50.00,,1,done",
    ]
    assert "1,prompt-tuning,paper,t5-large,sick,mean,27.80,,,done" in rows
    assert "1,ppt,ours,my_model,sick,mean,,,,missing" in rows


def test_latex_escapes_what_it_must(out):
    write(out, "fewgen-real-then-synthetic", "sick", 13, 5)
    write(out, "50%_of_{it}", "sick", 13, 5)
    text = show(out, "--format", "latex").out
    assert (
        r"Prompt tuning & my\_model & 50.0 $^\dagger$ ! & 50.0 $\pm$ 10.0 & 50.0 $^\dagger$ ! \\"
        in text
    )
    assert r"FewGen, Real$\rightarrow$Syn & my\_model & -- & 50.0 $^\dagger$" in text
    assert r"50\%\_of\_\{it\} & my\_model & -- & 50.0 $^\dagger$" in text
    assert r"\begin{tabular}{llrrr}" in text
    assert text.count(r"\begin{table}") == text.count(r"\end{table}") == 4
    for letter in "±†→–":
        assert letter not in text


def test_the_terminal_view_has_the_same_entries(out):
    text = show(out).out
    assert "50.0 ± 10.0" in text
    assert "paper, flan-t5-large" in text
    assert "43.49" in text  # the remark


def test_tables_of_their_own_name_and_all_seven_tasks(tmp_path):
    for task in paper_tasks():
        write(tmp_path, "prompt-tuning", task, 13, 5, backbone="t5-large")
        write(tmp_path, "mine", task, 13, 6, backbone="t5-large")
    text = show(tmp_path, "--format", "markdown").out
    rows = lines_of(text, "| Prompt tuning ")
    assert rows[1].endswith("| 27.80 | 43.49 |")  # as printed
    assert len(rows) == 2  # the other backbone of the paper is not ours here
    assert "by us" not in text
    assert lines_of(text, "## ")[-1] == "## Further methods"
    assert "| mine | t5-large | 60.0 † |" in text
    empty = show(tmp_path, "--format", "markdown", "--table", "2").out
    assert "| DawGen, (Real,Syn) | paper, t5-large | 61.77 |" in empty
    assert "| DawGen, (Real,Syn) | t5-large | – |" in empty


def test_what_whole_runs_chose_from_is_a_table_of_its_own(out):
    for seed, heads in ((13, 0.5), (21, 0.7)):
        write(out, "dawgen-shipped", "sick", seed, 6)
        path = out / "cells" / "my_model" / "sick" / f"dawgen-shipped-{seed}.json"
        cell = json.loads(path.read_text())
        found = {"prompt": 0.4, "tfidf": heads}
        cell["details"] = {
            "candidates": [{"name": name, "test_accuracy": a} for name, a in found.items()]
        }
        path.write_text(json.dumps(cell))
    text = show(out, "--format", "markdown").out
    table = text[text.index("What whole runs chose from") :]
    assert "| method | by | sick | average |" in table
    names = [line.split(" | ")[0] for line in table.splitlines() if "my_model" in line]
    assert names == ["| shipped", "| tfidf", "| prompt"]
    (line,) = lines_of(table, "| tfidf | my_model |")
    assert "60.0 ± 14.1" in line
    assert "candidates,tfidf,ours,my_model,sick,13,50.00" in show(out, "--format", "csv").out


def test_only_some_tasks(out):
    text = show(out, "--format", "markdown", "--tasks", "sick").out
    assert "| method | by | sick | average |" in text
    outcome = dawgen("tables", out, "--tasks", "qqp")
    assert outcome.code == 2
    assert outcome.err == "dawgen: No cell is of task 'qqp'; there are rte, sick.\n"


def test_cells_of_different_settings_are_told(out):
    assert "different settings" not in show(out, "--format", "markdown").out
    write(out, "prompt-tuning", "sick", 87, 5, settings="other")
    text = show(out, "--format", "markdown").out
    assert "The cells of my_model were made with 2 different settings." in text


def test_comparison_of_two_methods(out):
    text = show(out, "--compare", "dawgen-surgery", "prompt-tuning").out.splitlines()
    # sick: +0.2, +0.3, +0.4; rte, seed 13: 0. Of 16 patterns 4 are as far out as 0.9
    assert text[0] == (
        "dawgen-surgery against prompt-tuning on my_model: +22.50 points, the mean over 4 pairs of "
        "task and seed (tasks rte, sick; seeds 13, 21, 42)."
    )
    assert text[1].startswith("p = 0.25, two-sided: exact sign-flip permutation test, all 16 ")
    assert text[2].startswith("+15.00 points as the mean over tasks, 95 % interval +")
    assert show(out, "--compare", "dawgen-surgery", "prompt-tuning").out.splitlines() == text
    one = show(out, "--compare", "dawgen-surgery", "prompt-tuning", "--tasks", "rte").out
    assert "+0.00 points, the mean over 1 pairs" in one


def test_comparison_of_two_backbones(out):
    for seed, right in ((13, 6), (21, 6), (42, 9)):
        write(out, "dawgen-surgery", "sick", seed, right, backbone="other")
    text = show(out, "--compare", "dawgen-surgery@other", "dawgen-surgery@my_model").out
    # -0.1, -0.3, +0.1
    assert text.startswith(
        "dawgen-surgery@other against dawgen-surgery@my_model: -10.00 points, the mean over 3 pairs"
    )
    one = show(out, "--compare", "dawgen-surgery@my_model", "prompt-tuning").out
    whole = show(out, "--compare", "dawgen-surgery", "prompt-tuning").out
    assert one.partition(":")[2] == whole.partition(":")[2]
    outcome = dawgen("tables", out, "--compare", "dawgen-surgery@none", "prompt-tuning")
    assert outcome.code == 2
    assert outcome.err == "dawgen: No cell is of backbone 'none'; there are my_model, other.\n"


def test_what_cannot_be_compared(out):
    outcome = dawgen("tables", out, "--compare", "ppt", "prompt-tuning")
    assert (outcome.code, outcome.out) == (2, "")
    assert "both ppt and prompt-tuning" in outcome.err
    write(out, "prompt-tuning", "sick", 13, 5, test="others")
    outcome = dawgen("tables", out, "--compare", "dawgen-surgery", "prompt-tuning")
    assert outcome.code == 2
    assert "different test rows of sick (seed 13)" in outcome.err


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--table", "4"], "There is no table '4'"),
        (["--format", "html"], "There is no format 'html'"),
    ],
)
def test_wrong_options(out, more, words):
    outcome = dawgen("tables", out, *more)
    assert outcome.code == 2
    assert words in outcome.err


def test_a_folder_without_cells(tmp_path):
    outcome = dawgen("tables", tmp_path)
    assert outcome.code == 2
    assert "make some with `dawgen bench`" in outcome.err


def test_a_broken_cell_is_named(out):
    (out / "cells" / "my_model" / "sick" / "prompt-tuning-13.json").write_text("{")
    outcome = dawgen("tables", out)
    assert outcome.code == 2
    assert "prompt-tuning-13.json is not a cell" in outcome.err


@pytest.mark.parametrize("table", [1, 2, 3])
def test_every_published_row_has_a_method_of_ours(table):
    def leaves(tree, path=()):
        if isinstance(tree, list) or "scores" in tree:
            return {path}
        return {leaf for key, value in tree.items() for leaf in leaves(value, (*path, key))}

    keys = [row.key for row in PAPER_ROWS[table] if row.key]
    assert len(set(keys)) == len(keys)
    for backbone in paper_backbones(table):
        assert leaves(published()[f"table{table}"][backbone]) <= set(keys)
    first = paper_backbones(table)[0]
    known = [paper_scores(table, first, row) for row in PAPER_ROWS[table] if row.key]
    assert sum(scores is not None for scores in known) >= len(keys) - 1
    assert all(len(scores) == 8 for scores in known if scores)


def test_published_averages_are_those_of_their_rows_but_for_the_one_remarked_on():
    wrong = []
    for table, rows in PAPER_ROWS.items():
        for backbone in paper_backbones(table):
            for row in rows:
                scores = paper_scores(table, backbone, row)
                if scores and scores["average"] is not None:
                    mean = sum(scores[task] for task in paper_tasks()) / 7
                    if abs(mean - scores["average"]) > 0.011:
                        wrong.append((table, backbone, row.method))
    assert wrong == [(1, "t5-large", "prompt-tuning")]


def test_published_figures_are_those_of_the_development_data(shared):
    theirs = json.loads((shared / "paper" / "results.json").read_text("utf-8"))
    assert published() == theirs
