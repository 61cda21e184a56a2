"""Rows chosen by a reader: by hand, in the loop that writes them, and of anybody's rows."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from dawgen.decoding import TransformersEngine
from dawgen.errors import UserError
from dawgen.pipeline.reader import PromptReader
from dawgen.settings.choosing import ChoosingSettings
from dawgen.streams import Streams
from dawgen.synthesis import SyntheticRow, load_synthetic, stage, synthesize
from dawgen.synthesis.choosing import (
    Chooser,
    calibrated,
    choose_rows,
    margins,
    reader_agreement,
)
from dawgen.synthesis.cleaner import READER_DISAGREES, READER_UNSURE, TELLS
from dawgen.tasks import Row
from tests.synthesis.helpers import random_prompts, read_shards
from tests.synthesis.test_stage import Stopped, check_account, content

READ = ChoosingSettings(by="reader")
RELABEL = ChoosingSettings(by="reader", relabel=0.0)
SURE = RELABEL.model_copy(update={"relabel": 1.0})


def coin(rows: Sequence[Row]) -> torch.Tensor:
    """A reader of two labels whose opinion is a hash of the texts."""
    heads = [hashlib.sha256(f"{r.text1}|{r.text2}".encode()).digest()[0] / 255 for r in rows]
    share = torch.tensor(heads, dtype=torch.float64).clamp(0.01, 0.99)
    return torch.stack([share, 1 - share], dim=1).log()


coin.is_sound = True


def says(answers: dict[str | None, list[float]]):
    """A reader that gives these probabilities by text2, as a head would."""

    def reader(rows):
        return torch.tensor([answers[row.text2] for row in rows]).double().log()

    reader.is_sound = True
    return reader


def labels_of(rows: Sequence[Row], card) -> torch.Tensor:
    """[N,1] places of the rows' labels."""
    return torch.tensor([[card.label_index(row.label)] for row in rows])


@pytest.fixture
def run(writer, pair_card, pair_shots, settings, tmp_path):
    """Synthesise with the small writer and a reader; keywords change settings."""

    def call(folder="out", reader=coin, work=None, choose=READ, **changes):
        return synthesize(
            pair_card,
            pair_shots,
            random_prompts(writer, 2),
            writer,
            settings.model_copy(update={"choose": choose, **changes}),
            Streams(13),
            tmp_path / folder,
            work=work,
            reader=reader,
        )

    return call


# --- by hand ------------------------------------------------------------------------------


def test_margins_by_hand():
    """log p: the own label's minus the best other's."""
    scores = torch.tensor([[-1.0, -2.0, -4.0], [-1.0, -2.0, -4.0]])
    assert margins(scores, [0, 2]).tolist() == [1.0, -3.0]


def test_calibration_takes_off_what_the_reader_says_of_all_rows():
    """The reader calls all rows label 0; less its mean (-1, -3) it tells them apart."""
    scores = torch.tensor([[-0.5, -3.5], [-1.5, -2.5]])
    assert margins(scores, [0, 1]).tolist() == [3.0, -1.0]
    fair = calibrated(scores, [0, 1])
    assert margins(fair, [0, 1]).tolist() == pytest.approx([1.0, 1.0])
    assert fair.exp().sum(dim=1).tolist() == pytest.approx([1.0, 1.0])  # still probabilities


def test_a_label_with_many_rows_weighs_no_more_in_the_mean():
    rows = torch.tensor([[-0.5, -3.5], [-1.5, -2.5]])
    many = rows[[0, 1, 1, 1, 1]]
    own = [0, 1, 1, 1, 1]
    assert margins(calibrated(many, own), own).tolist() == pytest.approx([1.0] * 5)


def test_rows_of_one_label_are_not_calibrated():
    scores = torch.tensor([[-0.1, -3.0], [-0.2, -3.0], [-2.0, -0.5]])
    assert calibrated(scores, [0, 0, 0]) is scores
    assert (margins(scores, [0, 0, 0]) > 0).tolist() == [True, True, False]


def test_a_row_has_to_lead_by_the_margin(pair_card):
    rows = [SyntheticRow("a", "sure", "follows"), SyntheticRow("a", "so so", "follows")]
    reader = says({"sure": [0.9, 0.1], "so so": [0.6, 0.4]})  # leads of 2.2 and 0.4 nats
    plain = ChoosingSettings(by="reader", calibrate=False)
    strict = plain.model_copy(update={"min_margin": 1.0})
    assert [row.kept for row in Chooser(reader, pair_card, plain)(rows)] == [True, True]
    marked = Chooser(reader, pair_card, strict)(rows)
    assert [row.reason for row in marked] == [None, READER_DISAGREES]


