"""Coverage-guided fuzzing of everything that reads a file, for a bounded time.

    pip install --constraint constraints.txt --editable ".[fuzz]"
    python -m tools.fuzz --seconds 180            all readers, a share of the time each
    python -m tools.fuzz --reader card --seconds 600

atheris (libFuzzer for Python) makes up inputs and keeps those that reach new code. A reader may
give back a value or raise UserError; anything else is a crash, and the input is kept in the
folder that ``--keep`` names. The figures go into docs/fuzz.json.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

FIGURES = Path(__file__).parents[1] / "docs" / "fuzz.json"
CARD = """\
name: pairs
columns: {text1: a, text2: b, label: c}
labels: [same, other]
template: "{text1} {text2}"
label_words: {same: "yes", other: "no"}
"""
Reader = Callable[[bytes, Path], object]


def read_card(data: bytes, folder: Path) -> object:
    """A task card."""
    from dawgen.tasks import load_card

    return load_card(_file(folder / "card.yaml", data))


def read_settings(data: bytes, folder: Path) -> object:
    """A settings file."""
    from dawgen.settings.layers import build_settings

    return build_settings(file=Path(_file(folder / "settings.yaml", data)))


def _rows(ending: str) -> Reader:
    def read(data: bytes, folder: Path) -> object:
        from dawgen.tasks import load_rows
        from dawgen.tasks.card import parse_card

        card = parse_card(CARD, "card")
        return load_rows(card, _file(folder / f"rows.{ending}", data), allow_empty=True)

    return read


def read_list(data: bytes, folder: Path) -> object:
    """FewGen's way of writing rows: one JSON list."""
    from dawgen.synthesis import load_synthetic
    from dawgen.tasks.card import parse_card

    path = Path(_file(folder / "rows.json", b"[" + data))
    return load_synthetic(path, parse_card(CARD, "card"))


def read_prompt(data: bytes, folder: Path) -> object:
    """A PEFT adapter: the first line is its configuration, the rest its weights."""
    from dawgen.prompts import load_prompt

    config, _, weights = data.partition(b"\n")
    _file(folder / "adapter_config.json", config)
    _file(folder / "adapter_model.safetensors", weights)
    return load_prompt(folder)


def read_checkpoint(data: bytes, folder: Path) -> object:
    """The state of a stopped loop."""
    from dawgen.storage.checkpoint import Checkpoint

    return Checkpoint(Path(_file(folder / "state", data)), "the loop").load()


def read_seal(data: bytes, folder: Path) -> object:
    """A stage's seal."""
    from dawgen.storage.seals import read_seal as read

    _file(folder / "fingerprint.json", data)
    return read(folder)


READERS: dict[str, Reader] = {
    "card": read_card,
    "settings": read_settings,
    "jsonl": _rows("jsonl"),
    "csv": _rows("csv"),
    "tsv": _rows("tsv"),
    "parquet": _rows("parquet"),
    "json-list": read_list,
    "prompt": read_prompt,
    "checkpoint": read_checkpoint,
    "seal": read_seal,
}
SEEDS: dict[str, list[bytes]] = {
    "card": [CARD.encode(), b"a: &a [1, *a]\n<<: *a\n", b"labels: !!set {x, y}\n"],
    "settings": [b"tuning: {steps: 3, learning_rate: .inf}\nbackbone: {path: x}\n"],
    "jsonl": [b'{"a": "x", "b": "\\ud800", "c": "same"}\n{"a": 1e999, "b": null, "c": 0}\n'],
    "csv": [b'a,b,c\n"x ""y""",z,same\n', b"\xef\xbb\xbfa,b,c\r\nx,y,1\r\n"],
    "tsv": [b'a\tb\tc\n"x\ty\tsame\n'],
    "parquet": [b"PAR1\x15\x00PAR1"],
    "json-list": [b'{"a": "x", "b": "y", "c": "1"}]'],
    "prompt": [
        b'{"peft_type": "PROMPT_TUNING", "num_virtual_tokens": 1}\n'
        b'\x50\x00\x00\x00\x00\x00\x00\x00{"prompt_embeddings":{"dtype":"F32","shape":[1,1],'
        b'"data_offsets":[0,4]}}\x20\x20\x20\x20\x00\x00\x00\x00'
    ],
    "checkpoint": [b"\x02\x00\x00\x00\x00\x00\x00\x00{}"],
    "seal": [b'{"fingerprint": "x", "inputs": {}, "files": {"a": "b"}, "seal": "c"}'],
}


def _file(path: Path, data: bytes) -> str:
    path.write_bytes(data)
    return str(path)


def fuzz_one(name: str, seconds: int, keep: str) -> None:
    """Fuzz a reader in this process; it ends the process."""
    import atheris

    with atheris.instrument_imports(include=["dawgen", "yaml", "json"]):
        import dawgen.prompts
        import dawgen.settings
        import dawgen.storage.checkpoint
        import dawgen.storage.seals
        import dawgen.synthesis
        import dawgen.tasks.load  # noqa: F401
    from dawgen.errors import UserError
    from dawgen.terminal import progress

    progress.console.quiet = True
    folder, corpus = Path(tempfile.mkdtemp()), Path(tempfile.mkdtemp())
    for number, seed in enumerate(SEEDS[name]):
        (corpus / str(number)).write_bytes(seed)
    reader = READERS[name]

    def test(data: bytes) -> None:
        try:
            reader(data, folder)
        except UserError as error:
            if "\n" in str(error):
                raise ValueError(f"an error of two lines: {error!r}") from None

    options = [f"-max_total_time={seconds}", "-max_len=4096", f"-artifact_prefix={keep}/{name}-"]
    atheris.Setup([sys.argv[0], *options, "-rss_limit_mb=8192", str(corpus)], test)
    atheris.Fuzz()


def main() -> None:
    """Fuzz one reader, or each in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reader", choices=READERS)
    parser.add_argument("--seconds", type=int, default=180)
    parser.add_argument("--keep", default=tempfile.gettempdir())
    options = parser.parse_args()
    if options.reader:
        Path(options.keep).mkdir(parents=True, exist_ok=True)
        fuzz_one(options.reader, options.seconds, options.keep)
        return
    known = json.loads(FIGURES.read_text("utf-8")) if FIGURES.is_file() else {}
    for name in READERS:
        share = str(max(1, options.seconds // len(READERS)))
        command = [sys.executable, "-m", "tools.fuzz", "--reader", name, "--seconds", share]
        begin = perf_counter()
        done = subprocess.run(
            [*command, "--keep", options.keep], capture_output=True, text=True, errors="replace"
        )
        runs = re.findall(r"^#(\d+)", done.stderr, re.MULTILINE)
        known[name] = {
            "seconds": round(perf_counter() - begin),
            "executions": int(runs[-1]) if runs else 0,
            "crashed": done.returncode != 0,
        }
        print(name, known[name], flush=True)
        if done.returncode:
            print(done.stderr[-3000:], flush=True)
    FIGURES.write_text(json.dumps(known, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
