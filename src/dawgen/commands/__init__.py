"""Commands of the command line that are more than a few lines; importing them loads no torch."""