def test_a_row_takes_the_label_that_the_reader_gives_it(pair_card):
    rows = [
        SyntheticRow("a", "other", "follows", label_ratio=0.9, log_likelihood=-2.0),
        SyntheticRow("a", "so so", "follows"),
        SyntheticRow("a", "same", "follows"),
    ]
    reader = says({"other": [0.1, 0.9], "so so": [0.4, 0.6], "same": [0.9, 0.1]})
    other, doubted, same = Chooser(reader, pair_card, READ, relabel=1.0)(rows)
    assert (other.label, other.written_for, other.asked_for) == ("does_not", "follows", "follows")
    assert other.kept
    assert other.label_ratio is other.log_likelihood is None  # they were of the old label
    assert (doubted.label, doubted.reason) == ("follows", READER_UNSURE)
    assert (other.reader_probability, same.reader_probability) == pytest.approx((0.9, 0.9))
    assert doubted.reader_probability == pytest.approx(0.4)  # of the label that it keeps
    assert same == replace(rows[2], reader_probability=same.reader_probability)
    assert reader_agreement([other, doubted, same], ["follows"]) == {"follows": round(1 / 3, 4)}


def test_relabelling_takes_a_heads_word_and_no_prompts(pair_card, single_card):
    """It is not calibrated; under a prompt rows keep their labels."""
    rows = [SyntheticRow("a", "b", "follows"), SyntheticRow("a", "c", "does_not")]
    reader = says({"b": [0.95, 0.05], "c": [0.7, 0.3], None: [0.1, 0.9]})
    assert [row.label for row in Chooser(reader, pair_card, READ, 0.0)(rows)] == ["follows"] * 2
    reader.is_sound = False
    marked = Chooser(reader, pair_card, READ, 0.0)(rows)
    assert [row.label for row in marked] == ["follows", "does_not"]
    assert all(row.kept for row in marked)  # calibrated, so the reader agrees with both
    reader.is_sound = True
    (single,) = Chooser(reader, single_card, READ, 0.0)([SyntheticRow("a", None, "good")])
    assert (single.label, single.written_for) == (single_card.labels[1], "good")


def test_a_text_is_read_once_and_rejected_rows_never(pair_card):
    seen: list[str | None] = []

    def reader(rows):
        seen.extend(row.text2 for row in rows)
        return coin(rows)

    choose = Chooser(reader, pair_card, READ)
    rows = [SyntheticRow("a", "one", "follows"), SyntheticRow("a", "", "follows", False, "empty")]
    choose(rows)
    choose([*rows, SyntheticRow("a", "two", "does_not")])
    assert seen == ["one", "two"]


# --- while rows are written -----------------------------------------------------------------


def test_rows_are_written_until_enough_are_chosen(run):
    """The coin agrees with half of the clean rows, and each label still gets its 8."""
    out = run(max_attempts_factor=60)
    all_rows = run("all", choose=ChoosingSettings(), max_attempts_factor=60)
    rows = check_account(out, by_reader=True)
    assert Counter(row.label for row in out.rows) == {"follows": 8, "does_not": 8}
    against = [row for row in rows if row.reason == READER_DISAGREES]
    assert len(against) >= 4
    assert out.rows != all_rows.rows
    assert out.ledger.total().attempted > all_rows.ledger.total().attempted
    assert out.ledger.as_json()["reasons"][READER_DISAGREES] == len(against)


def test_relabelled_rows_count_for_the_label_that_they_have(run, pair_card):
    """So fewer texts are asked for, and the account is of the label that they were asked for."""
    out, strict = run(choose=RELABEL), run("strict", max_attempts_factor=60)
    rows = check_account(out, by_reader=True)
    assert Counter(row.label for row in out.rows) == {"follows": 8, "does_not": 8}
    assert out.ledger.total().attempted < strict.ledger.total().attempted
    assert not any(row.reason == READER_DISAGREES for row in rows)
    moved = Counter((row.written_for, row.label) for row in out.rows if row.written_for)
    assert len(moved) == 2  # either way
    told = out.ledger.as_json()["labels"]
    assert told["follows"]["relabelled"] == {"does_not": moved["follows", "does_not"]}
    assert told["does_not"]["relabelled"] == {"follows": moved["does_not", "follows"]}
    assert [out.ledger.rows_of(label) for label in pair_card.labels] == [8, 8]
    coins = coin(out.rows).exp().gather(1, labels_of(out.rows, pair_card))[:, 0]
    assert [row.reader_probability for row in out.rows] == pytest.approx(coins.tolist())
    assert load_synthetic(out.folder, pair_card) == out.rows


@pytest.mark.parametrize("number", [1, 2])
def test_a_stopped_synthesis_relabels_the_same(run, tmp_path, number):
    work, changes = tmp_path / "work", {"rows_per_label": 6, "shard_rows": 2, "choose": RELABEL}
    whole = run("whole", work=work, **changes)
    assert any(row.written_for for row in whole.rows)
    for path in work.glob(f"shard-0000{number}.parquet*"):
        path.unlink()
    assert content(run("again", work=work, **changes).folder) == content(whole.folder)


