"""Write docs/licences.md: the licences of what dawgen needs, holds and fetches.

python -m tools.licences            # writes the page
python -m tools.licences --check    # says what has drifted, writes nothing

Licences of packages come from their metadata. Of a package that is not installed here, that of an
extra, the page's own line is kept; where it has none, pip downloads the wheel.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from email import message_from_bytes
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path

from dawgen.backbone.registry import KNOWN

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "licences.md"
_LONGEST = 40
"""Characters of a licence's name; a longer entry is the licence's own text."""
_CLASSIFIERS = {
    "Apache Software License": "Apache-2.0",
    "MIT License": "MIT",
    "BSD License": "BSD",
    "Python Software Foundation License": "Python Software Foundation License",
}
_WORDS = {
    "apache": "Apache-2.0",
    "apache 2.0": "Apache-2.0",
    "apache 2.0 license": "Apache-2.0",
    "apache license 2.0": "Apache-2.0",
    "apache license, version 2.0": "Apache-2.0",
    "3-clause bsd license": "BSD-3-Clause",
    "mit license": "MIT",
}


_APACHE = re.compile(rb"^\s*Apache License\s+Version 2\.0")


@dataclass(frozen=True)
class Held:
    """A work of others in the package, or one made from it."""

    path: str
    what: str
    licence: str


HELD = (
    Held(
        "src/dawgen/backbone/tiny",
        "weights and vocabulary, made from sentence-transformers/all-MiniLM-L6-v2",
        "Apache-2.0",
    ),
    Held(
        "src/dawgen/selection/cross_encoders",
        "changes of sentence-transformers/all-mpnet-base-v2, learnt from SNLI, MNLI and QNLI",
        "Apache-2.0",
    ),
    Held(
        "src/dawgen/selection/sentence_encoders",
        "changes of the encoder of dawgen/tiny, taught by sentence-transformers/all-mpnet-base-v2",
        "Apache-2.0",
    ),
    Held("src/dawgen/tasks/demo", "rows of SNLI, for the demo task", "CC BY-SA 4.0"),
    Held("src/dawgen/synthesis/corpora/captions.txt.xz", "captions of COCO", "CC BY 4.0"),
    Held(
        "src/dawgen/synthesis/corpora/questions.txt.xz",
        "questions of query-wellformedness and of NQ-open",
        "CC BY-SA 4.0; CC BY-SA 3.0",
    ),
    Held(
        "src/dawgen/synthesis/corpora/wikipedia.txt.xz",
        "sentences of English Wikipedia",
        "CC BY-SA 3.0",
    ),
)


def main() -> int:
    """Write the page, or say that it has drifted."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 if stale")
    check = parser.parse_args().check
    old = PAGE.read_text("utf-8") if PAGE.is_file() else ""
    new = page(old, ask=not check)
    if check:
        print("docs/licences.md is stale: python -m tools.licences" if new != old else "up to date")
        return int(new != old)
    PAGE.write_text(new, "utf-8")
    return 0


def page(old: str, *, ask: bool = False) -> str:
    """The page.

    Args:
        old: the page as it is, for the licences of packages that are not installed here.
        ask: download packages of which neither says anything.
    """
    known = dict(re.findall(r"^\| `([^`]+)` \| [^|]* \| ([^|]*) \|$", old, re.MULTILINE))
    names = dependencies()
    licences = {name: installed(name) or known.get(name) or "" for name in names}
    missing = [name for name, licence in licences.items() if not licence]
    if ask and missing:
        licences |= downloaded(missing)
    return "\n".join(
        [
            "# Licences",
            "",
            "*Generated from the packages' metadata by `python -m tools.licences`.*",
            "",
            "dawgen itself is under the Apache License 2.0. The tables name what it needs, holds "
            "and fetches; this is no legal advice.",
            "",
            "## Packages",
            "",
            "A package that is needed only for an extra is installed with it: "
            "`pip install 'dawgen[fast]'`. What these",
            "packages need in turn is not listed.",
            "",
            *_table(
                ("package", "needed for", "licence"),
                ((f"`{n}`", ", ".join(names[n]), licences[n] or "unknown") for n in names),
            ),
            "",
            "## Works of others in the package",
            "",
            "What was changed is in the `ATTRIBUTION.md` of each folder, and in `NOTICE`.",
            "",
            *_table(
                ("path", "what", "licence"),
                ((f"`{held.path}`", held.what, held.licence) for held in HELD),
            ),
            "",
            "## Models that are fetched if you ask for them",
            "",
            *_table(("name", "model", "from", "licence"), _models()),
            "",
            "Rows that a model writes may fall under its terms: see the dataset card of each run.",
            "",
        ]
    )


def dependencies() -> dict[str, list[str]]:
    """Names of all direct dependencies, and what each is needed for: dawgen, or extras."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    parts = {"dawgen": project["dependencies"], **project["optional-dependencies"]}
    found: dict[str, list[str]] = {}
    for part, requirements in parts.items():
        for requirement in requirements:
            name = re.split(r"[^\w.-]", requirement, maxsplit=1)[0].lower()
            found.setdefault(name, []).append(part if part == "dawgen" else f"[{part}]")
    return {name: found[name] for name in sorted(found)}


def installed(name: str) -> str | None:
    """The licence of an installed package; None if it is not installed."""
    try:
        about = metadata(name)
    except PackageNotFoundError:
        return None
    classifiers = about.get_all("Classifier") or []
    return licence_of(about.get("License-Expression"), classifiers, about.get("License"))


def licence_of(expression: str | None, classifiers: Iterable[str], text: str | None) -> str:
    """A licence's name, from the most exact entry that says it."""
    if expression:
        return expression
    if text and len(text) <= _LONGEST and "\n" not in text:
        return _WORDS.get(text.strip().lower(), text.strip())
    ends = [c.rpartition(" :: ")[2] for c in classifiers if c.startswith("License ::")]
    return ", ".join(_CLASSIFIERS.get(end, end) for end in ends) or "unknown"


def downloaded(names: Iterable[str]) -> dict[str, str]:
    """Licences of packages that are not installed, from their wheels, which pip downloads."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest"]
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([*command, folder, *names], check=True)
        for path in Path(folder).glob("*.whl"):
            with zipfile.ZipFile(path) as wheel:
                name, licence = _of_wheel(wheel)
            found[name] = licence
    return found


def _of_wheel(wheel: zipfile.ZipFile) -> tuple[str, str]:
    """The name of a package, and its licence: from its metadata, else from the licence's text."""
    (inside,) = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
    about = message_from_bytes(wheel.read(inside))
    classifiers = about.get_all("Classifier") or []
    licence = licence_of(about["License-Expression"], classifiers, about["License"])
    if licence == "unknown":
        texts = [wheel.read(name) for name in wheel.namelist() if "/LICENSE" in name]
        licence = "Apache-2.0" if any(map(_APACHE.search, texts)) else licence
    return re.sub(r"[-_.]+", "-", about["Name"]).lower(), licence


def _models() -> Iterable[tuple[str, ...]]:
    for known in KNOWN.values():
        if not known.is_packaged:
            licence = f"[{known.licence}]({known.terms})" if known.terms else known.licence
            packages = {part.package for file in known.files for part in file.parts}
            wheels = ", ".join(f"`{name}`" for name in sorted(packages))
            yield f"`{known.name}`", known.title, f"hub {known.hub}, or {wheels}", licence


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    lines = [head, tuple("---" for _ in head), *rows]
    return [f"| {' | '.join(cells)} |" for cells in lines]


if __name__ == "__main__":
    sys.exit(main())
