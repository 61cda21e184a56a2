"""The account of a synthesis: attempted = kept + rejected by reason, for every label."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from dawgen.synthesis.rows import SyntheticRow


class LedgerError(RuntimeError):
    """The account does not balance: a defect of dawgen, never of the user's data."""


@dataclass
class LabelAccount:
    """Counts of the rows that were asked for one label, when their text is asked for.

    Attributes:
        relabelled: of the kept rows those that a reader gave another label, by that label.
    """

    attempted: int = 0
    kept: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    relabelled: Counter[str] = field(default_factory=Counter)

    def commonest(self) -> str:
        """The three commonest reasons with their counts, as text."""
        return ", ".join(f"{why} ({n:,})" for why, n in self.rejected.most_common(3))

    def as_json(self) -> dict[str, Any]:
        """Reasons by falling count, equal ones by name."""
        ordered = sorted(self.rejected.items(), key=lambda item: (-item[1], item[0]))
        more = {"relabelled": dict(sorted(self.relabelled.items()))} if self.relabelled else {}
        return {
            "attempted": self.attempted,
            "kept": self.kept,
            "rejected": sum(self.rejected.values()),
            "reasons": dict(ordered),
            **more,
        }


class Ledger:
    """Accounts by label."""

    def __init__(self, labels: Iterable[str]) -> None:
        self.labels = {label: LabelAccount() for label in labels}

    def attempt(self, label: str, count: int = 1) -> None:
        """Texts were asked for."""
        self.labels[label].attempted += count

    def enter(self, row: SyntheticRow) -> None:
        """A row's fate is known."""
        account = self.labels[row.asked_for]
        if row.kept:
            account.kept += 1
            account.relabelled += Counter([str(row.label)] if row.written_for else [])
        else:
            account.rejected[str(row.reason)] += 1

    def total(self) -> LabelAccount:
        """All labels together."""
        total = LabelAccount()
        for account in self.labels.values():
            total.attempted += account.attempted
            total.kept += account.kept
            total.rejected += account.rejected
            total.relabelled += account.relabelled
        return total

    def rows_of(self, label: str) -> int:
        """Kept rows that have this label in the end."""
        account = self.labels[label]
        taken = sum(each.relabelled[label] for each in self.labels.values())
        return account.kept - sum(account.relabelled.values()) + taken

    def check(self) -> None:
        """Raises LedgerError unless attempted = kept + rejected for every label."""
        for label, account in self.labels.items():
            rejected = sum(account.rejected.values())
            if account.attempted != account.kept + rejected:
                raise LedgerError(
                    f"ledger of label {label!r} does not balance: {account.attempted} attempted, "
                    f"{account.kept} kept, {rejected} rejected"
                )

    def as_json(self) -> dict[str, Any]:
        """Totals first, then every label, in the card's order."""
        by_label = {label: account.as_json() for label, account in self.labels.items()}
        return {**self.total().as_json(), "labels": by_label}

    def dumps(self) -> str:
        """The text of `ledger.json`; equal accounts give equal bytes."""
        return json.dumps(self.as_json(), indent=2, ensure_ascii=False) + "\n"
