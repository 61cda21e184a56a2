"""The run folder: atomic writes, fingerprints, locks, checkpoints, stopping."""
