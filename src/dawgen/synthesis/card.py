"""The dataset card of a synthetic folder: what the rows were made from, and what they are not."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from dawgen.settings import SynthesisSettings
from dawgen.synthesis.ledger import Ledger
from dawgen.synthesis.provenance import (
    LICENCES,
    Provenance,
    model_licence,
    model_name,
    prompts_hash,
    source_name,
)
from dawgen.synthesis.rows import SyntheticRow
from dawgen.synthesis.verdicts import of_rows
from dawgen.tasks import TaskCard
from dawgen.tasks.job import rows_hash

SAMPLES_PER_LABEL = 3
_LIMITS = """## Columns

`text1`, `text2` (null for single texts), `label`; `kept` and `reason`; `label_ratio`, the
generator's own p(text | label) over its sum for all labels; `log_likelihood` of the written
text under its label, in nats (both null where a rule on the text rejected the row before it
was scored, or a reader chose); `first_sentence`, where text1 comes from; `shard`; `seed` of the
row's random numbers; where a reader of the few shots chose, `written_for`, the label that the row
was asked for if the reader gave it another, and `reader_probability`, p(label) by the reader.

## What it is not for

It is training material for this one task. It is no test set: its labels come from the prompt
that wrote the rows, not from people, and some are wrong. Its statements are not facts. It
carries whatever biases the generator and the sources above have, and should not be used to
decide about people. Cite it as machine-written wherever it goes.
"""


def dataset_card(
    made: Provenance,
    rows: Sequence[SyntheticRow],
    ledger: Ledger,
    report: Mapping[str, Any],
    shards: Sequence[Path] = (),
) -> str:
    """The text of README.md: hub metadata, then prose, counts, hashes and a few rows.

    Args:
        rows: rejected ones too.
        report: the quality report.
        shards: the Parquet files, whose hashes are listed.
    """
    kept = [row for row in rows if row.kept]
    sources = Counter(row.first_sentence.partition(":")[0] for row in kept)
    front = yaml.safe_dump(_metadata(made, len(kept), sources), sort_keys=False)
    parts = [
        f"---\n{front}---\n",
        _introduction(made, len(kept)),
        *_verdicts(report, ledger),
        _counts(ledger),
        _provenance(made, sources),
        _overlap(report["overlap"]),
        _files(shards),
        _samples(made.card, kept),
        _LIMITS,
    ]
    return "\n".join(parts)


def _metadata(made: Provenance, rows: int, sources: Counter[str]) -> dict[str, Any]:
    licences = {LICENCES[source][2] for source in sources}
    return {
        "pretty_name": f"{made.card.name}, written by dawgen",
        "license": licences.pop() if len(licences) == 1 else "other",
        "task_categories": ["text-classification"],
        "annotations_creators": ["machine-generated"],
        "language_creators": ["machine-generated"],
        "size_categories": [_size_category(rows)],
        "tags": ["synthetic", "few-shot", "dawgen"],
        "configs": [{"config_name": "default", "data_files": "shard-*.parquet"}],
    }


def _size_category(rows: int) -> str:
    """The hub's word for a number of rows."""
    for limit, name in ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K")):
        if rows < limit:
            return name
    return "100K<n<1M" if rows < 1_000_000 else "1M<n<10M"


def _introduction(made: Provenance, rows: int) -> str:
    shots = len(made.shots)
    if made.imported is None:
        origin = (
            "Every row was written by a frozen language model under one tuned soft prompt per "
            f"label, after\n{shots:,} few-shot rows (Guo et al., *Generating Synthetic Datasets "
            "for Few-shot Prompt\nTuning*, COLM 2024). Nobody has checked the labels."
        )
    else:
        origin = (
            f"The rows were imported from {plain(made.imported)} and cleaned by dawgen, held "
            f"against\n{shots:,} few-shot rows. Nobody has checked the labels."
        )
    rejected = "Rejected rows are counted below, but are\nnot in the files."
    only_kept = ""
    if made.settings.keep_rejected:
        rejected = (
            "Rows with `kept` = false were rejected, for\nthe `reason` beside them; leave them out:"
        )
        only_kept = '.filter(lambda row: row["kept"])'
    writer = "written by a language model" if made.imported is None else "imported and cleaned"
    return f"""# {plain(made.card.name)}: {rows:,} rows {writer}

{plain(made.card.description)}

{origin} {rejected}

```python
from datasets import load_dataset

rows = load_dataset("path/to/this/folder", split="train"){only_kept}
```
"""


def _verdicts(report: Mapping[str, Any], ledger: Ledger) -> list[str]:
    """What is wrong with the rows, if anything stands out."""
    found = [f"- {plain(verdict.text)}" for verdict in of_rows(report, ledger.as_json())]
    return ["\n".join(["## What to know first\n", *found, ""])] if found else []


