"""Evaluation: predictions, metrics, statistical tests, the paper's tables."""

from __future__ import annotations

from dawgen.evaluation.metrics import ECE_BINS, score
from dawgen.evaluation.output import write_predictions
from dawgen.evaluation.overlap import Overlap, overlap
from dawgen.evaluation.predict import predict

__all__ = ["ECE_BINS", "Overlap", "overlap", "predict", "score", "write_predictions"]
