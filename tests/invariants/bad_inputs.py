"""What a user can hand in that is wrong or odd, and what dawgen says to it.

`python -m tests.invariants.bad_inputs` tries every one and writes the table of
`docs/bad-input.md`; the tests try them too.
"""

from __future__ import annotations

import gzip
import json
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file

from tests.invariants.jobs import Outcome, SmallJob, dawgen, rows, write_job

DOCS = Path(__file__).parents[2] / "docs" / "bad-input.md"
Spoil = Callable[[SmallJob], object]
"""Spoils the files of a job; gives back further options, or None."""


@dataclass(frozen=True)
class Case:
    """One kind of input.

    Attributes:
        kind: data, cards, settings, models or places.
        what: in the user's words.
        spoil: makes it.
        says: parts of the sentence that refuses it; empty for what is read as it is.
    """

    kind: str
    what: str
    spoil: Spoil
    says: tuple[str, ...] = ()


CASES: list[Case] = []


def refused(kind: str, what: str, *says: str) -> Callable[[Spoil], Spoil]:
    """A case that dawgen refuses, with these parts in its sentence."""

    def add(spoil: Spoil) -> Spoil:
        CASES.append(Case(kind, what, spoil, says))
        return spoil

    return add


def read(kind: str, what: str) -> Callable[[Spoil], Spoil]:
    """A case that is odd but read as it is."""
    return refused(kind, what)


def attempt(case: Case, job: SmallJob) -> Outcome:
    """`dawgen run` on what is refused; `dawgen validate` on what is read."""
    more = case.spoil(job)
    options = [str(option) for option in more] if isinstance(more, list) else []
    if case.says:
        return job.run(job.folder / "run", *options)
    model = ["-s", f"backbone.path={job.model}", "-s", "tuning.prompt_length=4"]
    return dawgen("validate", job.card, "--data", _train(job), *model)


def _train(job: SmallJob) -> Path:
    """The training rows, whatever their format has become."""
    return next(p for p in sorted(job.folder.glob("train.*")) if p.stat().st_size)


def set_rows(job: SmallJob, **changes: Any) -> None:
    """Change the second training row."""
    found = rows(0, 8)
    found[1] |= changes
    job.data("train").write_text("".join(json.dumps(row) + "\n" for row in found))


def table(job: SmallJob, name: str, text: str | bytes, *, keep: bool = False) -> list[object]:
    """Training rows in another file; gives back the option that names it."""
    path = job.folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    if not keep:
        job.data("train").unlink()
    return ["--train", path]


def as_csv(found: list[dict[str, str]] | None = None, end: str = "\n") -> str:
    """Rows as CSV."""
    cells = [tuple(row.values()) for row in found or rows(0, 8)]
    lines = ["premise,hypothesis,verdict", *(",".join(f'"{c}"' for c in row) for row in cells)]
    return end.join(lines) + end


def in_card(old: str, new: str) -> Spoil:
    """Replaces a piece of the card."""

    def spoil(job: SmallJob) -> None:
        text = job.card.read_text()
        assert old in text
        job.card.write_text(text.replace(old, new))

    return spoil


def setting(text: str) -> Spoil:
    """An override of a setting."""
    return lambda job: ["-s", text]


def config(text: str) -> Spoil:
    """A settings file."""

    def spoil(job: SmallJob) -> list[object]:
        path = job.folder / "mine.yaml"
        path.write_text(text)
        return ["--config", path]

    return spoil


def model(change: Callable[[Path], object]) -> Spoil:
    """A copy of the model's folder, changed."""

    def spoil(job: SmallJob) -> list[object]:
        copy = Path(shutil.copytree(job.model, job.folder / "model"))
        change(copy)
        return ["-s", f"backbone.path={copy}"]

    return spoil


def in_json(name: str, **changes: Any) -> Callable[[Path], None]:
    """Changes entries of a JSON file of the model."""

    def change(folder: Path) -> None:
        tree = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps(tree | changes))

    return change


