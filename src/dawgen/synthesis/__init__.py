"""Synthesis: writing labelled rows, cleaning, scoring and counting them."""

from dawgen.synthesis.ledger import Ledger, LedgerError
from dawgen.synthesis.rows import SyntheticRow
from dawgen.synthesis.shards import load_synthetic
from dawgen.synthesis.stage import SyntheticSet, synthesize

__all__ = [
    "Ledger",
    "LedgerError",
    "SyntheticRow",
    "SyntheticSet",
    "load_synthetic",
    "synthesize",
]
