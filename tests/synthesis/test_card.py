from __future__ import annotations

import hashlib

import pytest
import torch
from huggingface_hub import DatasetCard

from dawgen.settings import SynthesisSettings
from dawgen.synthesis import Ledger, SyntheticRow
from dawgen.synthesis.card import dataset_card, plain
from dawgen.synthesis.provenance import (
    Provenance,
    model_licence,
    model_name,
    prompts_hash,
    source_name,
)
from dawgen.synthesis.quality import quality
from dawgen.synthesis.verdicts import of_rows
from dawgen.tasks import Row
from dawgen.tasks.job import rows_hash

SHOTS = [Row("a dog runs", "it moves", "follows"), Row("a cat", "no cat", "does_not")]
EVALUATION = [Row("x", "y z", "does_not")]


def filled(rows) -> Ledger:
    ledger = Ledger(["follows", "does_not"])
    for row in rows:
        ledger.attempt(row.label)
        ledger.enter(row)
    return ledger


def text_of(
    card, rows, backbone=None, shards=(), ledger=None, imported=None, figures=None, **settings
) -> str:
    made = Provenance(
        card,
        SynthesisSettings(**settings),
        seed=13,
        shots=SHOTS,
        forbidden=EVALUATION,
        backbone=backbone,
        prompts=None if backbone is None else torch.zeros(2, 3, 4),
        imported=imported,
    )
    ledger = ledger or filled(rows)
    report = quality(rows, ledger, made) | (figures or {})
    return dataset_card(made, rows, ledger, report, shards)


ROWS = [
    SyntheticRow("A | b\n# c", "<script>alert(1)</script>", "follows", first_sentence="captions:9"),
    SyntheticRow("x", "y *z*", "does_not", label_ratio=0.75, first_sentence="captions:10"),
    SyntheticRow("x", "", "does_not", kept=False, reason="empty", first_sentence="captions:11"),
]


def test_the_hub_reads_its_metadata(pair_card, tiny_bart):
    data = DatasetCard(text_of(pair_card, ROWS, tiny_bart)).data
    assert data.license == "cc-by-4.0"
    assert data.task_categories == ["text-classification"]
    assert data.size_categories == ["n<1K"]
    assert data.to_dict()["configs"] == [
        {"config_name": "default", "data_files": "shard-*.parquet"}
    ]


def test_counts_reasons_sources_and_settings_are_told(pair_card, tiny_bart):
    text = text_of(pair_card, ROWS, tiny_bart, temperature=0.7)
    assert r"| does\_not | 2 | 1 | 1 |" in text
    assert "| empty | 0 | 1 | 1 |" in text
    assert "| captions | COCO captions | 2 | CC BY 4.0 |" in text
    assert "| synthesis.temperature | 0.7 |" in text
    assert r"| synthesis.cleaning.near\_duplicate | 0.8 |" in text
    assert "| generator | tests/bart |" in text
    assert "| its licence | see the model's own page |" in text
    assert "| seed | 13 |" in text


def test_hashes_of_all_it_was_made_from(pair_card, tiny_bart, tmp_path):
    shard = tmp_path / "shard-00000.parquet"
    shard.write_bytes(b"rows")
    text = text_of(pair_card, ROWS, tiny_bart, shards=[shard])
    assert f"| few-shot rows' hash | {rows_hash(SHOTS)} |" in text
    assert f"| evaluation rows' hash | {rows_hash(EVALUATION)} |" in text
    assert f"| label prompts' hash | {hashlib.sha256(bytes(4 * 24)).hexdigest()} |" in text
    assert f"| shard-00000.parquet | {hashlib.sha256(b'rows').hexdigest()} |" in text


def test_overlap_is_shown_not_claimed(pair_card, tiny_bart):
    """Two kept rows are the evaluation row again, but for case, marks and spaces."""
    again = SyntheticRow("X", "Y, z!", "follows", first_sentence="captions:12")
    text = text_of(pair_card, [*ROWS, again], tiny_bart)
    assert "| few shots | 2 | 0 | 0 |" in text
    assert "| evaluation rows | 1 | 2 | 0 |" in text


def test_rejected_rows_are_where_the_card_says(pair_card, tiny_bart):
    without = text_of(pair_card, ROWS, tiny_bart)
    assert "not in the files" in without
    assert "filter(" not in without
    marked = text_of(pair_card, ROWS, tiny_bart, keep_rejected=True)
    assert '.filter(lambda row: row["kept"])' in marked


