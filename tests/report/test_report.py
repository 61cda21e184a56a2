"""The report page: built from a hand-made run folder whose figures are known."""

from __future__ import annotations

import hashlib
import json
import math
import re
import shlex
from base64 import b64encode
from html.parser import HTMLParser
from importlib import resources
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dawgen.errors import UserError
from dawgen.report import write_report
from dawgen.report.bars import PairOfShares
from dawgen.report.candidates import title
from dawgen.report.charts import COLOURS, SHAPES, Line, label_kind, line_chart, thin, ticks
from dawgen.report.environment import as_data
from dawgen.report.read import read_run
from dawgen.report.results import duration, reliability, results, wrong
from dawgen.report.rows import differing, ledger_table, samples, spread, static_map, table_data
from dawgen.report.tokens import shot_texts
from tests.report.folder import HOSTILE, LEDGER, PREDICTIONS, ROWS, SCORES, card


class Page(HTMLParser):
    """Collects the tags, attributes and text of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(re.sub(r"<script[^>]*>.*?</script>", "<script></script>", page, flags=re.DOTALL))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text += data


def test_hostile_texts_stay_text(run_folder: Path) -> None:
    page = Page(write_report(run_folder).read_text("utf-8"))
    assert "img" not in page.tags
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    # kept and rejected row, wrong prediction, settings, map; the data is escaped otherwise
    assert page.text.count(HOSTILE) == 5
    # the command and the commands that follow from it, as a shell takes them
    assert page.text.count(shlex.quote(HOSTILE)) > 1
    assert page.text.count(shlex.quote(HOSTILE)) == page.text.count(
        f"--note {shlex.quote(HOSTILE)}"
    )
    assert page.tags.count("script") == 5  # theme, three of data, the page's own


def test_only_our_own_scripts_may_run(run_folder: Path) -> None:
    html = write_report(run_folder).read_text("utf-8")
    found = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    assert len(found) == 2
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', html)
    assert policy is not None
    allowed = re.search(r"script-src ([^;]+);", policy[1].replace("&#39;", "'"))
    assert allowed is not None
    hashes = [b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in found]
    assert allowed[1].split() == [f"'sha256-{one}'" for one in hashes]
    assert "unsafe" not in allowed[1]


def test_data_cannot_leave_its_element() -> None:
    text = as_data(["</script><script>", "\u2028", "a & b"])
    assert not set("<>&\u2028") & set(text)
    assert json.loads(text) == ["</script><script>", "\u2028", "a & b"]


def test_nothing_is_loaded(run_folder: Path) -> None:
    html = write_report(run_folder).read_text("utf-8")
    page = Page(html)
    assert not {"link", "iframe", "object", "embed", "img"} & set(page.tags)
    links = [value for name, value in page.attributes if name in ("src", "href", "xlink:href")]
    assert all(str(value).startswith("#") for value in links)
    assert {link[1:] for link in links if link} <= {
        value for name, value in page.attributes if name == "id"
    }
    assert not re.search(r"url\(|@import|fetch\(|XMLHttp", html)
    assert set(re.findall(r"https?://[^\s\"'<]+", html)) <= {"http://www.w3.org/2000/svg"}


def test_the_words_say_what_came_out(run_folder: Path) -> None:
    text = Page(write_report(run_folder).read_text("utf-8")).text
    assert "From 4 labelled examples dawgen wrote 9 candidate rows and kept 4 of them" in text
    assert "answers 50.0% of 4 test rows correctly" in text
    assert "learnt from" not in text  # a run of an older version does not say
    assert "Written rows helped the prompt by 25.0 points: 50.0% of 4 test rows instead of" in text
    assert "(may be chance: the intervals overlap)" in text  # 15 to 85 and 5 to 70
    assert "2 of the test rows repeat a few-shot row" in text
    assert "75.0%30.0% – 95.0%" in text.replace("\n", "")  # zero-shot
    assert "The prompt of step 3 was taken" in text
    assert "75.0% of them right (n = 4, seed 13)" in text


@pytest.mark.parametrize(
    ("used", "sentence"),
    [
        (4, "It learnt from 4 labelled rows, and 4 others were for choosing."),
        (8, "It learnt from all 8 labelled rows."),
    ],
)
def test_how_many_labelled_rows_were_used(run_folder: Path, used: int, sentence: str) -> None:
    run = json.loads((run_folder / "run.json").read_text())
    run["rows"]["used"] = used
    (run_folder / "run.json").write_text(json.dumps(run))
    assert sentence in Page(write_report(run_folder).read_text("utf-8")).text


def test_every_verdict_has_its_command(run_folder: Path) -> None:
    table = [
        {"name": name, "held_out_accuracy": 0.5, "test_accuracy": 0.5, "held_out_rows": 8}
        | {"shipped_better": 3, "shipped_worse": 1, "p": 0.625, "bytes": 900}
        for name in ("tfidf", "prompt")
    ]
    scores = SCORES | {"choice": "tfidf", "candidates": table}
    (run_folder / "scores.json").write_text(json.dumps(scores))
    page = write_report(run_folder).read_text("utf-8")
    head = page.partition('<ul class="verdicts"')[2].partition("</ul>")[0]
    assert head.count("<li>") == head.count('<span class="next">next: <code>dawgen ') > 1
    assert "next: <code>dawgen predict runs/latest NEW-ROWS.csv</code>" in head


@pytest.mark.parametrize(
    ("others", "name", "words"),
    [
        ([], "embeddings+states", "logistic regression on embeddings and states"),
        (["alignment"], "embeddings+states", "word match, embeddings and states"),
        (
            ["alignment", "cross-encoder"],
            "tuned-embeddings+states+written",
            "cross-encoder, word match, tuned embeddings and states and written rows",
        ),
        (["alignment"], "cross-encoder+alignment", "cross-encoder and word match"),
    ],
)
def test_a_product_names_its_factors(others: list[str], name: str, words: str) -> None:
    """Of pairs it has more than its name holds."""
    assert title(name, {"candidates": [{"name": each} for each in [*others, name]]}) == words


def test_before_the_end_the_inputs_of_the_rows_tell_task_and_seed(run_folder: Path) -> None:
    """A folder in which rows were written and nothing else was done yet."""
    for name in ("run.json", "scores.json", "config.yaml"):
        (run_folder / name).unlink(missing_ok=True)
    inputs = {"seed": 42, "card": {"name": "inbox"}}
    (run_folder / "synthetic" / "fingerprint.json").write_text(json.dumps({"inputs": inputs}))
    text = Page(write_report(run_folder).read_text("utf-8")).text
    assert "dawgen run · task inbox · seed 42" in text
    assert re.search(r"candidate rows and kept \d+ of them \(seed 42\)", text)
    assert "None" not in text


def test_scores_of_development_shots_are_said_to_flatter(run_folder: Path) -> None:
    scores = SCORES | {"scored_on": "development shots"}
    (run_folder / "scores.json").write_text(json.dumps(scores))
    text = Page(write_report(run_folder).read_text("utf-8")).text
    assert "50.0% of 4 development shots correctly" in text
    assert "There are no test rows" in text
    assert "--test HELD-OUT.csv" in text


@pytest.mark.parametrize(
    "missing",
    ["scores.json", "run.json", "config.yaml", "predictions.parquet", "synthetic/*", "*/log.jsonl"],
)
def test_a_missing_part_is_left_out(run_folder: Path, missing: str) -> None:
    for path in list(run_folder.glob(missing)):
        path.unlink()
    text = Page(write_report(run_folder).read_text("utf-8")).text
    assert "pairs-13" in text
    assert ("How good it is" in text) == (missing != "scores.json")
    assert ("What became of every try" in text) == (missing != "synthetic/*")
    assert ("tuning step" in text) == (missing != "*/log.jsonl")
    assert not re.search(r"\bnan\b", text.lower())


def test_an_empty_folder_gives_a_page_that_says_so(tmp_path: Path) -> None:
    text = Page(write_report(tmp_path).read_text("utf-8")).text
    assert "has not been scored yet" in text


def test_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no run folder"):
        write_report(tmp_path / "none")


def test_a_damaged_log_is_named_with_its_line(run_folder: Path) -> None:
    (run_folder / "prompt" / "log.jsonl").write_text('{"step": 1}\n{"step": \n')
    with pytest.raises(UserError, match=r"log\.jsonl, line 2: this is not JSON"):
        write_report(run_folder)


def test_the_ledger_is_shown_by_label() -> None:
    assert ledger_table(LEDGER) == [
        {"label": "yes", "attempted": 4, "kept": 3, "reasons": {"duplicate": 1}},
        {"label": "no", "attempted": 5, "kept": 1, "reasons": {"empty": 4}},
    ]
    assert ledger_table({}) == []


def test_counts_are_the_ledgers_whatever_rows_the_shards_hold(run_folder: Path) -> None:
    """Rejected rows are left out of the shards unless they are asked for."""
    pq.write_table(pa.Table.from_pylist(ROWS[:3]), run_folder / "synthetic" / "shard-00000.parquet")
    page = write_report(run_folder).read_text()
    assert "9 candidate rows and kept 4 of them" in page
    assert "rejected: empty" in page


def test_samples_go_from_the_highest_ratio_to_the_lowest() -> None:
    assert [row["label_ratio"] for row in samples(ROWS)["yes"]] == [0.9, 0.7, 0.5]
    assert [row["label_ratio"] for row in samples(ROWS, most=2)["yes"]] == [0.9, 0.5]
    assert [row["label_ratio"] for row in samples(ROWS, most=1)["yes"]] == [0.9]
    read = [row | {"reader_probability": 1 - (row["label_ratio"] or 0.0)} for row in ROWS]
    assert [row["label_ratio"] for row in samples(read)["yes"]] == [0.5, 0.7, 0.9]


def test_reliability_bins_by_confidence(run_folder: Path) -> None:
    bins = reliability(read_run(run_folder).predictions)
    assert [n for *_, n in bins] == [2, 2]
    assert bins[0] == pytest.approx((0.625, 0.5, 2))
    assert bins[1] == pytest.approx((0.93, 0.5, 2))


def test_surest_mistakes_come_first(run_folder: Path) -> None:
    mistakes = wrong(read_run(run_folder).predictions)
    assert [(row["text1"], row["confidence"]) for row in mistakes] == [("c", 0.91), (HOSTILE, 0.6)]


def test_the_most_frequent_label_is_one_of_the_results() -> None:
    confusion = {"yes": {"yes": 1, "no": 2}, "no": {"yes": 1, "no": 0}}
    last = results(SCORES | {"confusion": confusion})[-1]
    assert (last.value, last.n) == (0.75, 4)


def test_ticks_are_round() -> None:
    assert ticks(0, 1) == [0, 0.2, 0.4, 0.6, 0.8, 1.0]
    assert ticks(0.13, 0.42) == [0.2, 0.3, 0.4]
    assert ticks(-30, 1000) == [0, 500, 1000]


def test_thinning_averages_neighbours() -> None:
    assert thin([(0, 1), (1, 3), (2, 5), (3, 7)], most=2) == [(0.5, 2), (2.5, 6)]
    assert thin([(0, 1)], most=2) == [(0, 1)]


def test_a_line_without_finite_points_is_left_out() -> None:
    empty = Line("lost", [(1, math.nan)])
    assert line_chart("t", [empty], x_label="x", y_label="y") is None
    chart = line_chart("t", [empty, Line("found", [(1, 2.0), (2, 4.0)])], x_label="x", y_label="y")
    assert chart is not None
    assert "lost" not in chart
    # The line runs from the lower left corner of the axes to the upper right one.
    assert 'points="52.0,192.0 402.0,10.0"' in chart
    assert "(last 4)" in chart


def test_a_text_column_called_like_a_probability(run_folder: Path) -> None:
    rows = [{("p_text" if k == "premise" else k): v for k, v in row.items()} for row in PREDICTIONS]
    pq.write_table(pa.Table.from_pylist(rows), run_folder / "predictions.parquet")
    (run_folder / "task.yaml").write_text(card("p_text"))
    found = read_run(run_folder).predictions
    assert [row["confidence"] for row in found][:2] == [0.95, 0.91]
    assert found[0]["text1"] == PREDICTIONS[0]["premise"]


def test_tokens_are_shown_with_every_method_of_the_folder(run_folder: Path) -> None:
    (text,) = shot_texts(read_run(run_folder))
    assert (text.label, text.row, text.source) == ("no", 3, "A dog runs.")
    (ours, tokens), (theirs, others) = text.versions
    assert (ours, theirs) == ("DawGen", "FewGen")
    assert [token.text for token in tokens] == ["Nobody", " <b>sleeps</b>", " end"]
    # Of three times the mean weight the shade is full; at even odds there is no line.
    assert [token.shade for token in tokens] == [1.0, 0.5, 0.0]
    assert [token.line for token in tokens] == [0.5, 0.0, 0.0]
    assert others[0].shade == 0.25
    assert tokens[0].says == "Nobody: weight 3.00, label ratio 0.75"


def test_another_methods_other_texts_are_left_out(run_folder: Path) -> None:
    path = run_folder / ".kept" / "generator-0123" / "token-weights.json"
    path.write_text(path.read_text().replace("Nobody", "Somebody"))
    (text,) = shot_texts(read_run(run_folder))
    assert [method for method, _ in text.versions] == ["DawGen"]


def test_words_used_otherwise() -> None:
    real = [["a", "dog"], ["a", "cat"]]
    synthetic = [["not", "a", "dog"], ["not", "a", "cat"], ["not", "a", "dog"], ["not", "a"]]
    # In 5 texts or more: a (2 + 4, the same share), "not" and "not a" have 4 only.
    assert differing(real, synthetic, 9) == [PairOfShares("a", 1.0, 1.0)]
    assert differing(real, [*synthetic, ["not"]], 1) == [PairOfShares("not", 0.0, 1.0)]
    assert differing([], synthetic, 9) == []


def test_a_spread_has_both_ends() -> None:
    assert spread([0, 1, 2, 3, 4], 3) == [0, 2, 4]
    assert spread([0, 1], 9) == [0, 1]
    assert spread([], 3) == []


def test_the_table_holds_every_row_by_column(run_folder: Path) -> None:
    table = table_data(read_run(run_folder))
    assert table["labels"] == ["yes", "no"]
    assert table["reasons"] == ["duplicate", "empty"]
    assert table["label"] == [0, 0, 0, 0, 1, 1, 1]
    assert table["reason"] == [-1, -1, -1, 0, -1, 1, 1]
    assert table["ratio"] == [0.9, 0.5, 0.7, 0.1, 0.8, 0.2, 0.3]


def test_thirty_two_labels_look_different(run_folder: Path) -> None:
    labels = [f"label {n}" for n in range(32)]
    points = [
        {"x": float(n), "y": 0.0, "kind": kind, "label": label, "text1": "a", "text2": None}
        for n, label in enumerate(labels)
        for kind in ("synthetic", "shot")
    ]
    pq.write_table(pa.Table.from_pylist(points), run_folder / "map" / "points.parquet")
    found = str(static_map(read_run(run_folder), labels))
    keys = re.findall(r'class="key (l\d shape\d)">(label \d+)<', found)
    assert [name for _, name in keys] == labels
    assert len({kind for kind, _ in keys}) == 32
    for shape, count in (("circle", 8), ("polygon", 24)):
        assert len(re.findall(rf'<{shape} class="l\d shape\d"', found)) == count
        assert len(re.findall(rf'<{shape} class="l\d shape\d hollow"', found)) == count


def test_scripts_and_style_have_the_same_colours_and_shapes() -> None:
    folder = resources.files("dawgen.report") / "templates"
    viewer, style = ((folder / name).read_text("utf-8") for name in ("viewer.js", "style.css"))
    assert f"Math.floor(place / {COLOURS}) % {SHAPES})" in viewer
    assert f"`l${{place % {COLOURS}}} shape${{labelShape(place)}}`" in viewer
    kinds = {kind for place in range(COLOURS * SHAPES) for kind in label_kind(place).split()}
    assert len(kinds) == COLOURS + SHAPES
    assert [kind for kind in kinds if f".{kind} {{" not in style.replace("::before", "")] == []


COLOUR = re.compile(r"--(\w+): light-dark\((#\w{6}), (#\w{6})\)")


def luminance(colour: str) -> float:
    """As WCAG defines it."""
    parts = (int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5))
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_a_colour_has_one_meaning_and_contrast(theme: int) -> None:
    """WCAG's 3 to 1 for what is drawn; curves and labels share no colour."""
    style = (resources.files("dawgen.report") / "templates" / "style.css").read_text("utf-8")
    found = {name: shades[theme] for name, *shades in COLOUR.findall(style)}
    drawn = {name: found[name] for name in found if re.fullmatch(r"[lc]\d|ours|good|bad", name)}
    assert len(drawn) == 17
    assert len(set(drawn.values())) == len(drawn)
    paper = luminance(found["paper"])
    for name, colour in drawn.items():
        darker, lighter = sorted((luminance(colour), paper))
        assert (lighter + 0.05) / (darker + 0.05) >= 3, name


