"""The report in Chromium: what one can do with it, and what it must never do."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dawgen.report import write_bench_report, write_comparison, write_report
from dawgen.synthesis import load_synthetic
from dawgen.tasks import load_card
from dawgen.terminal.harmless import separated_line
from tests.browser.conftest import Opener
from tests.report.folder import HOSTILE, ROWS, SCORES, synthetic_row, write_run
from tests.report.test_pages import write_cells

pytestmark = pytest.mark.browser


@pytest.fixture
def report(tmp_path: Path) -> Path:
    """The hand-made run's page: seven rows, one of them hostile, four points."""
    return write_report(write_run(tmp_path / "pairs-13"))


def shown(page: Any) -> list[str]:
    """Texts of the rows in view."""
    return list(page.locator("#table .row .texts").all_inner_texts())


def test_filters_leave_the_rows_they_say(open_page: Opener, report: Path) -> None:
    page = open_page(report)
    assert page.inner_text("#found") == "7 of 7 rows"
    page.select_option("#label", label="no")
    assert page.inner_text("#found") == "3 of 7 rows"
    page.select_option("#state", "rejected")
    assert page.inner_text("#found") == "2 of 7 rows"
    page.select_option("#label", "")
    page.select_option("#reason", label="duplicate")
    assert page.inner_text("#found") == "1 of 7 rows"
    assert shown(page) == ["A dog runs.\n\nAn animal moves 0.1."]


def test_search_looks_in_both_texts_for_every_word(open_page: Opener, report: Path) -> None:
    page = open_page(report)
    page.fill("#search", "ANIMAL 0.7")
    assert page.inner_text("#found") == "1 of 7 rows"
    page.fill("#search", "<script>")
    assert page.inner_text("#found") == "1 of 7 rows"
    page.fill("#search", "nowhere")
    assert page.inner_text("#found") == "0 of 7 rows"
    assert shown(page) == []


def test_rows_sort_by_their_ratio(open_page: Opener, report: Path) -> None:
    page = open_page(report)
    page.select_option("#order", "high")
    page.wait_for_function("document.querySelector('#table .number').textContent === 'ratio 0.90'")
    ratios = page.locator("#table .number").all_inner_texts()
    assert ratios == [f"ratio {r:.2f}" for r in sorted(r["label_ratio"] for r in ROWS)[::-1]]


def test_rows_that_a_reader_chose_show_how_sure_it_is(open_page: Opener, tmp_path: Path) -> None:
    folder = write_run(tmp_path / "read")
    sure = []
    for shard in folder.glob("synthetic/shard-*.parquet"):
        rows = pq.read_table(shard).to_pylist()
        sure += [0.5 + row["label_ratio"] / 2 for row in rows]
        new = [
            row | {"label_ratio": None, "reader_probability": 0.5 + row["label_ratio"] / 2}
            for row in rows
        ]
        pq.write_table(pa.Table.from_pylist(new), shard)
    page = open_page(write_report(folder))
    page.select_option("#order", label="most confident first")
    surest = f"sure {max(sure):.2f}"
    page.locator("#table .row", has_text=surest).first.wait_for()
    assert page.locator("#table .number").first.inner_text() == surest
    page.locator("#table .row").first.click()
    assert "probability by the reader" in page.inner_text("#detail")
    assert "label ratio" not in page.inner_text("#detail")


def test_hostile_texts_stay_text(open_page: Opener, report: Path) -> None:
    page = open_page(report)
    page.fill("#search", "onerror")
    page.locator("#table .row").nth(1).wait_for(state="detached")  # the search waits a moment
    page.locator("#table .row").click()
    assert page.locator("#detail .text").last.inner_text() == HOSTILE
    page.keyboard.press("Escape")
    assert page.locator("img").count() == 0
    assert page.locator(".tokens b").count() == 0
    assert page.locator("#table script").count() == 0


def test_an_injected_script_would_not_run(chromium: Any, report: Path) -> None:
    html = report.read_text("utf-8").replace("<h1>", "<script>window.x = 1</script><h1>")
    report.write_text(html, "utf-8")
    page = chromium.new_page()
    told: list[str] = []
    page.on("console", lambda message: told.append(message.text))
    page.goto(report.as_uri())
    assert page.evaluate("window.x === undefined")
    assert "Content Security Policy" in told[0]
    assert page.inner_text("#found") == "7 of 7 rows"  # ours do
    page.close()


