"""The longer commands of the command line. Importing them does not load torch."""