def test_examples_stand_for_rejected_rows_that_were_not_written(run_folder: Path) -> None:
    for number, rows in enumerate(([ROWS[0]], [ROWS[4]])):
        path = run_folder / "synthetic" / f"shard-0000{number}.parquet"
        pq.write_table(pa.Table.from_pylist(rows), path)
    table = table_data(read_run(run_folder))
    assert table["reason"] == [-1, -1, 0]
    assert table["text1"][2] == HOSTILE


def test_durations_are_said_as_people_do() -> None:
    assert [duration(s) for s in (3.2, 89, 90, 304, 7200)] == [
        "3 s",
        "89 s",
        "1 min 30 s",
        "5 min 4 s",
        "2.0 h",
    ]


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("predictions.parquet", b"PAR1 cut", "predictions.parquet is not a readable Parquet file"),
        ("synthetic/shard-00000.parquet", b"PAR1 cut", "is not a readable Parquet file"),
        ("config.yaml", b"seed: \xff\n", "config.yaml is not text in UTF-8"),
        ("task.yaml", card("premise").replace("'no'", "never").encode(), "labels that"),
    ],
)
def test_a_damaged_file_is_named(
    run_folder: Path, name: str, content: bytes, sentence: str
) -> None:
    (run_folder / name).write_bytes(content)
    with pytest.raises(UserError, match=sentence):
        read_run(run_folder)
