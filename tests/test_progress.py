from __future__ import annotations

from dawgen.progress import shown


def test_shown_text_is_one_line_that_moves_no_terminal() -> None:
    assert shown("a\n b\t\x1b[31mc\x07 \u202ed ü 漢") == "a b \\x1b[31mc\\x07 \\u202ed ü 漢"
