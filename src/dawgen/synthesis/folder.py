"""The folder of a synthesis: its shards while it runs, and all files at the end."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from dawgen.storage.folder import write_json, write_text
from dawgen.storage.seals import is_as_written, write_hash
from dawgen.synthesis.card import dataset_card
from dawgen.synthesis.ledger import Ledger
from dawgen.synthesis.provenance import Provenance
from dawgen.synthesis.quality import quality
from dawgen.synthesis.rows import SyntheticRow
from dawgen.synthesis.shards import read_shard, shard_path, write_shard
from dawgen.terminal.progress import warn

QUALITY = "quality.json"


def finished_shard(work: Path | None, number: int) -> list[SyntheticRow] | None:
    """All rows of a shard that a stopped synthesis had finished, if it had."""
    if work is None or not shard_path(work, number).is_file():
        return None
    path = shard_path(work, number)
    if not is_as_written(path):
        warn(f"{path} is damaged: its hash is not that of its content; it is written again.")
        return None
    return read_shard(path)


def keep_shard(work: Path | None, number: int, rows: Sequence[SyntheticRow]) -> None:
    """Lay a finished shard aside, rejected rows too: the next synthesis goes on from it."""
    if work is not None:
        work.mkdir(parents=True, exist_ok=True)
        write_hash(write_shard(work, number, rows))


def write_rows(
    folder: Path, rows: Sequence[SyntheticRow], ledger: Ledger, keep_rejected: bool
) -> None:
    """Shards and `ledger.json`; shards of an earlier synthesis are removed.

    Rejected rows are left out without ``keep_rejected``; the ledger counts them all the same.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for stale in folder.glob("shard-*.parquet"):
        stale.unlink()
    shards: dict[int, list[SyntheticRow]] = defaultdict(list)
    for row in rows:
        if row.kept or keep_rejected:
            shards[row.shard].append(row)
    for number, shard in sorted(shards.items()):
        write_shard(folder, number, shard)
    write_text(folder / "ledger.json", ledger.dumps())


def describe(
    folder: Path,
    rows: Sequence[SyntheticRow],
    ledger: Ledger,
    made: Provenance,
    unlabelled: Sequence[str],
) -> None:
    """`quality.json` and the dataset card, `README.md`.

    Args:
        rows: rejected ones too.
        unlabelled: sentences of the domain, to compare with; may be none.
    """
    report = quality(rows, ledger, made, unlabelled)
    write_json(folder / QUALITY, report)
    shards = sorted(folder.glob("shard-*.parquet"))
    write_text(folder / "README.md", dataset_card(made, rows, ledger, report, shards))