def test_the_table_goes_by_keyboard(open_page: Opener, report: Path) -> None:
    page = open_page(report)
    page.focus("#table")
    page.keyboard.press("ArrowDown")
    assert page.get_attribute("#table", "aria-activedescendant") == "row-1"
    assert page.get_attribute("#row-1", "aria-selected") == "true"
    page.keyboard.press("Enter")
    assert page.locator("#detail").evaluate("dialog => dialog.open")
    assert "0.5" in page.inner_text("#detail")
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.id") == "table"
    page.keyboard.press("End")
    assert page.get_attribute("#table", "aria-activedescendant") == "row-6"


def test_test_rows_begin_with_the_surest_mistake(open_page: Opener, report: Path) -> None:
    page = open_page(report)
    texts = page.locator("#test-table .row .texts").all_inner_texts()
    assert [text.split("\n")[0] for text in texts] == ["c", HOSTILE, "a", "g"]
    page.select_option("#test-label", label="yes")
    assert page.inner_text("#test-found") == "2 of 4 rows"
    page.locator("#test-table .row").first.click()
    assert "answer\nno\nconfidence\n0.6" in page.inner_text("#test-detail").replace("\n\n", "\n")
    page.click("#test-next")
    assert page.locator("#test-detail .text").first.inner_text() == "a"
    assert page.inner_text("#found") == "7 of 7 rows"  # the other table is as it was


def test_a_cell_of_the_confusion_shows_its_rows(open_page: Opener, report: Path) -> None:
    page = open_page(report)
    page.locator(".confusion a").nth(2).click()  # no, answered yes
    assert page.inner_text("#test-found") == "1 of 4 rows"
    assert page.locator("#test-table .row .texts p").first.inner_text() == "c"
    assert page.url.endswith("#tests")


def test_edited_rows_are_saved_as_tune_reads_them(
    open_page: Opener, report: Path, tmp_path: Path
) -> None:
    """Drop a row, relabel one, keep a rejected one; the file is what the card's columns say."""
    page = open_page(report)

    def edit(words: str, control: str, label: str | None = None) -> None:
        page.fill("#search", words)
        page.locator("#table .row").first.click()
        if label is None:
            page.click(control)
        else:
            page.select_option(control, label=label)
        page.click("#close")

    edit("0.9", "#drop")
    edit("0.7", "#relabel", "no")
    edit("0.2", "#keep")
    assert page.inner_text("#edited") == "3 changed by hand"
    page.fill("#search", "")
    page.select_option("#state", "edited")
    assert page.inner_text("#found") == "3 of 7 rows"
    with page.expect_download() as download:
        page.click("#save")
    path = tmp_path / download.value.suggested_filename
    download.value.save_as(path)
    assert path.name == "edited.csv"
    assert path.read_text("utf-8").splitlines()[0] == '"premise","text2","label"'
    rows = load_synthetic(path, load_card(str(report.parent / "task.yaml")))
    assert [(row.text1, row.text2, row.label) for row in rows] == [
        ("A dog runs.", "An animal moves 0.5.", "yes"),
        ("A dog runs.", "An animal moves 0.7.", "no"),
        ("A dog runs.", HOSTILE, "no"),
        ("A dog runs.", "An animal moves 0.2.", "no"),
    ]


def test_taking_an_edit_back_leaves_nothing_changed(open_page: Opener, report: Path) -> None:
    page = open_page(report)
    page.locator("#table .row").first.click()
    page.click("#drop")
    assert page.get_attribute("#drop", "aria-pressed") == "true"
    page.click("#keep")
    assert page.inner_text("#edited") == ""