def in_weights(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    """Changes the model's tensors."""

    def apply(folder: Path) -> None:
        tensors = load_file(folder / "model.safetensors")
        change(tensors)
        save_file(tensors, folder / "model.safetensors", {"format": "pt"})

    return apply


# --- data --------------------------------------------------------------------------------

D = "data"


@read(D, "a byte order mark before the first line")
def _(job: SmallJob) -> object:
    return table(job, "train.csv", b"\xef\xbb\xbf" + as_csv().encode())


@read(D, "Windows line ends (CRLF)")
def _(job: SmallJob) -> object:
    return table(job, "train.csv", as_csv(end="\r\n"))


@read(D, "no line end behind the last row")
def _(job: SmallJob) -> object:
    return table(job, "train.csv", as_csv().rstrip("\n"))


@read(D, "line breaks, commas and doubled quotes inside quoted cells")
def _(job: SmallJob) -> object:
    return table(
        job, "train.csv", as_csv([*rows(0, 7), {"p": 'a ""b"",\nc', "h": "d", "v": "same"}])
    )


@read(D, "emoji, also joined ones, and letters beyond 16 bits")
def _(job: SmallJob) -> object:
    return set_rows(job, premise="👩‍👩‍👧 𝒜 🇪🇺")


@read(D, "right-to-left text with its marks")
def _(job: SmallJob) -> object:
    return set_rows(job, premise="\u202bשלום עולם\u202c مرحبا")


@read(D, "a text of a million characters (cut to the model's length)")
def _(job: SmallJob) -> object:
    return set_rows(job, premise="a man runs " * 90_000)


@read(D, "terminal escapes in a text (spelled out where it is shown)")
def _(job: SmallJob) -> object:
    return set_rows(job, premise="\x1b[31mred\x1b[0m \x07")


@read(D, "HTML, Markdown and formulas in a text")
def _(job: SmallJob) -> object:
    return set_rows(job, premise="<script>alert(1)</script> | **a** =1+1")


@read(D, "labels as numbers, 1 and 0, where the card has two")
def _(job: SmallJob) -> object:
    found = [row | {"verdict": int(row["verdict"] == "other")} for row in rows(0, 8)]
    job.data("train").write_text("".join(json.dumps(row) + "\n" for row in found))
    return None


@read(D, "texts that are numbers, or the words NA and null")
def _(job: SmallJob) -> object:
    return set_rows(job, premise=12.5, hypothesis="NA")


@read(D, "rows that are there twice (counted once when shots are drawn)")
def _(job: SmallJob) -> object:
    return table(job, "train.csv", as_csv([*rows(0, 8), *rows(0, 8)]))


@read(D, "ids of rows that are there twice, in a column that the card does not name")
def _(job: SmallJob) -> object:
    return set_rows(job, id="1")


@read(D, "a file name with spaces and brackets")
def _(job: SmallJob) -> object:
    job.data("train").rename(job.folder / "train. my [1]*.jsonl")
    return None


@refused(D, "a file that is not there", "There is no file", "train.jsonl")
def _(job: SmallJob) -> object:
    return job.data("train").unlink()


@refused(D, "a folder instead of a file", "is a folder")
def _(job: SmallJob) -> object:
    return ["--train", job.folder]


@refused(D, "texts without labels in a column of another name", "no column", "reads text1 from")
def _(job: SmallJob) -> object:
    (job.folder / "texts.csv").write_text("title\na man sleeps\n")
    return ["--unlabelled", job.folder / "texts.csv"]


@refused(D, "texts without labels in a file without a text", "texts.txt has no texts")
def _(job: SmallJob) -> object:
    (job.folder / "texts.txt").write_text("\n\n")
    return ["--unlabelled", job.folder / "texts.txt"]


@refused(D, "an empty file", "train.jsonl is empty")
def _(job: SmallJob) -> object:
    return job.data("train").write_bytes(b"")


@refused(D, "a heading and no rows", "has no rows")
def _(job: SmallJob) -> object:
    return table(job, "train.csv", "premise,hypothesis,verdict\n")


@refused(D, "an unknown ending", "'.txt' is unknown")
def _(job: SmallJob) -> object:
    return table(job, "train.txt", "x")


@refused(D, "a compressed file (.gz)", "train.jsonl.gz is compressed; decompress it")
def _(job: SmallJob) -> object:
    return table(job, "train.jsonl.gz", gzip.compress(job.data("train").read_bytes()))


@refused(D, "a compressed file under another ending", "train.csv is compressed; decompress it")
def _(job: SmallJob) -> object:
    return table(job, "train.csv", gzip.compress(as_csv().encode()))


@refused(D, "Latin-1 instead of UTF-8", "is not text in UTF-8")
def _(job: SmallJob) -> object:
    return table(job, "train.csv", as_csv().replace("man", "M\xe4nn").encode("latin-1"))


@refused(D, "UTF-16, as spreadsheets save “Unicode text”", "UTF-16", "save it as UTF-8")
def _(job: SmallJob) -> object:
    return table(job, "train.csv", as_csv().encode("utf-16"))


@refused(D, "a null character in a text", "row 2", "'premise'", "a null character")
def _(job: SmallJob) -> object:
    return set_rows(job, premise="a\x00b")


@refused(D, "a null character in the heading", "null character in its first line")
def _(job: SmallJob) -> object:
    return table(job, "train.csv", as_csv().replace("premise", "pre\x00mise", 1))


@refused(D, "half of a character (a lone surrogate)", "row 2", "lone surrogate")
def _(job: SmallJob) -> object:
    return set_rows(job, premise="a \ud83d b")


@refused(D, "a missing column", "no column 'hypothesis'", "'premise'")
def _(job: SmallJob) -> object:
    return table(job, "train.csv", as_csv().replace("hypothesis", "gloss", 1))


@refused(D, "two columns of one name", "two columns called 'premise'")
def _(job: SmallJob) -> object:
    return table(job, "train.csv", as_csv().replace("hypothesis", "premise", 1))


@refused(D, "a ragged row, with more cells than the heading", "row 2: 4 cells", "3")
def _(job: SmallJob) -> object:
    return table(job, "train.csv", as_csv().replace('"same"', '"same","x"', 1))


@refused(D, "a ragged row, with fewer cells than the heading", "row 9", "'verdict' is empty")
def _(job: SmallJob) -> object:
    return table(job, "train.csv", as_csv() + '"a","b"\n')


@refused(D, "a double quote that is never closed", "missing double quote")
def _(job: SmallJob) -> object:
    return table(job, "train.csv", as_csv() + '"never closed,b,same\n')


@refused(D, "an empty text", "row 2", "'premise' is empty")
def _(job: SmallJob) -> object:
    return set_rows(job, premise=" ")


@refused(D, "NaN where a text should be", "row 2", "'premise' is empty")
def _(job: SmallJob) -> object:
    return set_rows(job, premise=float("nan"))


@refused(D, "a list where a text should be", "row 2", "holds a list")
def _(job: SmallJob) -> object:
    return set_rows(job, premise=["a"])


@refused(D, "an unknown label", "row 2", "'sam'", "did you mean 'same'")
def _(job: SmallJob) -> object:
    return set_rows(job, verdict="sam")


@refused(D, "an empty label", "row 2", "label column 'verdict' is empty")
def _(job: SmallJob) -> object:
    return set_rows(job, verdict="")


@refused(D, "a label number beyond the card's labels", "row 2", "unknown label '7'")
def _(job: SmallJob) -> object:
    return set_rows(job, verdict=7)


@refused(D, "a label number where the card's own labels are numbers", "row 3", "unknown label '0'")
def _(job: SmallJob) -> object:
    job.card.write_text(job.card.read_text().replace("same", "'1'").replace("other", "'2'"))
    stars = [row | {"verdict": "12012012"[n]} for n, row in enumerate(rows(0, 8))]
    return table(job, "train.csv", as_csv(stars))


@refused(
    D, "a file name that is empty, as of a variable not set", "name of a file of rows is empty"
)
def _(job: SmallJob) -> object:
    return ["--test", ""]


@refused(D, "a broken JSON line", "line 9", "not JSON")
def _(job: SmallJob) -> object:
    job.data("train").write_text(job.data("train").read_text() + '{"premise": \n')
    return None


@refused(D, "JSON that is a list, not an object a line", "line 1", "one JSON object")
def _(job: SmallJob) -> object:
    return job.data("train").write_text('["a", "b", "same"]\n')


@refused(D, "JSON nested a hundred thousand deep", "line 1", "nesting too deep")
def _(job: SmallJob) -> object:
    return job.data("train").write_text('{"premise": ' + "[" * 100_000 + "]" * 100_000 + "}\n")


@refused(D, "a number of ten thousand digits", "line 1", "number is too long")
def _(job: SmallJob) -> object:
    return job.data("train").write_text('{"premise": ' + "9" * 10_000 + "}\n")


@refused(D, "a Parquet file cut short", "not a readable Parquet file")
def _(job: SmallJob) -> object:
    return table(job, "train.parquet", b"PAR1" + b"\x00" * 64)


@refused(D, "rows of one label only", "one label only", "'same'")
def _(job: SmallJob) -> object:
    return table(job, "train.csv", as_csv([row | {"verdict": "same"} for row in rows(0, 8)]))


@refused(D, "fewer rows of a label than shots", "3 rows of label", "4")
def _(job: SmallJob) -> object:
    return table(job, "train.csv", as_csv(rows(0, 7)))


@refused(D, "development rows that are training rows", "dev.jsonl", "8 of its rows")
def _(job: SmallJob) -> object:
    return job.data("dev").write_bytes(job.data("train").read_bytes())


@refused(D, "a data set on the hub that cannot be reached", "hub:nobody/nothing", "could not be")
def _(job: SmallJob) -> object:
    return ["--train", "hub:nobody/nothing"]


# --- cards -------------------------------------------------------------------------------

C = "cards"
BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)

