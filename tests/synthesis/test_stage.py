from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from dawgen.decoding import Generation, Request, TransformersEngine
from dawgen.errors import UserError
from dawgen.settings.cleaning import CleaningSettings
from dawgen.streams import Streams
from dawgen.synthesis import SyntheticRow, load_synthetic, stage, synthesize
from dawgen.synthesis.cleaner import PASSED, keep_best
from dawgen.synthesis.scoring import log_likelihoods
from dawgen.synthesis.stage import _quotas
from dawgen.synthesis.text import pair_key
from dawgen.tasks import Row
from tests.synthesis.helpers import random_prompts, read_shards


@pytest.fixture
def run(writer, pair_card, pair_shots, settings, tmp_path):
    """Synthesise with the small writer; keywords change settings, or card, shots, seed."""

    def call(
        folder="out", card=pair_card, shots=pair_shots, seed=13, forbidden=(), work=None, **changes
    ):
        return synthesize(
            card,
            shots,
            random_prompts(writer, len(card.labels)),
            writer,
            settings.model_copy(update=changes),
            Streams(seed),
            tmp_path / folder,
            forbidden=forbidden,
            work=work,
        )

    return call


def content(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.iterdir()}


def check_account(out, *, by_reader: bool = False) -> list[SyntheticRow]:
    """Shards, ledger and result tell the same story; gives back all rows."""
    rows = read_shards(out.folder)
    told = json.loads((out.folder / "ledger.json").read_text("utf-8"))
    assert told["attempted"] == told["kept"] + told["rejected"] == len(rows)
    for label, account in told["labels"].items():
        own = [row for row in rows if row.asked_for == label]
        assert account["attempted"] == len(own)
        assert account["kept"] == sum(row.kept for row in own)
        assert account["reasons"] == Counter(row.reason for row in own if not row.kept)
    assert out.rows == [row for row in rows if row.kept]
    assert all((row.reason is None) == row.kept for row in rows)
    scored = {
        "duplicate",
        "near-duplicate",
        "low label ratio",
        "lower label ratio than others",
        "more rows than the other labels",
        None,
    }
    for row in rows:
        was_scored = not by_reader and row.reason in scored
        assert (row.label_ratio is not None) == was_scored
        assert (row.log_likelihood is not None) == was_scored
        assert (row.reader_probability is not None) == (by_reader and row.reason in PASSED)
    return rows


def test_every_label_gets_its_rows_and_the_ledger_balances(run, pair_card):
    out = run()
    rows = check_account(out)
    assert Counter(row.label for row in out.rows) == {"follows": 8, "does_not": 8}
    assert len(rows) > 16
    assert Counter(row.shard for row in out.rows) == {0: 10, 1: 6}
    assert load_synthetic(out.folder, pair_card) == out.rows
    assert sorted(content(out.folder)) == [
        "README.md",
        "ledger.json",
        "quality.json",
        "shard-00000.parquet",
        "shard-00001.parquet",
    ]
    assert "| decoded by | transformers |" in (out.folder / "README.md").read_text()


def test_kept_rows_are_clean_distinct_and_traceable(run, pair_shots):
    rows = check_account(run())
    kept = [row for row in rows if row.kept]
    keys = [pair_key(row.text1, row.text2) for row in kept]
    assert len(set(keys)) == len(keys)
    for row in kept:
        number = int(row.first_sentence.removeprefix("shots:"))
        assert row.text1 == pair_shots[number].text1
        assert row.text2
        assert 0 <= row.label_ratio <= 1
        assert row.log_likelihood < 0
    assert len({row.seed for row in rows}) == len(rows)


def test_labels_continue_the_same_first_sentences(run):
    rows = read_shards(run().folder)
    firsts = {
        label: [row.first_sentence for row in rows if row.label == label]
        for label in ("follows", "does_not")
    }
    shared = min(map(len, firsts.values()))
    assert firsts["follows"][:shared] == firsts["does_not"][:shared]


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(run):
    one, other = run("one"), run("other")
    assert content(one.folder) == content(other.folder)
    assert content(run("third", seed=14).folder) != content(one.folder)


