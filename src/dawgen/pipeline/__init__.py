"""The main job: stages in order (run), what they cost (plan, limits), what is recorded."""
