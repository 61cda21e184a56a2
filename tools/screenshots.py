"""Pictures of a run's report for the docs, taken in Chromium.

python -m tools.screenshots runs/demo
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from pathlib import Path

from dawgen.report import write_report

IMAGES = Path(__file__).resolve().parents[1] / "docs" / "images"
HEIGHT = 760
PLACES = {
    "report-head": ".bar",
    "report-tokens": "#shots",
    "report-rows": "#rows .controls",
    "report-map": "#map",
}
"""Pictures by name, and what stands at the top of each."""


def main(arguments: list[str] | None = None) -> int:
    """Write the report anew and take its pictures, 1,100 pixels wide, as palette PNGs."""
    from PIL import Image
    from playwright.sync_api import sync_playwright

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path, help="A finished run folder.")
    page_path = write_report(parser.parse_args(arguments).run)
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium")
    if chromium is None:
        print("There is no chromium here; name one in the variable CHROMIUM.", file=sys.stderr)
        return 2
    IMAGES.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=chromium, args=sandbox)
        page = browser.new_page(viewport={"width": 1100, "height": HEIGHT}, color_scheme="light")
        page.goto(page_path.resolve().as_uri())
        for name, place in PLACES.items():
            top = page.locator(place).first.evaluate(
                "one => one.getBoundingClientRect().top + scrollY"
            )
            page.evaluate("top => scrollTo({ top, behavior: 'instant' })", max(0, top - 16))
            page.wait_for_timeout(300)
            path = IMAGES / f"{name}.png"
            page.screenshot(path=path)
            Image.open(path).convert("P", palette=Image.Palette.ADAPTIVE, colors=160).save(
                path, optimize=True
            )
            print(path)
        browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
