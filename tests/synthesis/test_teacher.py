"""A teacher behind an API, here a server of this machine: retries, resuming, cleaning, cost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from dawgen.errors import UserError
from dawgen.streams import Streams
from dawgen.synthesis.chat import Chat
from dawgen.synthesis.request import request
from dawgen.synthesis.teacher import NO_ROW, OTHER_LABEL, Teacher, rows_of
from dawgen.tasks import Row, load_card, parse_card
from dawgen.tasks.job import Job
from dawgen.tasks.shots import Shots
from tests.invariants.jobs import dawgen, rows, write_rows
from tests.teacher_server import KEY, Server

PAIRS = """\
name: pairs
columns: {text1: premise, text2: hypothesis, label: verdict}
labels: [same, other]
template: "premise: {text1} hypothesis: {text2} answer:"
label_words: {same: "yes", other: "no"}
"""
CARD = parse_card(
    'columns: {text1: text, label: mood}\nlabels: [up, down]\ntemplate: "{text1} mood:"\n'
    "label_words: {up: good, down: bad}",
    "card",
    "moods",
)
SHOTS = [Row(f"shot {n} of {label}", None, label) for label in CARD.labels for n in range(9)]


def teacher_of(server: Server, rows: int = 30) -> tuple[Teacher, list[float]]:
    waits: list[float] = []
    return Teacher(Chat(server.url, "m", pause=waits.append), rows, (2.0, 10.0)), waits


JOB = Job(CARD, Shots(SHOTS, []), None)


def write(teacher: Teacher, folder: Path) -> Any:
    teacher.write(JOB, 13, folder / "teacher", folder / "work")
    return teacher.read(folder / "teacher", CARD)


def test_every_label_gets_its_rows_and_tokens_are_counted(server: Server, tmp_path: Path) -> None:
    teacher, _ = teacher_of(server)
    given = write(teacher, tmp_path)
    assert [row.label for row in given.rows] == ["up"] * 30 + ["down"] * 30
    assert all(row.kept for row in given.rows)
    assert given.usage["requests"] == 4
    assert (given.usage["prompt_tokens"], given.usage["completion_tokens"]) == (400, 40)
    assert given.usage["cost"] == pytest.approx((400 * 2 + 40 * 10) / 1e6)
    assert {body["model"] for body, _ in server.requests} == {"m"}
    texts = [body["messages"][0]["content"] for body, _ in server.requests]
    assert len(set(texts)) == 4
    assert 'Write 10 new rows with the label "up"' in texts[1]


def test_the_key_is_sent_and_is_in_no_file_and_no_message(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    teacher, _ = teacher_of(server)
    server.faults = [429]
    write(teacher, tmp_path)
    assert {key for _, key in server.requests} == {f"Bearer {KEY}"}
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert files
    assert not any(KEY in path.read_text() for path in files)
    for status in (400, 401):
        server.faults = [status]
        with pytest.raises(UserError) as error:
            write(teacher, tmp_path / str(status))
        assert KEY not in str(error.value)
        assert f"HTTP {status}" in str(error.value)
    printed = capsys.readouterr()
    assert KEY not in printed.out + printed.err


@pytest.mark.parametrize(
    "fault", [429, 500, 503, b"{ no json", b"[]", b'{"choices": []}', b'{"choices": [{"x": 1}]}']
)
def test_what_may_be_over_soon_is_tried_again(
    server: Server, tmp_path: Path, fault: int | bytes
) -> None:
    teacher, waits = teacher_of(server)
    server.faults = [fault, fault, fault]
    given = write(teacher, tmp_path)
    assert waits == [1.0, 2.0, 4.0]
    assert len(given.rows) == 60
    assert given.usage["retries"] == 3


@pytest.mark.parametrize(
    ("header", "wait"), [("7", 7.0), ("0.1", 1.0), ("9999", 60.0), ("nan", 1.0), ("soon", 1.0)]
)
def test_the_server_says_how_long_to_wait(server: Server, header: str, wait: float) -> None:
    teacher, waits = teacher_of(server)
    server.faults, server.retry_after = [429], header
    teacher.chat.ask('Write 1 new row with the label "up"')
    assert waits == [wait]


@pytest.mark.parametrize("key", ["sk-1\nX-Other: 2", "sk-schlüssel"])
def test_a_key_that_cannot_be_sent_is_not_shown(monkeypatch: Any, key: str) -> None:
    monkeypatch.setenv("DAWGEN_API_KEY", key)
    with pytest.raises(UserError, match="cannot be sent as it is") as error:
        Chat("http://localhost/v1", "m")
    assert "sk-" not in str(error.value)


def test_it_gives_up_in_the_end_and_goes_on_from_its_answers(
    server: Server, tmp_path: Path
) -> None:
    teacher, waits = teacher_of(server)
    good, count = server.good, 0

    def failing(text: str) -> str:
        nonlocal count
        count += 1
        if count == 3:
            server.faults = [500] * 9
        return good(text)

    server.answer = failing
    with pytest.raises(UserError, match="the same command goes on"):
        write(teacher, tmp_path)
    assert len(waits) == 5
    assert not (tmp_path / "teacher").exists()
    server.faults, server.answer = [], good
    server.requests.clear()
    given = write(teacher_of(server)[0], tmp_path)
    assert len(server.requests) == 1
    assert len(given.rows) == 60


def test_a_kill_in_the_middle_of_a_line_costs_one_answer(server: Server, tmp_path: Path) -> None:
    whole = write(teacher_of(server)[0], tmp_path)
    work = tmp_path / "work"
    lines = work.read_bytes().splitlines(keepends=True)
    work.write_bytes(b"".join(lines[:3]) + lines[3][:50])
    server.requests.clear()
    again = write(teacher_of(server)[0], tmp_path)
    assert len(server.requests) == 1
    assert len(again.rows) == len(whole.rows)
    assert again.usage["requests"] == 4
    assert work.read_bytes().splitlines(keepends=True)[:3] == lines[:3]


def test_a_teacher_that_never_writes_a_row_is_left_with_a_warning(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.answer = lambda text: "I am sorry."
    given = write(teacher_of(server)[0], tmp_path)
    assert len(server.requests) == 12
    assert {row.reason for row in given.rows} == {NO_ROW}
    assert "wrote only 0 of 30 different rows of label 'up'" in capsys.readouterr().err


def test_redirects_are_not_followed(server: Server) -> None:
    server.faults = [302]
    with pytest.raises(UserError, match="has moved"):
        teacher_of(server)[0].chat.ask('Write 1 new row with the label "up"')
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("file:///etc/passwd", "no address"),
        ("localhost:8000", "no address"),
        ("http://host:port/v1", "no address"),
        ("http://[::1", "no address"),
        ("https://me:secret@host/v1", "holds a name"),
        ("https://host/v1?key=secret", "holds a name"),
    ],
)
def test_addresses_that_are_refused(url: str, words: str) -> None:
    with pytest.raises(UserError, match=words) as error:
        Chat(url, "m")
    assert "secret" not in str(error.value)


@pytest.mark.parametrize(
    ("content", "reasons"),
    [
        ('{"text": "a", "mood": "up"}\n{"text": "b", "mood": "UP"}', [None, None]),
        ('```jsonl\n{"text": "a", "mood": "up"},\n```', [None]),
        ('[{"text": "a", "mood": "up"},\n {"text": "b", "mood": "down"}]', [None, OTHER_LABEL]),
        ('{"rows": [{"text1": "a", "label": "up"}]}', [None]),
        ('Here they are:\n{"text": "a\u2028b", "mood": "up"}', [NO_ROW, None]),
        ('{"text": "a", "mood": "sideways"}\n{"text": "a"}', [OTHER_LABEL, OTHER_LABEL]),
        ('{"text": 3, "mood": "up"}\n{"text": " ", "mood": "up"}\n[1]\n"x"', [NO_ROW] * 4),
        ('{"text": "a\\u0000", "mood": "up"}', [NO_ROW]),
        ("", [NO_ROW]),
    ],
)
def test_answers_are_read_as_they_come(content: str, reasons: list[str | None]) -> None:
    assert [row.reason for row in rows_of(content, CARD, "up")] == reasons


# --- the request ------------------------------------------------------------------------------


def test_the_request_says_all_and_asks_for_the_format(tmp_path: Path) -> None:
    text = request(CARD, SHOTS, 7, Streams(13), examples=2)
    assert "Write 7 new rows for each of the 2 labels, 14 in all" in text
    assert '- "up": A text with the label up: good.' in text
    shown = [line for line in text.splitlines() if line.startswith('{"text": "shot')]
    assert [json.loads(line)["mood"] for line in shown] == ["up", "up", "down", "down"]
    assert text == request(CARD, SHOTS, 7, Streams(13), examples=2)
    assert text != request(CARD, SHOTS, 7, Streams(21), examples=2)
    assert next(rows_of(shown[0], CARD, "up")).kept
    assert "Real examples" not in request(CARD, [], 7, Streams(13))
    sick = request(load_card("sick"), [], 1, Streams(13))
    assert '- "entailment": Sentence 2 follows from sentence 1.\n' in sick
    assert sick.endswith('{"text1": "...", "text2": "...", "label": "entailment"}\n')


def test_prompt_for_prints_it(tmp_path: Path) -> None:
    card = tmp_path / "pairs.yaml"
    card.write_text(PAIRS)
    train = write_rows(tmp_path / "train.jsonl", rows(0, 8))
    outcome = dawgen("prompt-for", card, "--train", train, "--rows-per-label", 5)
    assert outcome.code == 0, outcome.err
    assert "Write 5 new rows for each of the 2 labels" in outcome.out
    assert outcome.out.count('{"premise":') == 7


# --- the command line -------------------------------------------------------------------------


def ask(folder: Path, server: Server, *more: object) -> Any:
    card = folder / "pairs.yaml"
    card.write_text(PAIRS)
    for name, start in (("train", 0), ("dev", 20)):
        write_rows(folder / f"{name}.jsonl", rows(start, 8))
    data = ["--train", folder / "train.jsonl", "--dev", folder / "dev.jsonl", "-s", "shots=4"]
    return dawgen(
        *("synthesize", card, *data, "--teacher", server.url, "--teacher-rows", 5),
        *("-s", "synthesis.first_sentences=few-shots", "--out", folder / "run", *more),
    )


def test_synthesize_asks_cleans_and_counts(server: Server, tmp_path: Path) -> None:
    def answer(text: str) -> str:
        label = text.partition('with the label "')[2].partition('"')[0]
        found = [row | {"verdict": label} for row in rows(100, 6)[label == "same" :: 2]]
        found += [found[0], found[0] | {"verdict": "neither"}, {"premise": "x"}]
        return "\n".join(json.dumps(row) for row in found)

    server.answer = answer
    outcome = ask(tmp_path, server, "--teacher-model", "wise", "--teacher-price", 1, 2)
    assert outcome.code == 0, outcome.err
    home = tmp_path / "run" / "synthetic"
    account = json.loads((home / "ledger.json").read_text())
    assert account["kept"] == 6
    assert account["reasons"][OTHER_LABEL] == account["reasons"][NO_ROW] > 0
    assert account["reasons"]["duplicate"] > 0
    usage = json.loads((home / "teacher.json").read_text())
    assert usage["requests"] == len(server.requests)
    assert f"{usage['requests']} requests" in outcome.out
    assert "wise at 127.0.0.1" in (home / "README.md").read_text()
    shard = pq.read_table(home / "shard-00000.parquet").to_pylist()
    assert {row["first_sentence"].split(":")[0] for row in shard} == {"import"}
    asked = len(server.requests)
    again = ask(tmp_path, server, "--teacher-model", "wise", "--teacher-price", 1, 2)
    assert again.code == 0
    assert len(server.requests) == asked


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ((), "needs --teacher-model"),
        (("--teacher-model", "m", "--import", "x.csv"), "--teacher excludes --import"),
        (("--teacher-model", " "), "model is empty"),
    ],
)
def test_options_that_do_not_go_together(
    server: Server, tmp_path: Path, more: tuple[object, ...], words: str
) -> None:
    outcome = ask(tmp_path, server, *more)
    assert outcome.code == 2
    assert words in outcome.err
