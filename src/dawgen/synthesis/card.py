"""The dataset card of a synthetic folder: what the rows were made from, and what they are not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from dawgen.backbone import Backbone
from dawgen.settings import SynthesisSettings
from dawgen.synthesis.ledger import Ledger
from dawgen.synthesis.rows import SyntheticRow
from dawgen.tasks import TaskCard

LICENCES = {
    "captions": ("COCO captions", "CC BY 4.0", "cc-by-4.0"),
    "questions": (
        "query-wellformedness and NQ-open",
        "CC BY-SA 4.0 and CC BY-SA 3.0",
        "cc-by-sa-4.0",
    ),
    "wikipedia": ("English Wikipedia, 2014", "CC BY-SA 3.0", "cc-by-sa-3.0"),
    "shots": ("the few-shot rows", "the licence of your few-shot rows", "unknown"),
    "file": ("a text file of yours", "the licence of your text file", "unknown"),
    "generator": ("written by the generator", "none but the generator's own", "unknown"),
}
"""By source: what it is, its licence in words, its licence as the hub names it."""

SAMPLES_PER_LABEL = 3


@dataclass(frozen=True)
class Provenance:
    """What a synthetic folder was made with. Nothing in it differs between equal runs."""

    card: TaskCard
    backbone: Backbone
    settings: SynthesisSettings
    seed: int
    shots: int


def dataset_card(made: Provenance, kept: Sequence[SyntheticRow], ledger: Ledger) -> str:
    """The text of README.md: hub metadata, then prose, counts and a few rows."""
    sources = Counter(row.first_sentence.partition(":")[0] for row in kept)
    front = yaml.safe_dump(_metadata(made, len(kept), sources), sort_keys=False)
    parts = [
        f"---\n{front}---\n",
        _introduction(made, len(kept)),
        _counts(ledger),
        _provenance(made, sources),
        _samples(made.card, kept),
        _limits(),
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
    return f"""# {plain(made.card.name)}: {rows:,} rows written by a language model

{plain(made.card.description)}

Every row was written by a frozen language model under one tuned soft prompt a label, after
{made.shots:,} few-shot rows (Guo et al., *Generating Synthetic Datasets for Few-shot Prompt
Tuning*, COLM 2024). Nobody has checked the labels. Rows with `kept` = false were rejected, for
the `reason` beside them; leave them out:

```python
from datasets import load_dataset

rows = load_dataset("path/to/this/folder", split="train").filter(lambda row: row["kept"])
```
"""


def _counts(ledger: Ledger) -> str:
    reasons = sorted(ledger.total().rejected.items(), key=lambda item: (-item[1], item[0]))
    lines = [
        "## Rows\n",
        "Attempted is kept and rejected together.\n",
        *_table(
            ["label", "attempted", "kept", "rejected"],
            [
                [label, f"{a.attempted:,}", f"{a.kept:,}", f"{sum(a.rejected.values()):,}"]
                for label, a in ledger.labels.items()
            ],
        ),
    ]
    if reasons:
        by_label = ledger.labels.values()
        rows = [
            [reason, *(f"{a.rejected[reason]:,}" for a in by_label), f"{count:,}"]
            for reason, count in reasons
        ]
        lines += ["", *_table(["rejected because", *ledger.labels, "all"], rows)]
    return "\n".join(lines) + "\n"


def _provenance(made: Provenance, sources: Counter[str]) -> str:
    settings = made.settings.model_dump(mode="json", exclude={"batch_size"})  # only speed
    if "file" in sources:
        settings["first_sentences"] = "a text file"  # its path is the maker's own affair
    facts = [
        ["task card", f"{made.card.name}, version {made.card.version}"],
        ["few-shot rows", f"{made.shots:,}"],
        ["generator", _model_name(made.backbone.name)],
        ["generator's fingerprint", made.backbone.fingerprint],
        ["seed", str(made.seed)],
        *([f"synthesis.{name}", str(value)] for name, value in settings.items()),
    ]
    first = [
        [source, LICENCES[source][0], f"{count:,}", LICENCES[source][1]]
        for source, count in sorted(sources.items())
    ]
    lines = ["## What it was made from\n", *_table(["", ""], facts)]
    if first:
        lines += ["", "First sentences of the kept rows:\n"]
        lines += _table(["source", "what it is", "rows", "licence"], first)
    return "\n".join(lines) + "\n"


def _samples(card: TaskCard, kept: Sequence[SyntheticRow]) -> str:
    names = ["label", "text1", "text2", "label ratio"]
    rows = []
    for label in card.labels:
        for row in [row for row in kept if row.label == label][:SAMPLES_PER_LABEL]:
            ratio = "" if row.label_ratio is None else f"{row.label_ratio:.3f}"
            rows.append([label, row.text1, row.text2 or "", ratio])
    if not card.is_pair:
        names.remove("text2")
        rows = [[label, text, ratio] for label, text, _, ratio in rows]
    return "\n".join(["## The first rows of each label\n", *_table(names, rows)]) + "\n"


def _limits() -> str:
    return """## Columns

`text1`, `text2` (null for single texts), `label`; `kept` and `reason`; `label_ratio`, the
generator's own p(text | label) over its sum for all labels; `log_likelihood` of the written
text under its label, in nats (both null where a rule on the text rejected the row before it
was scored); `first_sentence`, where text1 comes from; `shard`; `seed` of the
row's random numbers.

## What it is not for

It is training material for this one task. It is no test set: its labels come from the prompt
that wrote the rows, not from people, and some are wrong. Its statements are not facts. It
carries whatever biases the generator and the sources above have, and should not be used to
decide about people. Cite it as machine-written wherever it goes.
"""


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> list[str]:
    """A Markdown table, every cell made plain."""
    names = [plain(name) for name in head]
    lines = ["| " + " | ".join(names) + " |", "|" + " --- |" * len(names)]
    return lines + ["| " + " | ".join(plain(cell) for cell in row) + " |" for row in rows]


_ESCAPES = {c: f"\\{c}" for c in "\\`*_[]|~$"} | {"<": "&lt;", ">": "&gt;", "&": "&amp;"}


def plain(text: str) -> str:
    """Text that Markdown and HTML show as it is, on one line."""
    line = " ".join(text.split())
    return "".join(_ESCAPES.get(c, c) for c in line if c.isprintable())


def _model_name(name: str) -> str:
    """A hub name as it is; of a folder its last part, for paths are nobody else's business."""
    return Path(name).name if name.startswith((".", "/", "~")) else name
