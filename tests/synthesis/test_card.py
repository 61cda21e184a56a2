from __future__ import annotations

import pytest
from huggingface_hub import DatasetCard

from dawgen.settings import SynthesisSettings
from dawgen.synthesis import Ledger, SyntheticRow
from dawgen.synthesis.card import Provenance, _model_name, dataset_card, plain


def made(card, backbone, **settings) -> Provenance:
    return Provenance(card, backbone, SynthesisSettings(**settings), seed=13, shots=32)


def filled(rows) -> Ledger:
    ledger = Ledger(["follows", "does_not"])
    for row in rows:
        ledger.attempt(row.label)
        ledger.enter(row)
    return ledger


ROWS = [
    SyntheticRow("A | b\n# c", "<script>alert(1)</script>", "follows", first_sentence="captions:9"),
    SyntheticRow("x", "y *z*", "does_not", label_ratio=0.75, first_sentence="captions:10"),
    SyntheticRow("x", "", "does_not", kept=False, reason="empty", first_sentence="captions:11"),
]


def test_the_hub_reads_its_metadata(pair_card, tiny_bart):
    text = dataset_card(made(pair_card, tiny_bart), ROWS[:2], filled(ROWS))
    data = DatasetCard(text).data
    assert data.license == "cc-by-4.0"
    assert data.task_categories == ["text-classification"]
    assert data.size_categories == ["n<1K"]
    assert data.to_dict()["configs"] == [
        {"config_name": "default", "data_files": "shard-*.parquet"}
    ]


def test_counts_reasons_sources_and_settings_are_told(pair_card, tiny_bart):
    text = dataset_card(made(pair_card, tiny_bart, temperature=0.7), ROWS[:2], filled(ROWS))
    assert r"| does\_not | 2 | 1 | 1 |" in text
    assert "| empty | 0 | 1 | 1 |" in text
    assert "| captions | COCO captions | 2 | CC BY 4.0 |" in text
    assert "| synthesis.temperature | 0.7 |" in text
    assert "| generator | tests/bart |" in text
    assert "| seed | 13 |" in text


def test_texts_come_out_harmless(pair_card, tiny_bart):
    text = dataset_card(made(pair_card, tiny_bart), ROWS[:2], filled(ROWS))
    assert "<script>" not in text
    assert r"| follows | A \| b # c | &lt;script&gt;alert(1)&lt;/script&gt; |  |" in text
    assert r"y \*z\*" in text


def test_plain_text_is_one_line_without_marks():
    assert plain("a\nb\t[c](d) `e` \x1b[31m_f_") == r"a b \[c\](d) \`e\` \[31m\_f\_"


def test_a_users_file_and_folder_are_not_named_by_path(pair_card, tiny_bart):
    row = SyntheticRow("x", "y", "follows", first_sentence="file:mine.txt:3")
    text = dataset_card(
        made(pair_card, tiny_bart, first_sentences="/home/someone/mine.txt"), [row], filled([row])
    )
    assert "/home" not in text
    assert "the licence of your text file" in text
    assert _model_name("/home/someone/model") == "model"
    assert _model_name("google/t5-large") == "google/t5-large"


@pytest.mark.parametrize("kind", ["single", "pair"])
def test_samples_show_three_rows_a_label(kind, pair_card, single_card, tiny_bart):
    card = {"single": single_card, "pair": pair_card}[kind]
    rows = [
        SyntheticRow(
            f"thing{i}",
            "second" if card.is_pair else None,
            label,
            label_ratio=0.5,
            first_sentence="generator",
        )
        for label in card.labels
        for i in range(5)
    ]
    ledger = Ledger(card.labels)
    text = dataset_card(made(card, tiny_bart), rows, ledger)
    assert text.count("thing") == 6
    assert ("second" in text.partition("## Columns")[0].partition("first rows")[2]) == card.is_pair
