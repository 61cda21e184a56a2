"""``python -m dawgen``: the command line."""

from dawgen.cli import entry

if __name__ == "__main__":
    entry()