def test_single_texts_have_no_surplus_to_cut(writer, single_card, single_shots, settings, tmp_path):
    """What text2 tells decides on a surplus, and they have none."""
    out = synthesize(
        single_card,
        single_shots,
        random_prompts(writer, len(single_card.labels)),
        writer,
        settings.model_copy(update={"choose": READ, "oversample": 3.0, "max_attempts_factor": 60}),
        Streams(13),
        tmp_path / "out",
        reader=coin,
    )
    rows = check_account(out, by_reader=True)
    surplus = [row for row in rows if row.reason == TELLS]
    assert len(out.rows) == 8 * len(single_card.labels)
    assert len(surplus) < len(out.rows)  # of the last round only


def test_what_is_kept_is_what_the_reader_chooses_of_the_shards_clean_rows(run, pair_card):
    rows = check_account(run(), by_reader=True)
    for number in (0, 1):
        shard = [row for row in rows if row.shard == number]
        clean = [r for r in shard if r.kept or r.reason in (READER_DISAGREES, TELLS)]
        labels = [pair_card.label_index(row.label) for row in clean]
        agrees = (margins(calibrated(coin(clean), labels), labels) >= 0).tolist()
        assert [row.reason != READER_DISAGREES for row in clean] == agrees


def test_calibration_changes_the_choice(run):
    def biased(rows):
        return coin(rows) + torch.tensor([3.0, 0.0])

    def agreement(name: str, **changes: object):
        made = run(name, reader=biased, **changes)
        return reader_agreement(read_shards(made.folder), ["follows", "does_not"])

    plain = READ.model_copy(update={"calibrate": False})
    calibrated, biased_shares = agreement("with"), agreement("without", choose=plain)
    assert biased_shares["follows"] > 0.7 > 0.4 > biased_shares["does_not"]
    assert calibrated["follows"] - calibrated["does_not"] < 0.3


def test_a_tuned_prompt_relabels_nothing(run, writer, pair_card):
    """As the methods of a comparison have it read."""
    reader = PromptReader(random_prompts(writer, 1, seed=5)[0], writer, pair_card, 64)
    out = run(reader=reader, choose=RELABEL, max_attempts_factor=60)
    assert not any(row.written_for for row in check_account(out, by_reader=True))


def test_a_tuned_prompt_reads(run, writer, pair_card):
    """A random prompt on the small backbone: it has an opinion, and the rows follow it."""
    prompt = random_prompts(writer, 1, seed=5)[0]
    reader = PromptReader(prompt, writer, pair_card, tokens_per_batch=64)
    out = run(reader=reader, max_attempts_factor=60)
    rows = check_account(out, by_reader=True)
    assert Counter(row.label for row in out.rows) == {"follows": 8, "does_not": 8}
    assert any(row.reason == READER_DISAGREES for row in rows)
    for number in (0, 1):
        clean = [
            r for r in rows if r.shard == number and r.reason in (None, READER_DISAGREES, TELLS)
        ]
        labels = [pair_card.label_index(row.label) for row in clean]
        agrees = (margins(calibrated(reader(clean), labels), labels) >= 0).tolist()
        assert agrees == [row.reason != READER_DISAGREES for row in clean]


@pytest.mark.parametrize("calls", [0, 1])
def test_a_stopped_synthesis_goes_on_to_the_same_bytes(run, tmp_path, monkeypatch, calls):
    changes = {"rows_per_label": 4, "shard_rows": 2}
    whole = run("whole", **changes)
    assert any(row.reason == READER_DISAGREES for row in read_shards(whole.folder))
    work = tmp_path / "work"
    generate = TransformersEngine.generate

    def stop(engine, requests):
        if len(list(work.glob("*.parquet"))) >= calls:
            raise Stopped
        return generate(engine, requests)

    with monkeypatch.context() as patch:
        patch.setattr(TransformersEngine, "generate", stop)
        with pytest.raises(Stopped):
            run("half", work=work, **changes)
    assert len(list(work.glob("*.parquet"))) == calls
    again = run("half", work=work, **changes)
    assert content(again.folder) == content(whole.folder)


def test_a_row_that_the_reader_rejected_is_still_a_duplicate_after_a_stop(run, tmp_path):
    """A finished shard is replayed with all rows that the cleaner had let pass."""
    work = tmp_path / "work"
    changes = {"rows_per_label": 6, "shard_rows": 2, "max_attempts_factor": 60}
    whole = run("whole", work=work, **changes)
    for number in (1, 2):
        for path in work.glob(f"shard-0000{number}.parquet*"):
            path.unlink()
    assert content(run("again", work=work, **changes).folder) == content(whole.folder)


