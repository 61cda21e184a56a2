from __future__ import annotations

import pytest

from dawgen.backbone import Backbone
from dawgen.backbone.memory import run_calls
from dawgen.terminal.progress import QUIET, hushed, progress, say, shown, warn


def test_shown_text_is_one_line_that_moves_no_terminal() -> None:
    assert shown("a\n b\t\x1b[31mc\x07 \u202ed ü 漢") == "a b \\x1b[31mc\\x07 \\u202ed ü 漢"


def test_a_probe_has_no_news(capsys: pytest.CaptureFixture[str]) -> None:
    with hushed():
        say("one")
        warn("two")
    say("three")
    assert capsys.readouterr().err == "three\n"


def test_a_pipe_gets_a_line_every_half_minute(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    monkeypatch.setattr("dawgen.terminal.progress.monotonic", lambda: now)
    with progress("tuning", 500, "steps") as advance:
        for _ in range(100):
            now += 1.0
            advance(2)
    assert capsys.readouterr().err.splitlines() == [
        "  tuning: 60 of 500 steps, 2.0 steps/s, about 4 min left",
        "  tuning: 120 of 500 steps, 2.0 steps/s, about 3 min left",
        "  tuning: 180 of 500 steps, 2.0 steps/s, about 3 min left",
    ]
    with progress("writing", 10, "rows") as advance:
        now += 40.0
        advance(0)
        now += 40.0
        advance(1)
    assert capsys.readouterr().err.splitlines() == [
        "  writing: 0 of 10 rows",
        "  writing: 1 of 10 rows, 80.0 s each, about 12 min left",
    ]


def test_work_that_takes_long_to_go_on_is_said_to_go_on(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tiny_bart: Backbone
) -> None:
    """A round of texts took minutes in which a log said nothing."""
    now = 0.0
    monkeypatch.setattr("dawgen.terminal.progress.monotonic", lambda: now)

    def work(rows: list[int]) -> None:
        nonlocal now
        now += 20.0

    calls = [[0], [1], [2], [3]]
    run_calls(tiny_bart, calls, [1] * 4, work)  # of no progress
    with progress("writing", 10, "rows") as advance:
        advance(2)
        run_calls(tiny_bart, calls, [1] * 4, work)
        with hushed():
            run_calls(tiny_bart, calls, [1] * 4, work)
    assert capsys.readouterr().err.splitlines() == [
        "  writing: 2 of 10 rows, 20.0 s each, about 3 min left",
        "  writing: 2 of 10 rows, 40.0 s each, about 5 min left",
    ]


def test_quiet_and_hushed_work_prints_no_progress(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    monkeypatch.setattr("dawgen.terminal.progress.monotonic", lambda: now)
    monkeypatch.setattr("dawgen.terminal.progress._loudness", QUIET)
    with progress("tuning", 500, "steps") as advance:
        now += 100.0
        advance(1)
    say("news")
    warn("careful")
    assert capsys.readouterr().err == "warning: careful\n"


def test_work_of_unknown_size_has_a_rate_and_no_time_left(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    monkeypatch.setattr("dawgen.terminal.progress.monotonic", lambda: now)
    with progress("labelling", None, "rows") as advance:
        now += 40.0
        advance(2000)
    assert capsys.readouterr().err == "  labelling: 2,000 rows, 50.0 rows/s\n"


def test_progress_inside_another_is_not_shown(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    monkeypatch.setattr("dawgen.terminal.progress.monotonic", lambda: now)
    with progress("labelling", 4, "rows") as advance:
        with progress("scoring rows", 2, "rows") as inner:
            now += 40.0
            inner(2)
        advance(2)
    with pytest.raises(RuntimeError), progress("failing", 2, "rows"):
        raise RuntimeError
    with progress("again", 2, "rows") as advance:
        now += 40.0
        advance(1)
    assert capsys.readouterr().err.splitlines() == [
        "  labelling: 2 of 4 rows, 20.0 s each, about 40 s left",
        "  again: 1 of 2 rows, 40.0 s each, about 40 s left",
    ]