refused(C, "a card that is not there", "no card file")(lambda job: job.card.unlink())
refused(C, "a card that is no YAML", "pairs.yaml", "not readable YAML")(
    lambda job: job.card.write_text("name: [pairs\n")
)
refused(C, "a card that is a list", "`name: value` lines")(lambda job: job.card.write_text("- a\n"))
refused(C, "an empty card", "`name: value` lines")(lambda job: job.card.write_text(""))
refused(C, "a card in Latin-1", "not a text file in UTF-8")(
    lambda job: job.card.write_bytes(job.card.read_bytes() + "# \xe4".encode("latin-1"))
)
refused(C, "a misspelt entry", "'lables'", "did you mean 'labels'")(
    in_card("labels: [", "lables: [")
)
refused(C, "an entry that is there twice", "line 6", "'labels' is there twice")(
    in_card("label_prompts:", "labels: [x, y]\nlabel_prompts:")
)
refused(C, "a missing entry", "entry 'template' is missing")(
    in_card('template: "premise: {text1} hypothesis: {text2} answer:"\n', "")
)
refused(C, "a placeholder that is none of its columns", "text3")(in_card("{text2}", "{text3}"))
refused(C, "one label only", "at least two labels")(in_card("[same, other]", "[same]"))
refused(C, "a label twice", "listed twice")(in_card("[same, other]", "[same, same]"))
refused(C, "a label without a word", "no entry for label 'other'")(
    in_card('{same: "yes", other: "no"}', '{same: "yes"}')
)
refused(C, "two labels with one word", "the same label word 'yes'")(
    in_card('other: "no"', 'other: "yes"')
)
refused(C, "a label word that begins another one for the model", "begins 'yes again'")(
    in_card('other: "no"', 'other: "yes again"')
)
refused(C, "YAML that makes Python objects", "constructor for the tag")(
    in_card("name: pairs", 'name: !!python/object/apply:os.system ["touch run"]')
)
refused(C, "a YAML bomb: nine lines for half a billion values", "more than 100,000 values")(
    lambda job: job.card.write_text(BOMB + job.card.read_text())
)
refused(C, "a value that contains itself", "contains itself")(in_card("[same, other]", "&a [*a]"))
refused(C, "YAML nested a hundred thousand deep", "nested too deeply")(
    lambda job: job.card.write_text("a: " + "[" * 100_000)
)
refused(C, "a card of two million characters", "more than 1,000,000 characters")(
    lambda job: job.card.write_text("name: " + "x" * 2_000_000)
)
refused(C, "a label that is a date which there is not", "not readable YAML")(
    in_card("[same, other]", "[2026-99-99, other]")
)
refused(C, "a label longer than a folder's name may be", "too long")(
    lambda job: job.card.write_text(job.card.read_text().replace("other", "o" * 300))
)
refused(C, "a section's entry in one line", "'decoding.temperature'", "write it as decoding: {")(
    in_card("name: pairs", "name: pairs\ndecoding.temperature: 0.5")
)
refused(C, "a name that is a path", "cannot contain / or \\")(
    in_card("name: pairs", "name: ../../x")
)