def test_a_saved_file_holds_no_formula(open_page: Opener, tmp_path: Path) -> None:
    folder = write_run(tmp_path / "formula")
    (folder / "synthetic" / "shard-00001.parquet").unlink()
    text = '=HYPERLINK("x"), a\n-2'
    rows = [synthetic_row("yes", 0.5, text2=text)]
    pq.write_table(pa.Table.from_pylist(rows), folder / "synthetic" / "shard-00000.parquet")
    page = open_page(write_report(folder))
    with page.expect_download() as download:
        page.click("#save")
    download.value.save_as(tmp_path / "edited.csv")
    content = (tmp_path / "edited.csv").read_text("utf-8")
    line = separated_line([None, text])
    assert content.splitlines(keepends=True)[1].startswith('"A dog runs.","' + "'=HYPERLINK")
    assert line.removeprefix(",").removesuffix("\n") in content  # as `dawgen predict` writes it


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_seventy_seven_labels_fit(
    open_page: Opener, tmp_path: Path, width: int, scheme: str
) -> None:
    folder = write_run(tmp_path / "many")
    names = [f"a label of some length {n}" for n in range(77)]
    confusion = {
        name: {
            other: 9 if other == name else int((i + 3) % 77 == j) for j, other in enumerate(names)
        }
        for i, name in enumerate(names)
    }
    parts = {name: {"precision": 0.9, "recall": 0.9, "f1": 0.9, "n": 10} for name in names}
    scores = SCORES | {"confusion": confusion, "labels": parts}
    (folder / "scores.json").write_text(json.dumps(scores))
    page = open_page(write_report(folder), width=width, color_scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate(CONTRAST) == []
    head = page.locator(".confusion thead th").first.bounding_box()
    assert head["height"] > 2 * head["width"]  # turned
    row = page.locator(".confusion tbody tr").first.bounding_box()
    assert row["height"] < 30
    if width == 1280:  # a quarter of the columns at least is in view
        assert page.locator(".confusion tbody td").first.bounding_box()["width"] < 30


def test_thirty_two_labels_look_different(open_page: Opener, tmp_path: Path) -> None:
    folder = write_run(tmp_path / "many")
    points = [
        {"x": float(n), "y": 0.0, "kind": "shot", "label": f"label {n}", "text1": "a", "text2": "b"}
        for n in range(32)
    ]
    pq.write_table(pa.Table.from_pylist(points), folder / "map" / "points.parquet")
    page = open_page(write_report(folder))
    looks = page.evaluate(
        """() => [...document.querySelectorAll("#map-keys [data-label]")].map((key) => {
          const mark = getComputedStyle(key, "::before");
          return [mark.backgroundColor, mark.borderRadius, mark.clipPath].join(" ");
        })"""
    )
    assert len(looks) == 34  # with the card's own two
    assert len(set(looks[:32])) == 32


def test_pointing_at_a_token_tells_its_figures(open_page: Opener, report: Path) -> None:
    page = open_page(report)
    token = page.locator(".tokens span").first
    token.scroll_into_view_if_needed()
    token.hover()
    assert page.inner_text("#tip") == "Nobody: weight 3.00, label ratio 0.75"
    page.keyboard.press("Escape")
    assert page.locator("#tip").is_hidden()
    page.locator(".tokens").first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert page.inner_text("#tip").startswith("<b>sleeps</b>: weight 1.50")


def test_pointing_at_a_line_tells_the_step(open_page: Opener, report: Path) -> None:
    page = open_page(report)
    chart = page.locator("figure[data-lines] svg").filter(has_text="cross-entropy").first
    chart.scroll_into_view_if_needed()
    box = chart.bounding_box()
    assert box is not None
    chart.hover(position={"x": box["width"] * 402 / 420, "y": box["height"] / 2})
    page.locator("#tip").wait_for()
    lines = page.inner_text("#tip").splitlines()
    assert lines[0] == "tuning step 5"
    assert lines[1] == "real rows: 0.2"  # 1 / 5


def test_the_map_tells_and_hides_rows(open_page: Opener, report: Path) -> None:
    page = open_page(report)
    canvas = page.locator("#plane canvas")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 14, box["y"] + box["height"] - 14)  # (0, 0), the lower left corner
    assert "a point that is synthetic" in page.inner_text("#tip")
    assert "written · yes" in page.inner_text("#point")
    page.get_by_role("button", name="written rows").click()
    page.mouse.move(box["x"] + 15, box["y"] + box["height"] - 15)
    assert page.locator("#tip").is_hidden()
    canvas.focus()
    page.keyboard.press("ArrowRight")
    assert "a point that is a shot" in page.inner_text("#point")
    canvas.evaluate("canvas => canvas.blur()")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_theme_follows_the_system_until_it_is_chosen(
    open_page: Opener, report: Path, scheme: str
) -> None:
    page = open_page(report, color_scheme=scheme)

    def paper() -> str:
        return str(page.evaluate("getComputedStyle(document.body).backgroundColor"))

    white, dark = "rgb(255, 255, 255)", "rgb(18, 21, 26)"
    assert paper() == (white if scheme == "light" else dark)
    page.click("#theme")
    assert (page.inner_text("#theme"), paper()) == ("Theme: light", white)
    page.click("#theme")
    assert (page.inner_text("#theme"), paper()) == ("Theme: dark", dark)
    page.reload()
    assert (page.inner_text("#theme"), paper()) == ("Theme: dark", dark)


