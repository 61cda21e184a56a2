"""The routes, as a client sees them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from dawgen.serving.app import make_app
from dawgen.serving.limits import Limits
from dawgen.serving.tasks import open_tasks
from dawgen.use.classifier import Classifier
from tests.serving.runs import PAIRS, choosing

LIMITS = Limits(body_bytes=20_000, rows=50, characters=1000)


@pytest.fixture(scope="module")
def client(runs: list[Path]) -> Iterator[TestClient]:
    with TestClient(make_app(open_tasks(runs), LIMITS)) as client:
        yield client


def test_health_and_tasks(client: TestClient) -> None:
    assert client.get("/health").json() == {"status": "ok", "tasks": 7, "rows_waiting": 0}
    tasks = client.get("/tasks").json()["tasks"]
    assert tasks[0] == {
        "name": "run",
        "task": "pairs",
        "labels": ["same", "other"],
        "texts": ["text1", "text2"],
        "classifier": "prompt",
    }
    assert [task["name"] for task in tasks][1:] == [
        "other",
        "nothing",
        "counted",
        "read",
        "both",
        "product",
    ]


@pytest.mark.parametrize("name", ["run", "counted", "both", "product"])
def test_rows_get_the_labels_and_probabilities_of_predict(
    client: TestClient, runs: list[Path], name: str
) -> None:
    folder = next(run for run in runs if run.name == name)
    classifier = Classifier.load(folder)
    answer = client.post(f"/tasks/{name}/predict", json={"rows": PAIRS}).json()
    assert answer["task"] == name
    assert [row["label"] for row in answer["rows"]] == classifier.predict(PAIRS)
    for row, chances in zip(answer["rows"], classifier.predict_proba(PAIRS), strict=True):
        assert list(row["probabilities"]) == ["same", "other"]
        assert [*row["probabilities"].values()] == pytest.approx(chances.tolist(), abs=1e-4)


def test_rows_may_be_pairs_or_objects(client: TestClient) -> None:
    first, second = PAIRS[0]
    rows = [
        [first, second],
        {"text1": first, "text2": second},
        {"premise": f" {first}", "hypothesis": second, "id": 3, "verdict": None},
    ]
    found = client.post("/tasks/run/predict", json={"rows": rows}).json()["rows"]
    assert found[0] == found[1] == found[2]
    assert client.post("/tasks/run/predict", json={"rows": []}).json()["rows"] == []


@pytest.mark.parametrize(
    ("rows", "status", "words"),
    [
        (["alone"], 422, "row 1: a row must be a pair of texts"),
        ([PAIRS[0], ["a", " "]], 422, "row 2: the text is empty"),
        ([{"text1": "a"}], 422, "row 1: it has no text2; name its text1 and text2"),
        ([{"text1": "a", "text2": None}], 422, "row 1: the text is missing (None)"),
        ([["a", "\udc80"]], 422, "row 1: the text holds half of a character"),
        ([["a", 3]], 422, "row 1: a row must be a pair of texts"),
        ([7], 422, "row 1: a row is a text, a pair of texts, or an object"),
        ("a", 422, 'such as {"rows":'),
        ([PAIRS[0]] * 51, 413, "at most 50 rows, not 51"),
        ([["a", "b" * 1001]], 413, "row 1: a text may have at most 1,000 characters, not 1,001"),
        ([["a", "b" * 900]] * 25, 413, "at most 0.02 MB"),
    ],
)
def test_wrong_rows_are_told_in_words(
    client: TestClient, rows: Any, status: int, words: str
) -> None:
    answer = client.post(
        "/tasks/run/predict",
        content=json.dumps({"rows": rows}),
        headers={"Content-Type": "application/json"},
    )
    assert answer.status_code == status
    assert list(answer.json()) == ["error"]
    assert words in answer.json()["error"]


@pytest.mark.parametrize(
    ("method", "path", "content", "status", "words"),
    [
        ("POST", "/tasks/none/predict", b'{"rows": []}', 404, "no task of that name"),
        ("GET", "/nowhere", b"", 404, "GET /tasks"),
        ("GET", "/tasks/run/predict", b"", 405, "rows are sent by POST"),
        ("POST", "/tasks/run/predict", b'{"rows": [', 422, "is no JSON"),
        ("POST", "/tasks/run/predict", b"\xff", 400, "cannot be read"),
        ("POST", "/tasks/run/predict", b"[" * 9000, 400, "cannot be read"),
        ("POST", "/tasks/run/predict", b"", 422, "such as"),
    ],
)
def test_wrong_requests_are_told_in_words(
    client: TestClient, method: str, path: str, content: bytes, status: int, words: str
) -> None:
    headers = {"Content-Type": "application/json"}
    answer = client.request(method, path, content=content, headers=headers)
    assert answer.status_code == status
    assert words in answer.json()["error"]


def test_a_body_without_a_length_is_bounded_too(client: TestClient) -> None:
    def parts() -> Iterator[bytes]:
        yield b'{"rows": ['
        for _ in range(100):
            yield b" " * 1000

    answer = client.post("/tasks/run/predict", content=parts())
    assert answer.status_code == 413


def test_a_full_queue_says_when_to_come_again(runs: list[Path]) -> None:
    with TestClient(make_app(open_tasks(runs[:1]), Limits(rows_waiting=2))) as client:
        answer = client.post("/tasks/run/predict", json={"rows": PAIRS[:3]})
        assert (answer.status_code, answer.headers["Retry-After"]) == (429, "1")
        assert client.post("/tasks/run/predict", json={"rows": PAIRS[:2]}).status_code == 200


def test_no_text_of_a_user_is_printed(
    client: TestClient, capfd: pytest.CaptureFixture[str]
) -> None:
    for row in (["zanzibar", "zanzibar"], ["zanzibar", ""], "zanzibar"):
        client.post("/tasks/run/predict", json={"rows": [row]})
    client.post("/tasks/zanzibar/predict", json={"rows": []})
    said = capfd.readouterr()
    assert "zanzibar" not in said.out + said.err


def test_a_text_of_several_labels_gets_them_all(runs: list[Path]) -> None:
    folder = choosing(runs[0], "several", "words")
    with (folder / "task.yaml").open("a") as file:
        file.write("labels_per_text: many\n")
    expected = Classifier.load(folder).predict(PAIRS)
    with TestClient(make_app(open_tasks([folder]))) as client:
        rows = client.post("/tasks/several/predict", json={"rows": PAIRS}).json()["rows"]
    assert ["|".join(row["labels"]) for row in rows] == expected
    assert {len(row["labels"]) for row in rows} > {1}
    assert "label" not in rows[0]