def _counts(ledger: Ledger) -> str:
    reasons = sorted(ledger.total().rejected.items(), key=lambda item: (-item[1], item[0]))
    lines = [
        "## Rows\n",
        "Attempted is kept and rejected together. A row counts under the label that it was asked "
        "for; a classifier of the few shots may have given it another one since.\n",
        *table(
            ["label", "attempted", "kept", "rejected", "kept rows with this label"],
            [
                [
                    label,
                    f"{account.attempted:,}",
                    f"{account.kept:,}",
                    f"{sum(account.rejected.values()):,}",
                    f"{ledger.rows_of(label):,}",
                ]
                for label, account in ledger.labels.items()
            ],
        ),
    ]
    if reasons:
        by_label = ledger.labels.values()
        rows = [
            [reason, *(f"{a.rejected[reason]:,}" for a in by_label), f"{count:,}"]
            for reason, count in reasons
        ]
        lines += ["", *table(["rejected because", *ledger.labels, "all"], rows)]
    return "\n".join(lines) + "\n"


def _provenance(made: Provenance, sources: Counter[str]) -> str:
    facts = [
        ["task card", f"{made.card.name}, version {made.card.version}"],
        ["few-shot rows", f"{len(made.shots):,}"],
        ["few-shot rows' hash", rows_hash(made.shots) or ""],
        ["evaluation rows kept out", f"{len(made.forbidden):,}"],
        ["evaluation rows' hash", rows_hash(made.forbidden) or ""],
        *([["imported from", made.imported]] if made.imported else []),
        *([["its SHA-256", made.imported_hash]] if made.imported_hash else []),
        *_generator(made),
        ["seed", str(made.seed)],
        *([f"synthesis.{name}", value] for name, value in _settings(made.settings)),
    ]
    first = [
        [source, LICENCES[source][0], f"{count:,}", LICENCES[source][1]]
        for source, count in sorted(sources.items())
    ]
    lines = ["## What it was made from\n", *table(["", ""], facts)]
    if first:
        what = "First sentences of the kept rows" if made.imported is None else "The kept rows"
        lines += ["", f"{what}:\n"]
        lines += table(["source", "what it is", "rows", "licence"], first)
    return "\n".join(lines) + "\n"


def _generator(made: Provenance) -> list[list[str]]:
    if made.backbone is None:
        return [["generator", "unknown; the rows were not scored"]]
    what = "generator" if made.imported is None else "generator that scored the rows"
    facts = [
        [what, model_name(made.backbone.name)],
        ["its fingerprint", made.backbone.fingerprint],
        ["its licence", model_licence(made.backbone.name)],
    ]
    if made.prompts is not None:
        facts.append(["label prompts' hash", prompts_hash(made.prompts)])
    if made.engine is not None:
        facts.append(["decoded by", made.engine])
    return facts


def _settings(settings: SynthesisSettings) -> list[tuple[str, str]]:
    """Names and values of all that bears on the rows; files by their name only."""
    tree = settings.model_dump(mode="json", exclude=settings.only_speed())
    tree["first_sentences"] = source_name(settings.first_sentences)
    sections = ("cleaning", "choose")
    return [
        (f"{name}.{inner}" if name in sections else name, str(each))
        for name, value in tree.items()
        for inner, each in (value.items() if name in sections else [("", value)])
    ]


def _overlap(overlap: Mapping[str, Any]) -> str:
    n = overlap["words_running"]
    keys = ("rows", "equal", "words_running")
    rows = [
        [name.replace("_", " "), *(f"{overlap[name][key]:,}" for key in keys)]
        for name in ("few_shots", "evaluation_rows")
    ]
    what = f"""## Overlap

Kept rows that repeat a text of these rows, but for case, spaces and punctuation, or that have
{n} words running in common with one. Words that a given first text has do not count against the
few shots.
"""
    counts = table(["held against", "rows there", "equal", f"{n} words running"], rows)
    return "\n".join([what, *counts]) + "\n"


def _files(shards: Sequence[Path]) -> str:
    rows = [[path.name, hashlib.sha256(path.read_bytes()).hexdigest()] for path in shards]
    more = "`ledger.json` has the counts, `quality.json` figures of variety, distance and overlap."
    return "\n".join(["## Files\n", *table(["file", "SHA-256"], rows), "", more]) + "\n"


def _samples(card: TaskCard, kept: Sequence[SyntheticRow]) -> str:
    name = "by the reader" if any(row.reader_probability for row in kept) else "label ratio"
    names = ["label", "text1", *(["text2"] if card.is_pair else []), name]
    rows = []
    for label in card.labels:
        for row in [row for row in kept if row.label == label][:SAMPLES_PER_LABEL]:
            confidence = "" if row.label_confidence is None else f"{row.label_confidence:.3f}"
            second = [row.text2 or ""] if card.is_pair else []
            rows.append([label, row.text1, *second, confidence])
    return "\n".join(["## The first rows of each label\n", *table(names, rows)]) + "\n"


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> list[str]:
    """A Markdown table, every cell made plain."""
    names = [plain(name) for name in head]
    lines = ["| " + " | ".join(names) + " |", "|" + " --- |" * len(names)]
    return lines + ["| " + " | ".join(plain(cell) for cell in row) + " |" for row in rows]


_ESCAPES = {c: f"\\{c}" for c in "\\`*_[]|~$"} | {"<": "&lt;", ">": "&gt;", "&": "&amp;"}


def plain(text: str) -> str:
    """Text that Markdown and HTML show as it is, on one line."""
    line = " ".join(text.split())
    return "".join(_ESCAPES.get(c, c) for c in line if c.isprintable())