def test_imported_rows_are_not_called_ours(pair_card):
    rows = [SyntheticRow("x", "y", "follows", first_sentence="import:theirs.json:1")]
    text = text_of(pair_card, rows, imported="theirs.json")
    assert "imported from theirs.json" in text
    assert "| import | rows that somebody else wrote | 1 | the licence of those rows |" in text
    assert "| generator | unknown; the rows were not scored |" in text


def test_texts_come_out_harmless(pair_card, tiny_bart):
    text = text_of(pair_card, ROWS, tiny_bart)
    assert "<script>" not in text
    assert r"| follows | A \| b # c | &lt;script&gt;alert(1)&lt;/script&gt; |  |" in text
    assert r"y \*z\*" in text


def test_plain_text_is_one_line_without_marks():
    assert plain("a\nb\t[c](d) `e` \x1b[31m_f_") == r"a b \[c\](d) \`e\` \[31m\_f\_"


def test_a_users_file_and_folder_are_not_named_by_path(pair_card, tiny_bart):
    row = SyntheticRow("x", "y", "follows", first_sentence="file:mine.txt:3")
    for choice in ("/home/someone/mine.txt", {"/home/someone/mine.csv#text": 2, "captions": 1}):
        text = text_of(pair_card, [row], tiny_bart, first_sentences=choice)
        assert "/home" not in text
        assert "the licence of your file" in text
    assert model_name("/home/someone/model") == "model"
    assert model_name("google/t5-large") == "google/t5-large"
    assert source_name({"captions": 0.7, "a/b.txt": 0.3}) == "captions: 0.7, b.txt: 0.3"


def test_the_licence_of_a_generator_is_read_from_its_own_card(tmp_path):
    assert model_licence("dawgen/tiny") == "apache-2.0"
    assert model_licence(str(tmp_path)) == "see the model's own page"
    (tmp_path / "README.md").write_text("---\nlicense: mit\n---\n# A model\n")
    assert model_licence(str(tmp_path)) == "mit"


def test_prompts_are_hashed_by_value():
    one = torch.arange(6.0).view(1, 2, 3)
    assert prompts_hash(one) == prompts_hash(one.double())
    assert prompts_hash(one) != prompts_hash(one + 1e-3)


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
    text = text_of(card, rows, tiny_bart, ledger=Ledger(card.labels))
    assert text.count("thing") == 6
    assert ("second" in text.partition("## Columns")[0].partition("first rows")[2]) == card.is_pair


def test_what_stands_out_is_said_first(pair_card):
    """Of twelve rows one is of the second label, and all are far longer than the shots."""
    long = "one two three four five six seven eight nine"
    labels = ["follows"] * 11 + ["does_not"]
    rows = [
        SyntheticRow(f"a {n}", f"{long} {n}", label, first_sentence=f"captions:{n}")
        for n, label in enumerate(labels)
    ]
    text = text_of(pair_card, rows)
    first = text.split("## What to know first\n\n")[1].split("\n\n")[0].splitlines()
    assert first[0].startswith(r"- Label does\_not has 1 written rows of 1 tries")
    assert first[1] == "- Written rows look unlike yours: they have a mean of 10 words, yours 2."
    plain_rows = [
        SyntheticRow("a", f"it {word}", label, first_sentence="captions:1")
        for word, label in (("runs", "follows"), ("sleeps", "does_not"))
    ]
    assert "What to know first" not in text_of(pair_card, plain_rows)


def test_the_card_has_all_verdicts_of_the_rows_and_no_other(pair_card):
    """As docs/report.md says: whether rows helped is known after the tuning only."""
    figures = {
        "from_few_shots": {"length": 10.0, "length_there": 2.0},
        "text2_alone": {"accuracy": 0.9, "chance": 0.5},
    }
    labels = ["follows"] * 11 + ["does_not"]
    rows = [SyntheticRow("a", "b", label, first_sentence="captions:1") for label in labels]
    ledger = filled(rows)
    text = text_of(pair_card, rows, ledger=ledger, figures=figures)
    first = text.split("## What to know first\n\n")[1].split("\n\n")[0].splitlines()
    expected = of_rows(figures, ledger.as_json())
    assert [verdict.name for verdict in expected] == ["few", "unlike", "alone"]
    assert first == [f"- {plain(verdict.text)}" for verdict in expected]
    assert "helped" not in text
