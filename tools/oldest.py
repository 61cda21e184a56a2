"""The oldest versions that pyproject.toml allows, as constraints for pip.

    python -m tools.oldest > oldest.txt

`make oldest` installs them into an environment of its own and runs the tests there. Packages that
only other packages ask for are left to pip.
"""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

from packaging.requirements import Requirement

PROJECT = Path(__file__).parents[1] / "pyproject.toml"
EXTRAS = ("dev", "fast")


def oldest(project: str) -> list[str]:
    """`name==version` of each dependency with a lower bound, of the package and of EXTRAS.

    Of two bounds for one package the higher counts.
    """
    tree = tomllib.loads(project)["project"]
    extras = tree.get("optional-dependencies", {})
    asked = [*tree["dependencies"], *(text for name in EXTRAS for text in extras.get(name, ()))]
    found: dict[str, str] = {}
    for requirement in map(Requirement, asked):
        for bound in requirement.specifier:
            if bound.operator == ">=":
                known = found.get(requirement.name, "0")
                found[requirement.name] = max(known, bound.version, key=_order)
    return [f"{name}=={version}" for name, version in sorted(found.items())]


def _order(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())


if __name__ == "__main__":
    sys.stdout.write("\n".join(oldest(PROJECT.read_text("utf-8"))) + "\n")
