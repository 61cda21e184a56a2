"""The run folder: fingerprints, whole files, locks, checkpoints, hashes, stopping."""
