"""Working with a finished run: open it, predict, classify, measure agreement."""