# --- settings ----------------------------------------------------------------------------

S = "settings"
refused(S, "a setting that there is not", "'tuning.stepz'", "'tuning.steps'")(
    setting("tuning.stepz=1")
)
refused(S, "no value", "write it as section.name=value")(setting("tuning.steps"))
refused(S, "a word for a number", "tuning.steps", "'many'")(setting("tuning.steps=many"))
refused(S, "zero steps", "tuning.steps", "more than 0")(setting("tuning.steps=0"))
refused(S, "a rate that is not a number", "tuning.learning_rate", "not infinite")(
    setting("tuning.learning_rate=.nan")
)
refused(S, "an infinite rate", "generator.learning_rate", "not infinite")(
    setting("generator.learning_rate=.inf")
)
refused(S, "a share above one", "at most 1")(setting("tuning.label_smoothing=2"))
refused(S, "half precision", "overflows", "bf16")(setting("backbone.dtype=fp16"))
refused(S, "a device that there is not", "no device 'cuda:99'")(setting("backbone.device=cuda:99"))
refused(S, "a prompt longer than the model reads", "tuning.prompt_length", "no room")(
    setting("tuning.prompt_length=4000")
)
refused(S, "a prompt of a billion vectors", "backbone.max_length")(
    setting("generator.prompt_length=1000000000")
)
refused(S, "a section that is a number", "'tuning'", "3")(setting("tuning=3"))
refused(S, "a preset that there is not", "no preset 'huge'")(lambda job: ["--preset", "huge"])
refused(S, "a settings file that is not there", "no settings file")(
    lambda job: ["--config", job.folder / "none.yaml"]
)
refused(S, "a settings file that is a list", "'name: value' lines")(config("- a\n"))
refused(S, "a settings file that lets a model's own code run", "cannot allow", "trust_remote_code")(
    config("backbone: {trust_remote_code: true}\n")
)
refused(S, "yes for a number", "'shots'", "not a switch")(setting("shots=yes"))
refused(S, "a setting without its section", "'steps'", "did you mean 'tuning.steps'")(
    setting("steps=5")
)
refused(S, "a penalty for a label that the task has not", "'foo'", "same, other")(
    setting("synthesis.repetition_penalty={foo: 1.5}")
)
refused(S, "a setting that was removed", "synthesis.contrast was removed")(
    setting("synthesis.contrast=0.5")
)
refused(S, "first sentences from a column that is not there", "no column 'text'")(
    lambda job: ["-s", f"synthesis.first_sentences={job.data('test')}#text"]
)
refused(S, "first sentences from a file that is not there", "There is no text file")(
    setting("synthesis.first_sentences=none.txt")
)