def test_a_second_synthesis_leaves_no_shard_of_the_first(run):
    run(rows_per_label=8, shard_rows=2)
    out = run(rows_per_label=2)
    assert [p.name for p in out.folder.glob("*.parquet")] == ["shard-00000.parquet"]
    check_account(out)


def test_scores_are_those_of_the_rows_own_texts(run, writer):
    out = run()
    prompts = random_prompts(writer, 2)
    scores = log_likelihoods(writer, prompts, [(r.text1, r.text2) for r in out.rows])
    for row, score in zip(out.rows, scores, strict=True):
        own = 0 if row.label == "follows" else 1
        assert row.log_likelihood == pytest.approx(score[own].item(), abs=1e-3)
        assert row.label_ratio == pytest.approx(score.softmax(-1)[own].item(), abs=1e-3)


def test_oversampling_keeps_the_rows_of_the_highest_ratio(run):
    rows = check_account(run(oversample=3.0, shard_rows=8))
    for label in ("follows", "does_not"):
        own = [row for row in rows if row.asked_for == label]
        kept = [row.label_ratio for row in own if row.kept]
        rest = [r.label_ratio for r in own if r.reason == "lower label ratio than others"]
        assert len(kept) == 8
        assert len(rest) >= 16
        assert min(kept) >= max(rest)


def test_keep_best_by_hand():
    def row(label, ratio, reason=None):
        return SyntheticRow("a", "b", label, reason is None, reason, ratio)

    rows = [row("x", 0.2), row("y", 0.1), row("x", 0.9), row("x", 0.9, "empty"), row("x", 0.9)]
    marked = keep_best(rows, 1)
    assert [r.kept for r in marked] == [False, True, True, False, False]
    lower = "lower label ratio than others"
    assert [r.reason for r in marked] == [lower, None, None, "empty", lower]


def test_rows_of_low_ratio_are_rejected_by_name(run):
    rows = check_account(run(min_label_ratio=0.5))
    low = [row for row in rows if row.reason == "low label ratio"]
    assert low
    assert all(row.label_ratio < 0.5 for row in low)
    assert all(row.label_ratio >= 0.5 for row in rows if row.kept)


def test_forbidden_rows_are_not_repeated(run):
    before = run("before")
    again = [Row(row.text1, row.text2.upper(), None) for row in before.rows[:3]]
    after = run("after", forbidden=again)
    reasons = check_account(after)
    hit = [row for row in reasons if row.reason == "repeats an evaluation row"]
    assert {pair_key(r.text1, r.text2) for r in hit} == {pair_key(r.text1, r.text2) for r in again}
    assert not {pair_key(r.text1, r.text2) for r in after.rows} & {
        pair_key(r.text1, r.text2) for r in again
    }


def test_the_generator_writes_both_texts(run):
    rows = check_account(run(first_sentences="generator"))
    kept = [row for row in rows if row.kept]
    assert {row.first_sentence for row in rows} == {"generator"}
    assert len({row.text1 for row in kept}) > 4
    failed = [row for row in rows if (row.reason or "").startswith("first sentence ")]
    assert failed
    assert all(row.text2 == "" for row in failed)


def test_single_sentences(run, single_card, single_shots):
    out = run(card=single_card, shots=single_shots)
    check_account(out)
    assert Counter(row.label for row in out.rows) == {"good": 8, "bad": 8}
    assert all(row.text2 is None and row.text1 for row in out.rows)
    assert load_synthetic(out.folder, single_card) == out.rows


class Scripted:
    """An engine that writes given texts, in turn."""

    name = "scripted"

    def __init__(self, texts: list[str]) -> None:
        self.texts = texts
        self.asked = 0

    def generate(self, requests: list[Request]) -> list[Generation]:
        start, self.asked = self.asked, self.asked + len(requests)
        return [Generation(self.texts[i], 3, True) for i in range(start, self.asked)]


