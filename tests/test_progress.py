from __future__ import annotations

import pytest

from dawgen.terminal.progress import hushed, say, shown, warn


def test_shown_text_is_one_line_that_moves_no_terminal() -> None:
    assert shown("a\n b\t\x1b[31mc\x07 \u202ed ü 漢") == "a b \\x1b[31mc\\x07 \\u202ed ü 漢"


def test_a_probe_has_no_news(capsys: pytest.CaptureFixture[str]) -> None:
    with hushed():
        say("one")
        warn("two")
    say("three")
    assert capsys.readouterr().err == "three\n"
