"""The benchmark: a grid of tasks, seeds, methods and backbones, run cell by cell."""
