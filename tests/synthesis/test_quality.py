"""The quality report of hand-written rows, figure by figure."""

from __future__ import annotations

import pytest

from dawgen.settings import SynthesisSettings
from dawgen.settings.cleaning import CleaningSettings
from dawgen.synthesis import Ledger, SyntheticRow
from dawgen.synthesis.provenance import Provenance
from dawgen.synthesis.quality import SAMPLE, quality, quality_lines
from dawgen.tasks import Row

SHOTS = [Row("a b", "a man runs in the park", "follows"), Row("c d", "no dog", "does_not")]


def row(text2, label="follows", ratio=None, reason=None, text1="a b") -> SyntheticRow:
    return SyntheticRow(text1, text2, label, reason is None, reason, ratio)


ROWS = [
    row("a man runs in rain", ratio=0.2),
    row("A man runs in rain!", "does_not", ratio=0.5),
    row("a dog", ratio=0.4, text1="A, b"),
    row("no dog", ratio=0.9),
    row("", reason="empty"),
    row("", reason="empty"),
    row("", reason="empty"),
    row("\x1b[31mred", "does_not", reason="broken text"),
]


@pytest.fixture
def report(pair_card):
    def make(rows=ROWS, unlabelled=(), forbidden=(), **cleaning):
        ledger = Ledger(pair_card.labels)
        for one in rows:
            ledger.attempt(one.label)
            ledger.enter(one)
        settings = SynthesisSettings(cleaning=CleaningSettings(**cleaning))
        made = Provenance(pair_card, settings, 13, SHOTS, forbidden)
        return quality(rows, ledger, made, unlabelled)

    return make


def test_acceptance_is_by_reason_and_label(report):
    found = report()
    assert found["rows"] == {"attempted": 8, "kept": 4}
    assert found["acceptance"] == {"kept": 0.5, "rejected": {"empty": 0.375, "broken text": 0.125}}
    assert found["by_label"]["follows"] == {
        "acceptance": {"kept": 0.5, "rejected": {"empty": 0.5}},
        "label_ratio": {"median": 0.4, "quartile_1": 0.3, "quartile_3": 0.65},
        "reader_probability": None,
    }
    assert found["by_label"]["does_not"]["acceptance"]["kept"] == 0.5


def test_variety_of_the_kept_rows(report):
    """Tokens: a man runs in rain, a man runs in rain !, a dog, no dog: 15, 8 of them different."""
    found = report()
    assert found["unique"] == {"rows": 0.75, "text1": 0.25, "written": 0.75}
    assert found["distinct_1"] == round(8 / 15, 4)
    assert found["distinct_2"] == round(7 / 11, 4)
    assert found["self_bleu"]["texts"] == 4
    assert 0 < found["self_bleu"]["value"] < 1


def test_distance_from_the_few_shots(report):
    """Lengths 5, 6, 2, 2 against 6, 2; of five 4-grams "a man runs in" stands in a shot, twice."""
    found = report()["from_few_shots"]
    assert (found["texts"], found["length"], found["length_there"]) == (2, 3.75, 4.0)
    assert found["length_distance"] == 0.25
    assert found["copied_4_grams"] == round(2 / 5, 4)
    assert 0 < found["jensen_shannon_1"] < found["jensen_shannon_2"] < 1


def test_unlabelled_text_is_compared_with_where_there_is_any(report):
    assert report()["from_unlabelled"] is None
    found = report(unlabelled=["a dog", "a man runs in rain"])["from_unlabelled"]
    assert (found["texts"], found["length_there"]) == (2, 3.5)
    many = [f"sentence {i}" for i in range(SAMPLE + 5)]
    assert report(unlabelled=many)["from_unlabelled"]["texts"] == SAMPLE
    assert report(unlabelled=many) == report(unlabelled=many)


def test_overlap_is_counted_in_the_kept_rows(report):
    evaluation = [Row("a b", "A dog!", "does_not"), Row("so a man runs in rain", "x", "follows")]
    found = report(forbidden=evaluation, overlap_words=5)["overlap"]
    assert found == {
        "words_running": 5,
        "few_shots": {"rows": 2, "equal": 1, "words_running": 0},
        "evaluation_rows": {"rows": 2, "equal": 1, "words_running": 2},
    }


def test_two_rejected_rows_of_a_reason_are_kept_as_examples(report):
    examples = report()["rejected_examples"]
    assert [e["reason"] for e in examples] == ["broken text", "empty", "empty"]


def test_rows_without_scores_and_no_rows_at_all(report):
    unscored = report([row("a dog"), row("no dog", "does_not")])
    assert unscored["by_label"]["follows"]["label_ratio"] is None
    nothing = report([row("", reason="empty")])
    assert nothing["distinct_1"] is None
    assert nothing["self_bleu"] == {"value": None, "texts": 0}
    for found in (unscored, nothing):
        assert quality_lines(found)


def test_the_lines_say_what_the_report_says(report):
    text = "\n".join(quality_lines(report(unlabelled=["a dog"])))
    for part in (
        "4 of 8 rows kept (50.0%)",
        "rejected, empty: 37.5%",
        "follows: 50.0% kept, median label ratio 0.40",
        "unique: rows 75.0%",
        "against 1 texts of unlabelled text",
        "held against 2 few shots: 1 kept rows equal",
    ):
        assert part in text
    assert text.isprintable() or "\x1b" not in text
