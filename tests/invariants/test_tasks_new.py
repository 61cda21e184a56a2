"""`dawgen tasks new` and `validate` as a user meets them: questions, label words, progress."""

from __future__ import annotations

import io
import os
import pty
import re
import select
import sys
import time
from pathlib import Path

import pytest

from dawgen.backbone import Backbone
from dawgen.commands import asking
from dawgen.commands.label_words import word_lines
from dawgen.errors import UserError
from dawgen.tasks import Row, load_card, parse_card
from tests.invariants.jobs import SmallJob, dawgen

ROWS = [(f"the film number {n} is {w}", w) for n in range(8) for w in ("good", "bad")]


@pytest.fixture
def films(tmp_path: Path) -> Path:
    path = tmp_path / "films.csv"
    lines = [f"2024-01-0{1 + n % 9},{text},{word}" for n, (text, word) in enumerate(ROWS)]
    path.write_text("\n".join(["day,said,liked", *lines]) + "\n")
    return path


def answer(monkeypatch: pytest.MonkeyPatch, *answers: str) -> None:
    """Sit at a terminal and type these lines."""
    for module in (asking, "dawgen.commands.tasks"):
        name = module if isinstance(module, str) else module.__name__
        monkeypatch.setattr(f"{name}.on_a_terminal", lambda: True)
    monkeypatch.setattr("sys.stdin", io.StringIO("".join(f"{line}\n" for line in answers)))


# --- questions --------------------------------------------------------------------------------