# --- models ------------------------------------------------------------------------------

M = "models"
refused(M, "a folder that is not there", "no model folder")(setting("backbone.path=/nowhere/model"))
refused(M, "an empty folder", "no tokenizer")(
    model(lambda folder: [path.unlink() for path in folder.iterdir()])
)
refused(M, "no config", "cannot be loaded")(model(lambda f: (f / "config.json").unlink()))
refused(M, "a config that is no JSON", "cannot be loaded")(
    model(lambda f: (f / "config.json").write_text("{"))
)
refused(M, "no weights", "cannot be loaded", "safetensors")(
    model(lambda f: (f / "model.safetensors").unlink())
)
refused(M, "pickled weights only", "pickled weights only (pytorch_model.bin)", "refused")(
    model(lambda f: (f / "model.safetensors").rename(f / "pytorch_model.bin"))
)
refused(M, "weights cut short", "cannot be loaded")(
    model(
        lambda f: (f / "model.safetensors").write_bytes(
            (f / "model.safetensors").read_bytes()[:5000]
        )
    )
)
refused(M, "a shard of the weights is missing", "cannot be loaded")(
    model(
        lambda f: [
            (f / "model.safetensors").unlink(),
            (f / "model.safetensors.index.json").write_text(
                json.dumps(
                    {"metadata": {}, "weight_map": {"model.shared.weight": "m-1-of-2.safetensors"}}
                )
            ),
        ]
    )
)
refused(M, "a tensor of the weights is missing", "lacks weights")(
    model(in_weights(lambda t: t.pop("model.encoder.layers.1.fc1.weight")))
)
refused(M, "weights that are NaN", "not numbers", "fc1.weight")(
    model(in_weights(lambda t: t["model.encoder.layers.1.fc1.weight"].fill_(float("nan"))))
)
refused(M, "a model that reads images", "cannot be loaded")(
    model(in_json("config.json", model_type="vit", architectures=["ViTModel"]))
)
refused(M, "a kind of model that nobody knows", "cannot be loaded")(
    model(in_json("config.json", model_type="nonesuch"))
)
refused(M, "a config of another size than the weights", "other sizes")(
    model(in_json("config.json", d_model=48))
)
refused(M, "a tokenizer of more tokens than the model embeds", "embeds", "not of one model")(
    model(
        lambda f: (f / "tokenizer.json").write_text(
            (f / "tokenizer.json").read_text().replace('"the":', '"beyond": 5000,\n      "the":', 1)
        )
    )
)
refused(M, "a tokenizer that is no JSON", "tokenizer", "cannot be loaded")(
    model(lambda f: (f / "tokenizer.json").write_text("{"))
)
refused(M, "code of its own that nobody allowed", "not run", "trust_remote_code=true")(
    model(
        in_json(
            "config.json", model_type="odd", auto_map={"AutoConfig": "odd.Config"}, architectures=[]
        )
    )
)

