from __future__ import annotations

import json

import pytest

from dawgen.synthesis import Ledger, LedgerError, SyntheticRow


def row(label: str, reason: str | None) -> SyntheticRow:
    return SyntheticRow("a", "b", label, kept=reason is None, reason=reason)


def filled() -> Ledger:
    ledger = Ledger(["yes", "no"])
    ledger.attempt("yes", 4)
    ledger.attempt("no")
    for reason in (None, "empty", "copy", "empty"):
        ledger.enter(row("yes", reason))
    ledger.enter(row("no", None))
    return ledger


def test_counts_by_label_and_reason():
    ledger = filled()
    ledger.check()
    assert ledger.as_json() == {
        "attempted": 5,
        "kept": 2,
        "rejected": 3,
        "reasons": {"empty": 2, "copy": 1},
        "labels": {
            "yes": {"attempted": 4, "kept": 1, "rejected": 3, "reasons": {"empty": 2, "copy": 1}},
            "no": {"attempted": 1, "kept": 1, "rejected": 0, "reasons": {}},
        },
    }


def test_a_lost_row_is_noticed():
    ledger = filled()
    ledger.attempt("no")
    with pytest.raises(LedgerError, match="'no' does not balance: 2 attempted, 1 kept, 0 rejected"):
        ledger.check()


def test_a_row_that_nobody_asked_for_is_noticed():
    ledger = filled()
    ledger.enter(row("yes", None))
    with pytest.raises(LedgerError, match="'yes'"):
        ledger.check()


def test_equal_accounts_give_equal_text_in_whatever_order_reasons_came():
    one, other = Ledger(["a"]), Ledger(["a"])
    for ledger, reasons in ((one, ("x", "y", "z", "z")), (other, ("z", "y", "x", "z"))):
        ledger.attempt("a", 4)
        for reason in reasons:
            ledger.enter(row("a", reason))
    assert one.dumps() == other.dumps()
    assert list(json.loads(one.dumps())["reasons"]) == ["z", "x", "y"]
