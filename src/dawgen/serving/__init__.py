"""Finished runs over HTTP: many tasks over one backbone, rows of several tasks in one batch."""
