"""The server as a process: it starts, agrees with `dawgen predict`, and ends without a loss."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.invariants.jobs import dawgen, write_rows
from tests.serving.runs import PAIRS


@contextmanager
def serving(*arguments: object) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server and its address."""
    command = [sys.executable, "-m", "dawgen", "serve", *map(str, arguments), "--port", "0"]
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as process:
        try:
            assert process.stderr is not None
            lines: list[str] = []
            for line in process.stderr:
                lines.append(line)
                if found := re.search(r"serving .* at (http://\S+)", line):
                    break
            assert found, lines
            yield process, found[1]
        finally:
            process.kill()


def ask(address: str, path: str, body: Any = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(address + path, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def test_it_labels_as_predict_does_and_answers_what_it_accepted(
    runs: list[Path], tmp_path: Path
) -> None:
    data = write_rows(tmp_path / "rows.jsonl", [{"premise": a, "hypothesis": b} for a, b in PAIRS])
    outcome = dawgen("predict", runs[0], data, "--out", tmp_path / "out.jsonl")
    assert outcome.code == 0, outcome.err
    expected = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    with serving(*runs[:2]) as (process, address):
        assert ask(address, "/health") == {"status": "ok", "tasks": 2, "rows_waiting": 0}
        found = ask(address, "/tasks/run/predict", {"rows": PAIRS})["rows"]
        assert [row["label"] for row in found] == [row["prediction"] for row in expected]
        for row, line in zip(found, expected, strict=True):
            assert row["probabilities"]["same"] == pytest.approx(line["p_same"], abs=1e-4)

        answers: list[Any] = []
        many = {"rows": PAIRS[:25] * 10}

        def client(name: str) -> None:
            answers.append(ask(address, f"/tasks/{name}/predict", many))

        clients = [threading.Thread(target=client, args=(n,)) for n in ("run", "other") * 3]
        for each in clients:
            each.start()
        most = 6 * 250
        end = time.monotonic() + 20
        while (waiting := ask(address, "/health")["rows_waiting"]) < most - 250:
            assert time.monotonic() < end, waiting
        assert not answers  # all of them are in flight
        process.send_signal(signal.SIGTERM)
        for each in clients:
            each.join(60)
        assert [len(answer["rows"]) for answer in answers] == [250] * 6
        assert process.wait(30) == 0
        assert process.stderr is not None
        assert "all accepted requests were answered" in process.stderr.read()
        with pytest.raises(urllib.error.URLError):
            ask(address, "/health")


def test_a_taken_port_and_a_wrong_address_are_told_before_anything_is_loaded(
    runs: list[Path],
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        outcome = dawgen("serve", runs[0], "--port", port)
    assert outcome.code == 2
    assert f"127.0.0.1, port {port}, cannot be had" in outcome.err
    outcome = dawgen("serve", runs[0], "--host", "no.such.host.invalid", "--port", 0)
    assert outcome.code == 2
    assert "--host no.such.host.invalid is no address" in outcome.err


def test_without_fastapi_the_extra_is_named(runs: list[Path]) -> None:
    """In a process of its own: modules that are loaded already would be found."""
    code = "import sys; sys.modules['fastapi'] = None; from dawgen import cli; sys.exit(cli.main())"
    command = [sys.executable, "-c", code, "serve", str(runs[0])]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert found.returncode == 2, found.stderr
    assert "pip install 'dawgen[serve]'" in found.stderr
