"""What every predict.py does with rows: read them, fill in the template, tell the labels."""

import csv
import functools
import io
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

here = Path(__file__).resolve().parent
task = json.loads((here / "task.json").read_text("utf-8"))
# Tokens that a text leaves room for: the prompt, and a causal model's answer.
beside = task["prompt_length"] + (0 if task["encoder_decoder"] else 8)


def in_words(read: Callable[[Path], Any]) -> Callable[[Path], Any]:
    """A reader of a file that says in a sentence what is wrong with it."""

    @functools.wraps(read)
    def reader(path: Path) -> Any:
        try:
            return read(path)
        except OSError as error:
            sys.exit(f"{path} cannot be read: {error.strerror}.")
        except UnicodeDecodeError:
            sys.exit(f"{path} is not text in UTF-8; save it as such.")
        except (ValueError, csv.Error, AttributeError, TypeError, RecursionError) as error:
            sys.exit(f"{path} does not hold rows of cells: {error}.")

    return reader


def text_of(row: dict[str, str], role: str) -> str:
    """A row's text1 or text2."""
    return str(row[task["columns"][role]]).strip()


def fill(row: dict[str, str]) -> str:
    """The template with the row's texts in place."""
    return re.sub(r"\{(text[12])\}", lambda m: text_of(row, m[1]), task["template"])


@in_words
def rows_of(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV, TSV, JSONL or JSON file."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        text = file.read().lstrip()
    if path.suffix.lower() in (".csv", ".tsv"):
        csv.field_size_limit(2**31 - 1)
        heading = text.partition("\n")[0]
        separator = next((mark for mark in ",;\t" if mark in heading), ",")
        rows = list(csv.DictReader(io.StringIO(text, newline=""), delimiter=separator))
    elif path.suffix.lower() not in (".jsonl", ".ndjson", ".json"):
        sys.exit(
            f"{path}: its ending must be .csv, .tsv, .jsonl or .json; save it as one of these."
        )
    elif text.startswith("["):
        rows = json.loads(text)
    else:
        rows = [json.loads(line) for line in text.split("\n") if line.strip()]
    for number, row in enumerate(rows, start=1):
        for column in task["columns"].values():
            if row.get(column) in (None, ""):
                sys.exit(f"{path}, row {number}: there is nothing in the column {column!r}.")
    return rows


def answer(found: list[float]) -> str:
    """A line of JSON: the likeliest label, and p(label) of each."""
    named = {f"p_{label}": p for label, p in zip(task["labels"], found, strict=True)}
    return json.dumps({"prediction": task["labels"][found.index(max(found))], **named})


def check_call(about: str) -> None:
    """End with what predict.py says of itself where it is asked for, or called otherwise."""
    arguments = sys.argv[1:]
    if {"-h", "--help"} & {*arguments}:
        print(about)
        sys.exit()
    if not 1 <= len(arguments) <= 1 + ("[BASE]" in about) or arguments[0].startswith("-"):
        print(about, file=sys.stderr)
        sys.exit(2)
    if not Path(arguments[0]).is_file():
        sys.exit(f"There is no file {arguments[0]}.")
    for base in arguments[1:]:
        if base.startswith((".", "/", "~")) and not Path(base).is_dir():
            sys.exit(f"There is no folder {base}; name the folder or hub name of the backbone.")


# While predict.py imports this, before it loads its model, which may take long.
main = sys.modules["__main__"]
if Path(getattr(main, "__file__", None) or "").resolve() == here / "predict.py":
    check_call(str(main.__doc__))