@pytest.fixture
def script(monkeypatch):
    """Let the next synthesis write these texts."""

    def use(texts: list[str]) -> None:
        monkeypatch.setattr("dawgen.synthesis.stage.choose_engine", lambda *_: Scripted(texts))

    return use


def test_hand_written_texts_are_accounted_for_exactly(run, script, pair_shots, capsys):
    """Attempts alternate between the labels; all start from the one first sentence."""
    script(
        [
            *("a dog sleeps", "A dog sleeps."),  # the other label's duplicate
            *("", "(a dog"),
            *("the cat runs", "a man runs in the park"),  # a copy of the first text
            *("a  DOG sleeps!", "no dog sleeps"),  # its own duplicate
        ]
    )
    out = run(shots=pair_shots[:1], rows_per_label=4, max_attempts_factor=1)
    rows = check_account(out)
    assert [(row.label, row.reason) for row in rows] == [
        ("follows", None),
        ("does_not", "duplicate"),
        ("follows", "empty"),
        ("does_not", "unbalanced brackets or quotes"),
        ("follows", None),
        ("does_not", "copy of the first text"),
        ("follows", "duplicate"),
        ("does_not", None),
    ]
    assert out.ledger.as_json()["reasons"] == {
        "duplicate": 2,
        "copy of the first text": 1,
        "empty": 1,
        "unbalanced brackets or quotes": 1,
    }
    told = " ".join(capsys.readouterr().err.split())
    assert (
        "label 'follows' has 2 of 4 rows after 4 attempts; rejected as: empty (1), duplicate (1)."
        in told
    )
    assert "label 'does_not' has 1 of 4 rows after 4 attempts" in told


def test_a_row_of_an_earlier_shard_is_a_duplicate_too(run, script, pair_shots):
    script(["a dog", "a cat", "two dogs", "a dog", "two cats"])
    out = run(shots=pair_shots[:1], rows_per_label=2, shard_rows=1, max_attempts_factor=2)
    rows = check_account(out)
    assert [(row.shard, row.label, row.text2, row.kept) for row in rows] == [
        (0, "follows", "a dog", True),
        (0, "does_not", "a cat", True),
        (1, "follows", "two dogs", True),
        (1, "does_not", "a dog", False),
        (1, "does_not", "two cats", True),
    ]


def test_no_row_at_all_stops_the_stage(run):
    with pytest.raises(UserError, match=r"None of 16 written rows .* cut off \(16\)"):
        run(max_new_tokens=1, max_attempts_factor=1, temperature=0.0, shard_rows=8)


def test_a_label_of_which_nothing_is_clean_is_given_up(run, script, pair_shots, monkeypatch):
    """It may use 40 attempts; three empty texts are enough, and the other label gets its rows."""
    monkeypatch.setattr(stage, "HOPELESS", 3)
    script(["", "a cat", "", "two cats", "", "three cats", "four cats"])
    out = run(shots=pair_shots[:1], rows_per_label=4, max_attempts_factor=10)
    told = out.ledger.as_json()["labels"]
    assert (told["follows"]["attempted"], told["follows"]["kept"]) == (3, 0)
    assert (told["does_not"]["attempted"], told["does_not"]["kept"]) == (4, 4)


@pytest.mark.parametrize("name", ["tiny_t5", "tiny_gpt2"])
def test_other_architectures(name, request, pair_card, pair_shots, settings, tmp_path):
    """Random weights hardly ever end a text; the account balances, and nothing differs."""
    backbone = request.getfixturevalue(name)
    prompts = random_prompts(backbone, 2)
    changes = {"rows_per_label": 2, "max_attempts_factor": 3, "max_new_tokens": 4}
    folders = []
    for folder in (tmp_path / "one", tmp_path / "other"):
        with pytest.raises(UserError, match="None of 12 written rows"):
            synthesize(
                pair_card,
                pair_shots,
                prompts,
                backbone,
                settings.model_copy(update=changes),
                Streams(13),
                folder,
            )
        folders.append(content(folder))
    assert folders[0] == folders[1]
    assert json.loads(folders[0]["ledger.json"])["attempted"] == 12


