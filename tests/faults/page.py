"""The figures of docs/reliability.md, from what the long fault tests and the fuzzer wrote.

python -m tests.faults.page
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.invariants.bad_inputs import CASES

DOCS = Path(__file__).parents[2] / "docs"
BEGIN, END = "<!-- figures: python -m tests.faults.page -->", "<!-- end of figures -->"


def write_page() -> None:
    """Put the figures between their marks."""
    page = DOCS / "reliability.md"
    text = page.read_text("utf-8")
    head, tail = text.partition(BEGIN)[0], text.partition(END)[2]
    page.write_text(f"{head}{BEGIN}\n\n{figures()}\n{END}{tail}", "utf-8")


def figures() -> str:
    """The tables as Markdown."""
    return "\n".join([*_faults(_read("faults.json")), *_inputs(), *_fuzzing(_read("fuzz.json"))])


def _read(name: str) -> dict[str, Any]:
    path = DOCS / name
    return dict(json.loads(path.read_text("utf-8"))) if path.is_file() else {}


def _faults(parts: dict[str, Any]) -> Iterator[str]:
    yield "| what happened to it | tried | went on | as it should be | seed, commit |"
    yield "| --- | --- | --- | --- | --- |"
    for part in parts.values():
        for what, tried, went_on, right in part["rows"]:
            made = f"{part['seed']}, {part['commit']}"
            yield f"| {what} | {tried} | {went_on} | {right} | {made} |"
    yield ""
    yield from sorted({_machine(part["hardware"]) for part in parts.values()})
    minutes = sum(part["seconds"] for part in parts.values()) / 60
    yield f"{minutes:.0f} minutes of clock time, beside other work on the same cores."
    yield ""


def _machine(found: dict[str, Any]) -> str:
    return f"On {found['processor']}, {found['cores']} cores, {found['threads']} thread(s):"


def _inputs() -> Iterator[str]:
    refused = sum(bool(case.says) for case in CASES)
    yield (
        f"Kinds of bad and odd input: {len(CASES)}; refused in one sentence with exit code 2 and "
        f"nothing half-written: {refused}; read as they are: {len(CASES) - refused}. Each is a "
        "test; [the table](bad-input.md) has the sentences."
    )
    yield ""


def _fuzzing(readers: dict[str, Any]) -> Iterator[str]:
    yield "| reader fuzzed | s | executions | crashed |"
    yield "| --- | --- | --- | --- |"
    for name, found in readers.items():
        crashed = "yes" if found["crashed"] else "no"
        yield f"| {name} | {found['seconds']} | {found['executions']:,} | {crashed} |"
    yield ""


if __name__ == "__main__":
    write_page()