# --- places ------------------------------------------------------------------------------

P = "places"


@refused(P, "a run folder that is a file", "is a file; name a folder with --out")
def _(job: SmallJob) -> object:
    (job.folder / "taken").write_text("mine")
    return ["--out", job.folder / "taken"]


@refused(P, "a run folder below a file", "cannot be written")
def _(job: SmallJob) -> object:
    return ["--out", job.card / "run"]


@refused(P, "a folder of the user's own where a stage goes", "was not made by dawgen")
def _(job: SmallJob) -> object:
    (job.folder / "mine" / "generator").mkdir(parents=True)
    (job.folder / "mine" / "generator" / "notes.txt").write_text("mine")
    return ["--out", job.folder / "mine"]


@refused(P, "a folder that holds a file of the user's own", "scores.json", "would be overwritten")
def _(job: SmallJob) -> object:
    (job.folder / "mine").mkdir()
    (job.folder / "mine" / "scores.json").write_text("mine")
    return ["--out", job.folder / "mine"]


@refused(P, "a link inside the run folder that leads out of it", "symbolic link")
def _(job: SmallJob) -> object:
    (job.folder / "linked").mkdir()
    (job.folder / "elsewhere").mkdir()
    (job.folder / "linked" / "synthetic").symlink_to(job.folder / "elsewhere")
    return ["--out", job.folder / "linked"]


@refused(P, "a run folder whose name is too long", "cannot be written", "File name too long")
def _(job: SmallJob) -> object:
    return ["--out", job.folder / ("x" * 300)]


# --- the table ---------------------------------------------------------------------------


def sentence(outcome: Outcome, job: SmallJob) -> str:
    """What dawgen said, without the places of this machine."""
    said = outcome.err.strip().removeprefix("dawgen: ")
    said = said.replace(f"{job.model}", "MODEL").replace(f"{job.folder}/", "")
    said = said.replace(f"{job.folder}", "FOLDER")
    return re.sub(r"x{20,}|o{20,}", "…", said)


def lines(model: Path) -> Iterator[str]:
    """The table, every case tried."""
    yield from ("| | what is handed in | what dawgen says |", "| --- | --- | --- |")
    for number, case in enumerate(CASES, 1):
        with tempfile.TemporaryDirectory() as folder:
            job = write_job(Path(folder), model)
            outcome = attempt(case, job)
        said = sentence(outcome, job).replace("|", "\\|") if case.says else "read as it is"
        yield f"| {number} | {case.kind}: {case.what} | {said} |"


def main() -> None:
    """Write the table into the page."""
    from tests.faults.harness import write_model

    with tempfile.TemporaryDirectory() as folder:
        found = "\n".join(lines(write_model(Path(folder) / "model")))
    head = DOCS.read_text("utf-8").partition("| | what")[0]
    DOCS.write_text(f"{head}{found}\n", "utf-8")


if __name__ == "__main__":
    main()