def test_enter_takes_every_guess(
    films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quiet = dawgen("tasks", "new", films, "--out", tmp_path / "a.yaml")
    assert quiet.code == 0, quiet.err
    answer(monkeypatch, "", "", "", "", "")
    asked = dawgen("tasks", "new", films, "--out", tmp_path / "b.yaml")
    assert asked.code == 0, asked.err
    assert "Columns: day, said, liked" in asked.out
    assert "Column of the labels [liked]:" in asked.out
    assert "Column of a second text [none]:" in asked.out
    assert "  good [good]:" in asked.out
    assert (tmp_path / "a.yaml").read_text() == (tmp_path / "b.yaml").read_text()


def test_answers_change_columns_and_words(
    films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer(monkeypatch, "mood", "liked", "said", "none", "terrible", "great")
    asked = dawgen("tasks", "new", films, "--out", tmp_path / "b.yaml")
    assert asked.code == 0, asked.err
    assert "There is no column 'mood'." in asked.out
    card = load_card(tmp_path / "b.yaml")
    assert card.label_words == {"bad": "terrible", "good": "great"}
    assert "label words: bad → terrible, good → great, as named" in asked.out


def test_what_is_unclear_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.csv"
    lines = [f"a one {i},b two {i},c three {i},{'xy'[i % 2]}" for i in range(6)]
    path.write_text("\n".join(["p,q,r,label", *lines]))
    assert dawgen("tasks", "new", path, "--out", tmp_path / "no.yaml").code == 2
    answer(monkeypatch, "label", "q", "none", "", "")
    asked = dawgen("tasks", "new", path, "--out", tmp_path / "x.yaml")
    assert asked.code == 0, asked.err
    assert "it is unclear which column is the text" in asked.out
    assert load_card(tmp_path / "x.yaml").columns == {"text1": "q", "label": "label"}


def test_yes_asks_nothing(films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answer(monkeypatch)
    outcome = dawgen("tasks", "new", films, "--yes", "--out", tmp_path / "a.yaml")
    assert outcome.code == 0, outcome.err
    assert "Column of" not in outcome.out


def test_a_card_that_is_there_is_named_before_any_question(
    films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.yaml").write_text("mine")
    answer(monkeypatch)
    outcome = dawgen("tasks", "new", films, "--out", tmp_path / "a.yaml")
    assert outcome.code == 2
    assert "exists already" in outcome.err
    assert (tmp_path / "a.yaml").read_text() == "mine"


@pytest.mark.slow
def test_on_a_real_terminal_it_asks(films: Path) -> None:
    command = [sys.executable, "-m", "dawgen", "tasks", "new", str(films)]
    child, terminal = pty.fork()
    if child == 0:  # pragma: no cover
        os.chdir(films.parent)
        os.execv(command[0], command)
    said, end = b"", time.monotonic() + 60
    while time.monotonic() < end:
        if not select.select([terminal], [], [], 1)[0]:
            continue
        try:
            said += os.read(terminal, 4096)
        except OSError:  # Linux's way to say that the other side is gone
            break
        if said.count(b"]:") > said.count(b"\x00"):
            os.write(terminal, b"\n")
            said += b"\x00"  # marks an answer
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0, said.decode()
    assert b"Column of the labels [liked]:" in said
    assert (films.parent / "films.yaml").is_file()


# --- the card ---------------------------------------------------------------------------------


def test_the_card_shows_a_row_behind_its_label_prompt(films: Path, tmp_path: Path) -> None:
    assert dawgen("tasks", "new", films, "--out", tmp_path / "a.yaml").code == 0
    text = (tmp_path / "a.yaml").read_text()
    (line,) = [line for line in text.splitlines() if "a row follows like this" in line]
    card = load_card(tmp_path / "a.yaml")
    assert line.startswith(
        f"# Here, a row follows like this: {card.label_prompts['good']} the film"
    )


def test_a_row_cannot_break_out_of_the_comment(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    bad = "first line\\nlabels: [evil]\\u2028labels: [evil]\\u0085x"
    rows = [f'{{"text": "{bad} {n}", "label": "{"ab"[n % 2]}"}}' for n in range(4)]
    path.write_text("\n".join(rows))
    assert dawgen("tasks", "new", path, "--out", tmp_path / "x.yaml").code == 0
    assert load_card(tmp_path / "x.yaml").labels == ["a", "b"]
    assert not re.search(r"^labels: \[evil", (tmp_path / "x.yaml").read_text(), re.MULTILINE)


# --- label words ------------------------------------------------------------------------------

WORDS = parse_card(
    "columns: {text1: text, label: mood}\nlabels: [up, down]\ntemplate: 'review: {text1} mood:'\n"
    "label_words: {up: good, down: bad}",
    "card",
    "moods",
)


def table(lines: list[str]) -> dict[str, list[str]]:
    return {line.split()[0]: line.split()[1:] for line in lines[2:]}


def test_the_probabilities_are_the_models_own(tiny_bart: Backbone) -> None:
    import torch

    rows = [Row("it is good", None, "up"), Row("a dog runs", None, "down")]
    lines, _ = word_lines(WORDS, tiny_bart, rows)
    assert lines[0].startswith("label words before any tuning, on 2 rows, ")
    found = table(lines)
    inputs = tiny_bart.encode_rows(WORDS, rows, 0)
    for label, word in zip(WORDS.labels, tiny_bart.label_word_ids(WORDS), strict=True):
        each = []
        for row in inputs:
            start = tiny_bart.decoder_start
            given = [*start, *word]
            with torch.no_grad():
                logits = tiny_bart.model(
                    input_ids=torch.tensor([row]), decoder_input_ids=torch.tensor([given])
                ).logits[0]
            steps = logits[len(start) - 1 : len(given) - 1].log_softmax(-1)
            each.append(sum(steps[i, token].item() for i, token in enumerate(word)))
        expected = torch.tensor(each).mean().exp().item()
        assert float(found[label][1]) == pytest.approx(expected, rel=0.1)
    assert sum(int(cells[2]) for cells in found.values()) == 2


def test_a_word_below_chance_is_odd(tiny_bart: Backbone, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    chance = 1 / len(tiny_bart.tokenizer)
    probabilities = torch.tensor([[2 * chance, chance / 2]]).repeat(8, 1).log()
    monkeypatch.setattr(tiny_bart, "word_log_probs", lambda inputs, words: probabilities)
    monkeypatch.setattr(tiny_bart, "label_word_ids", lambda card: [[5], [6]])
    rows = [Row(f"text {n}", None, "up") for n in range(8)]
    lines, warning = word_lines(WORDS, tiny_bart, rows)
    assert table(lines)["up"][2:] == ["8"]
    assert table(lines)["down"][2:] == ["0", "odd"]
    assert "finds 'bad' odd after the template" in warning
    assert lines[0].endswith(f", 100% right by them (a random word: {chance:.2g})")
    none = probabilities - 5
    monkeypatch.setattr(tiny_bart, "word_log_probs", lambda inputs, words: none)
    assert "expects none of the label words" in word_lines(WORDS, tiny_bart, rows)[1]
    monkeypatch.setattr(tiny_bart, "word_log_probs", lambda inputs, words: probabilities + 5)
    assert "answers 'good' to all 8 rows" in word_lines(WORDS, tiny_bart, rows)[1]


def test_of_many_labels_the_oddest_words_are_shown(
    tiny_bart: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    labels = [f"label {n}" for n in range(40)]
    words = {label: f"word {n}" for n, label in enumerate(labels)}
    card = WORDS.model_copy(update={"labels": labels, "label_words": words})
    monkeypatch.setattr(tiny_bart, "label_word_ids", lambda card: [[n] for n in range(40)])
    found = -torch.arange(40.0)[None]
    monkeypatch.setattr(tiny_bart, "word_log_probs", lambda inputs, words: found)
    lines, _ = word_lines(card, tiny_bart, [Row("a", None, None)])
    assert lines[0].startswith("label words before any tuning, on 1 rows (a random word: ")
    assert lines[2].startswith("  label 39 ")
    assert lines[-1] == "  (20 more labels, their words likelier)"


def test_tasks_new_and_validate_check_the_words(films: Path, tmp_path: Path, job: SmallJob) -> None:
    made = dawgen("tasks", "new", films, "--out", tmp_path / "a.yaml")
    assert "label words before any tuning, on 16 rows" in made.out
    seen = dawgen(
        "validate", tmp_path / "a.yaml", "--data", films, "-s", f"backbone.path={job.model}"
    )
    assert seen.code == 0, seen.err
    assert "label words before any tuning, on 16 rows" in seen.out


def test_words_that_the_model_cannot_tell_apart_leave_the_card(
    films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise UserError("one begins the other.")

    monkeypatch.setattr("dawgen.commands.label_words.word_lines", refuse)
    outcome = dawgen("tasks", "new", films, "--out", tmp_path / "a.yaml")
    assert outcome.code == 0
    assert "warning: one begins the other." in outcome.err
    assert (tmp_path / "a.yaml").is_file()
