"""The main job: its stages in order, estimates and limits of its cost, the record of a run."""
