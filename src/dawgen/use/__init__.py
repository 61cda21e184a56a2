"""Using a finished run: open it, predict, classify, compare reader and writer."""