def test_shards_share_the_rows_out(settings):
    def quotas(rows, shard):
        return _quotas(settings.model_copy(update={"rows_per_label": rows, "shard_rows": shard}))

    assert quotas(8, 5) == [5, 3]
    assert quotas(10, 5) == [5, 5]
    assert quotas(3, 5) == [3]


def test_the_folder_loads_as_a_dataset(run, tmp_path):
    datasets = pytest.importorskip("datasets")
    out = run()
    loaded = datasets.load_dataset(str(out.folder), split="train", cache_dir=str(tmp_path / "hf"))
    assert loaded["kept"].count(True) == 16
    assert len(loaded) == out.ledger.total().attempted


# --- rejected rows, resuming, mixes ------------------------------------------------------


def test_rejected_rows_are_counted_but_not_written_unless_asked_for(run):
    marked, clean = run("marked"), run("clean", keep_rejected=False)
    assert read_shards(clean.folder) == clean.rows == marked.rows
    assert clean.ledger.as_json() == marked.ledger.as_json()
    assert content(clean.folder)["ledger.json"] == content(marked.folder)["ledger.json"]
    assert content(clean.folder)["quality.json"] == content(marked.folder)["quality.json"]


class Stopped(Exception):
    """What stops a synthesis in these tests."""


@pytest.mark.parametrize("calls", [0, 1])
def test_a_stopped_synthesis_goes_on_to_the_same_bytes(run, tmp_path, monkeypatch, calls):
    """Stopped within the first, or a later shard; finished shards are not written again."""
    changes = {"rows_per_label": 4, "shard_rows": 2, "keep_rejected": calls == 1}
    whole = run("whole", **changes)
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
    shards = {path: path.stat().st_mtime_ns for path in work.glob("*.parquet")}
    assert len(shards) == calls
    again = run("half", work=work, **changes)
    assert content(again.folder) == content(whole.folder)
    assert again.rows == whole.rows
    assert shards == {path: path.stat().st_mtime_ns for path in shards}
    assert again.speed.kept == 2 * (4 - 2 * calls)
    assert again.speed.tokens > 0


def test_a_synthesis_that_was_finished_writes_nothing_again(run, tmp_path, monkeypatch):
    first = run("first", work=tmp_path / "work")
    monkeypatch.setattr(TransformersEngine, "generate", None)
    second = run("second", work=tmp_path / "work")
    assert content(first.folder) == content(second.folder)
    assert second.speed.attempted == second.speed.tokens == 0


def test_a_mix_of_given_and_written_first_sentences(run, writer):
    rows = check_account(run(first_sentences={"few-shots": 1.0, "generator": 1.0}))
    made = [row for row in rows if row.first_sentence == "generator"]
    for label in ("follows", "does_not"):
        own = [row for row in rows if row.asked_for == label]
        generated = sum(row.first_sentence == "generator" for row in own)
        assert abs(len(own) - 2 * generated) <= 1
    (row,) = [row for row in made if row.kept][:1]
    pairs = [("", row.text1), (row.text1, row.text2)]
    scores = log_likelihoods(writer, random_prompts(writer, 2), pairs)
    place = 0 if row.label == "follows" else 1
    assert row.log_likelihood == pytest.approx(scores[:, place].sum().item(), abs=1e-3)


def test_copies_are_kept_up_to_their_share_where_the_card_has_them(
    run, script, pair_card, pair_shots
):
    card = pair_card.model_copy(update={"copies": ["follows"]})
    first = pair_shots[0].text1
    script([first, first, "a dog", "a cat", first.upper(), "the dog", "two dogs", "no dog"])
    changes = {"rows_per_label": 4, "max_attempts_factor": 1}
    cleaning = CleaningSettings(copy_share=0.25, skip=("duplicate", "near-duplicate"))
    out = run(card=card, shots=pair_shots[:1], cleaning=cleaning, **changes)
    rows = read_shards(out.folder)
    copies = [(row.label, row.reason) for row in rows if row.text2.lower() == first]
    copy = "copy of the first text"
    assert copies == [("follows", None), ("does_not", copy), ("follows", copy)]
