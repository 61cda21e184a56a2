"""Every row of docs/bad-input.md: one sentence, exit code 2, nothing half-written; or read."""

from __future__ import annotations

import re

import datasets
import huggingface_hub
import pytest

from tests.invariants.bad_inputs import CASES, DOCS, Case, attempt
from tests.invariants.jobs import SmallJob


def names(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.mark.parametrize("case", CASES, ids=[f"{case.kind}: {case.what}" for case in CASES])
def test_case(case: Case, job: SmallJob, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    before: list[str] = []

    def spoil(job: SmallJob) -> object:
        more = case.spoil(job)
        before.extend(names(job.folder))
        return more

    outcome = attempt(Case(case.kind, case.what, spoil, case.says), job)
    assert "Traceback" not in outcome.err
    if not case.says:
        assert outcome.code == 0, outcome.err
        assert "\x1b" not in outcome.out
        return
    assert outcome.code == 2, outcome
    assert outcome.out == ""
    assert outcome.err.count("\n") == 1, outcome.err
    assert outcome.err.startswith("dawgen: ")
    assert outcome.err.endswith((".\n", "?\n"))
    for part in case.says:
        assert part in outcome.err
    assert [name for name in names(job.folder) if not name.endswith(".lock")] == before


def test_the_page_has_every_case_and_no_other() -> None:
    told = re.findall(r"^\| \d+ \| (.+?) \|", DOCS.read_text("utf-8"), re.MULTILINE)
    assert told == [f"{case.kind}: {case.what}" for case in CASES]
    assert len(told) >= 60
