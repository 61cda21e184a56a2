"""Synthesis: labelled rows from label prompts, cleaned, scored and accounted for."""

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