def test_a_label_that_the_reader_never_gives_is_left_without_rows_and_named(
    run, monkeypatch, capsys
):
    monkeypatch.setattr(stage, "HOPELESS", 20)

    def stubborn(rows):
        return torch.tensor([[0.9, 0.1]] * len(rows), dtype=torch.float64).log()

    choose = READ.model_copy(update={"calibrate": False})
    out = run(reader=stubborn, choose=choose, shard_rows=8)
    check_account(out, by_reader=True)
    told = out.ledger.as_json()["labels"]
    assert told["follows"]["kept"] == 8
    assert (told["does_not"]["attempted"], told["does_not"]["kept"]) == (20, 0)
    warning = " ".join(capsys.readouterr().err.split())
    assert "label 'does_not' has 0 of 8 rows after 20 attempts" in warning
    assert "predicts another label for the rest" in warning
    assert "label 'follows'" not in warning


def test_a_label_whose_rows_are_all_given_another_is_named(run, monkeypatch, capsys):
    """The head gives one label only: of texts of odd length it is sure, of the others not."""
    monkeypatch.setattr(stage, "HOPELESS", 20)

    def head(rows):
        sure = [[0.9, 0.1] if len(row.text2) % 2 else [0.6, 0.4] for row in rows]
        return torch.tensor(sure, dtype=torch.float64).log()

    head.is_sound = True
    out = run(reader=head, choose=SURE, shard_rows=8)
    told = out.ledger.as_json()["labels"]["does_not"]
    assert told["relabelled"]["follows"] > 0 < told["reasons"][READER_UNSURE]
    warning = " ".join(capsys.readouterr().err.split())
    assert f"; {told['relabelled']['follows']} were given another label by the reader." in warning
    assert "is not sure of one" in warning


def test_choosing_without_a_reader_is_a_defect(run):
    with pytest.raises(ValueError, match="there is no reader"):
        run(reader=None)


# --- anybody's rows ---------------------------------------------------------------------------


THEIRS = {
    "one": ("follows", [0.9, 0.1]),
    "two": ("follows", [0.8, 0.2]),
    "three": ("does_not", [0.3, 0.7]),
    "four": ("does_not", [0.7, 0.3]),
}


def choose_theirs(card, settings=READ, **changes):
    told = {**THEIRS, **changes}
    rows = [SyntheticRow("a", text, label) for text, (label, _) in told.items()]
    reader = says({text: chances for text, (_, chances) in told.items()})
    return [row.text2 for row in choose_rows(rows, reader, card, settings)]


def test_anybodys_rows_are_chosen(pair_card, capsys):
    plain = READ.model_copy(update={"calibrate": False})
    assert choose_theirs(pair_card, settings=plain) == ["one", "two", "three"]
    told = " ".join(capsys.readouterr().err.split())
    assert "2 of 2 synthetic rows of label 'follows' chosen" in told
    assert "1 of 2 synthetic rows of label 'does_not' chosen" in told


def test_anybodys_rows_keep_their_labels(pair_card):
    """Whoever wrote them may know better than a reader of few shots."""
    plain = RELABEL.model_copy(update={"calibrate": False})
    assert choose_theirs(pair_card, settings=plain) == ["one", "two", "three"]


def test_a_label_of_which_nothing_is_left_is_named(pair_card, capsys):
    plain = READ.model_copy(update={"calibrate": False})
    changes = {"three": ("does_not", [0.9, 0.1])}
    assert choose_theirs(pair_card, settings=plain, **changes) == ["one", "two"]
    told = " ".join(capsys.readouterr().err.split())
    assert "warning: only 0 of 2 synthetic rows of label 'does_not' are left" in told


def test_no_row_at_all_is_an_error(pair_card):
    plain = ChoosingSettings(by="reader", min_margin=50.0)
    with pytest.raises(UserError, match=r"None of the 4 .* \(reader disagrees: 4\)"):
        choose_theirs(pair_card, settings=plain)


def test_agreement_is_counted_before_any_further_cut():
    rows = [
        SyntheticRow("a", "b", "x"),
        SyntheticRow("a", "c", "x", False, READER_DISAGREES),
        SyntheticRow("a", "d", "x", False, TELLS),
        SyntheticRow("a", "e", "x", False, "empty"),
    ]
    assert reader_agreement(rows, ["x", "y"]) == {"x": round(2 / 3, 4), "y": None}


def test_the_report_has_the_agreement_only_where_a_reader_chose(run):
    def told(folder: Path):
        return json.loads((folder / "quality.json").read_text())["reader_agreement"]

    out = run()
    assert told(out.folder) == reader_agreement(read_shards(out.folder), ["follows", "does_not"])
    assert told(run("all", choose=ChoosingSettings()).folder) is None


def test_the_rows_load_as_chosen(run, pair_card):
    out = run()
    assert load_synthetic(out.folder, pair_card) == out.rows
