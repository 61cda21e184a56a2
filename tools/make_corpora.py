"""Make the packaged samples of unlabelled sentences, `src/dawgen/synthesis/corpora/`.

    python tools/make_corpora.py --from DIR

DIR holds captions.txt.xz, questions.txt.xz and wikipedia.txt.xz, one sentence a line. Captions
and questions are taken whole, Wikipedia as a seeded sample of clean sentences. The same input
gives the same files.
"""

from __future__ import annotations

import argparse
import lzma
import re
from pathlib import Path

import numpy as np

OUT = Path(__file__).resolve().parents[1] / "src" / "dawgen" / "synthesis" / "corpora"
SEED = 13
WIKIPEDIA_LINES = 30_000
WORDS = (10, 70)

_CLEAN = re.compile(r"[A-Z][A-Za-z0-9 ,.'()\u2013\"%$-]*[a-z)]\.")
_DEBRIS = re.compile(
    r"\( *[,;)]|,,|\.\.|  | ,|\( | \)|\b(refer to|may also refer|disambiguation|ISBN|edit)\b"
)


def read(path: Path) -> list[str]:
    with lzma.open(path, "rt", encoding="utf-8") as lines:
        return [line.strip() for line in lines if line.strip()]


def is_clean(line: str) -> bool:
    """A whole sentence of 10 to 70 words in plain letters, with brackets and quotes closed."""
    return (
        WORDS[0] <= len(line.split()) <= WORDS[1]
        and _CLEAN.fullmatch(line) is not None
        and _DEBRIS.search(line) is None
        and line.count("(") == line.count(")")
        and line.count('"') % 2 == 0
    )


def sample(lines: list[str], count: int) -> list[str]:
    """``count`` clean lines, drawn without replacement, in the order of the source."""
    clean = [line for line in dict.fromkeys(lines) if is_clean(line)]
    chosen = np.random.default_rng(SEED).choice(
        len(clean), size=min(count, len(clean)), replace=False
    )
    return [clean[i] for i in sorted(chosen)]


def write(path: Path, lines: list[str]) -> None:
    text = "".join(f"{line}\n" for line in lines).encode()
    path.write_bytes(lzma.compress(text, preset=9 | lzma.PRESET_EXTREME))
    print(f"{path.name}: {len(lines):,} lines, {path.stat().st_size:,} bytes")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--from", dest="source", type=Path, required=True)
    source = parser.parse_args().source
    OUT.mkdir(parents=True, exist_ok=True)
    for name in ("captions", "questions"):
        write(OUT / f"{name}.txt.xz", read(source / f"{name}.txt.xz"))
    wikipedia = sample(read(source / "wikipedia.txt.xz"), WIKIPEDIA_LINES)
    write(OUT / "wikipedia.txt.xz", wikipedia)


if __name__ == "__main__":
    main()