CONTRAST = Path(__file__).with_name("contrast.js").read_text("utf-8")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_has_contrast(open_page: Opener, report: Path, scheme: str) -> None:
    """WCAG AA, 4.5 to 1, against what really lies below a text."""
    page = open_page(report, color_scheme=scheme)
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    assert page.evaluate(CONTRAST) == []


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_sticks_out_sideways(open_page: Opener, report: Path, width: int) -> None:
    page = open_page(report, width=width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_on_paper_everything_is_unfolded_and_light(open_page: Opener, report: Path) -> None:
    page = open_page(report, color_scheme="dark")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.locator("details:not([open])").count() == 0
    assert page.locator("#table").is_hidden()
    assert page.locator("#map svg").is_visible()
    assert page.locator(".without-script article").first.is_visible()
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.locator("details:not([open])").count() > 0


def test_words_and_figures_need_no_scripts(open_page: Opener, report: Path) -> None:
    page = open_page(report, java_script_enabled=False)
    text = page.inner_text("body")
    assert "answers 50.0% of 4 test rows correctly" in text
    assert "An animal moves 0.9." in text  # a sample of the rows
    assert page.locator("#theme").is_hidden()
    assert page.locator("#map svg circle").first.is_visible()


def test_twenty_thousand_rows_stay_fluid(open_page: Opener, tmp_path: Path) -> None:
    folder = write_run(tmp_path / "large")
    (folder / "synthetic" / "shard-00001.parquet").unlink()
    rows = [
        synthetic_row("yes" if n % 2 else "no", n / 20_000, text2=f"sentence number {n} here")
        for n in range(20_000)
    ]
    pq.write_table(pa.Table.from_pylist(rows), folder / "synthetic" / "shard-00000.parquet")
    begin = time.perf_counter()
    page = open_page(write_report(folder))
    assert page.inner_text("#found") == "20,001 of 20,001 rows"  # with an example of the rejected
    assert time.perf_counter() - begin < 20  # writing, opening, drawing; seconds on a busy machine
    assert page.locator("#table .row").count() < 40
    timed = page.evaluate(
        """() => {
          const times = [];
          const search = document.getElementById("search");
          for (const text of ["n", "number 19", "number 1999"]) {
            const begin = performance.now();
            search.value = text;
            search.dispatchEvent(new Event("input"));
            times.push(performance.now() - begin);
          }
          return times;
        }"""
    )
    assert page.inner_text("#found") == "12 of 20,001 rows"  # 1999, 11999, 19990 to 19999
    assert max(timed) < 500, timed
    page.fill("#search", "")
    page.focus("#table")
    page.keyboard.press("End")
    assert page.get_attribute("#table", "aria-activedescendant") == "row-20000"


def test_the_other_pages_open_too(open_page: Opener, tmp_path: Path) -> None:
    runs = [write_run(tmp_path / name) for name in ("one", "two")]
    write_cells(tmp_path / "bench")
    for path in (
        write_comparison(runs, tmp_path / "comparison.html"),
        write_bench_report(tmp_path / "bench"),
    ):
        for width in (390, 1280):
            page = open_page(path, width=width)
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            assert page.evaluate(CONTRAST) == []


def test_names_of_candidates_have_a_line_of_their_own_on_a_phone(
    open_page: Opener, tmp_path: Path
) -> None:
    """Beside five figures a long name had a word on each of its seven lines."""
    folder = write_run(tmp_path / "candidates")
    long = {
        **{"name": "embeddings+states+written", "held_out_accuracy": 0.7, "held_out_rows": 48},
        **{"test_accuracy": 0.6, "bytes": 37_200},
    }
    scores = SCORES | {"choice": long["name"], "candidates": [long]}
    (folder / "scores.json").write_text(json.dumps(scores))
    page = open_page(write_report(folder), width=390)
    rows = page.locator("table.stacked tbody tr")
    for row in (rows.nth(i) for i in range(rows.count())):
        name, figure = row.locator("th").bounding_box(), row.locator("td").first.bounding_box()
        assert name["width"] > 300
        assert name["height"] < 60  # two lines at most
        assert figure["y"] >= name["y"] + name["height"]
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
