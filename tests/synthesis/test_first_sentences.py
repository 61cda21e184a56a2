from __future__ import annotations

import lzma
from collections import Counter

import datasets
import pytest

from dawgen.errors import UserError
from dawgen.streams import Streams
from dawgen.synthesis.first_sentences import choose_first_sentences, writes_first
from dawgen.synthesis.sources import CORPORA
from dawgen.tasks import Row, load_card


def choose(choice, card, shots=(), seed=13, kind="any"):
    choice = choice if isinstance(choice, dict) else str(choice)
    return choose_first_sentences(choice, card, shots, Streams(seed), kind)


def texts(sentences):
    return [s.text for s in sentences.sentences]


def test_few_shots_give_each_text1_once_whatever_its_length(pair_card, pair_shots):
    found = choose("few-shots", pair_card, [*pair_shots, pair_shots[0]])
    assert [(s.text, s.source) for s in found.sentences] == [
        ("a man runs in the park", "shots:0"),
        ("the dog sleeps", "shots:1"),
        ("two children play", "shots:2"),
        ("a cat eats", "shots:3"),
    ]


def test_card_without_a_corpus_takes_the_few_shots(pair_card, pair_shots):
    assert texts(choose("card", pair_card, pair_shots)) == [row.text1 for row in pair_shots]


def test_card_names_the_corpus():
    found = choose("card", load_card("sick"))
    assert found.at(0).source.startswith("captions:")


@pytest.mark.parametrize("name", CORPORA)
def test_packaged_corpora_hold_thousands_of_usable_sentences(name, pair_card):
    found = choose(name, pair_card.model_copy(update={"first_sentence_words": (6, 40)}))
    assert len(found.sentences) > 15_000
    number = int(found.sentences[-1].source.removeprefix(f"{name}:"))
    assert len(found.sentences) <= number <= 30_000


def test_single_sentence_cards_start_from_nothing(single_card):
    for choice in ("card", "captions", "generator"):
        found = choose(choice, single_card)
        assert found.generated
        assert (found.at(7).text, found.at(7).source) == ("", "generator")


LINES = (
    "one two three\n\n  four five  \nsix\n1 2 3\nbad\x07 line here\nONE, two three!\na b c d e\n"
)


def test_text_file_is_filtered_and_its_lines_are_named(tmp_path, pair_card):
    file = tmp_path / "mine.txt"
    file.write_text(LINES, "utf-8")
    card = pair_card.model_copy(update={"first_sentence_words": (2, 4)})
    found = choose(file, card)
    assert [(s.text, s.source) for s in found.sentences] == [
        ("one two three", "file:mine.txt:1"),
        ("four five", "file:mine.txt:3"),
    ]


def test_packed_text_file_reads_as_the_plain_one(tmp_path, pair_card):
    plain, packed = tmp_path / "a.txt", tmp_path / "a.txt.xz"
    plain.write_text(LINES, "utf-8")
    packed.write_bytes(lzma.compress(LINES.encode()))
    assert texts(choose(plain, pair_card)) == texts(choose(packed, pair_card))


def test_order_is_random_by_seed_and_without_replacement(tmp_path, pair_card):
    file = tmp_path / "f.txt"
    file.write_text("".join(f"line {chr(97 + i)}\n" for i in range(20)), "utf-8")
    draws = {
        seed: [choose(file, pair_card, seed=seed).at(i).text for i in range(20)] for seed in (1, 2)
    }
    assert draws[1] != draws[2]
    assert sorted(draws[1]) == sorted(draws[2]) == [f"line {chr(97 + i)}" for i in range(20)]
    again = choose(file, pair_card, seed=1)
    assert [again.at(i).text for i in range(20)] == draws[1]


def test_a_used_up_file_comes_again_in_another_order_with_a_warning(tmp_path, pair_card, capsys):
    file = tmp_path / "f.txt"
    file.write_text("".join(f"line {chr(97 + i)}\n" for i in range(10)), "utf-8")
    found = choose(file, pair_card)
    first, second = ([found.at(i + turn).text for i in range(10)] for turn in (0, 10))
    assert Counter(first) == Counter(second)
    assert first != second
    assert capsys.readouterr().err.count("all 10 first sentences are used up") == 1


def test_few_shots_come_again_without_a_warning(pair_card, pair_shots, capsys):
    found = choose("few-shots", pair_card, pair_shots)
    assert {found.at(i).text for i in range(4, 8)} == {row.text1 for row in pair_shots}
    assert capsys.readouterr().err == ""


def test_missing_file_is_named_with_the_other_choices(pair_card):
    with pytest.raises(UserError, match=r"no text file captoins .*captions, questions"):
        choose("captoins", pair_card)


def test_file_without_a_usable_line_says_what_is_asked_for(tmp_path, pair_card):
    file = tmp_path / "short.txt"
    file.write_text("one\ntwo\n", "utf-8")
    card = pair_card.model_copy(update={"first_sentence_words": (3, 9)})
    with pytest.raises(UserError, match="3 to 9 words"):
        choose(file, card)


def test_unreadable_files_are_refused_in_a_sentence(tmp_path, pair_card):
    latin, cut = tmp_path / "latin.txt", tmp_path / "cut.xz"
    latin.write_bytes("café\n".encode("latin-1"))
    cut.write_bytes(lzma.compress(b"some text\n" * 50)[:40])
    with pytest.raises(UserError, match="not UTF-8"):
        choose(latin, pair_card)
    with pytest.raises(UserError, match=r"not a whole \.xz"):
        choose(cut, pair_card)


# --- looking like the task's --------------------------------------------------------------

KINDS = 'Is it late?\nIt is late.\n"Who knows?" \nNobody knows it.\nwas ist das？\n'
ASKING = [Row(f"Is it {i}?", "Yes.", "follows") for i in range(4)]
SAYING = [Row(f"It is {i}.", "Yes.", "follows") for i in range(4)]


@pytest.mark.parametrize(
    ("kind", "shots", "lines"),
    [
        ("any", ASKING, [1, 2, 3, 4, 5]),
        ("question", SAYING, [1, 3, 5]),
        ("statement", ASKING, [2, 4]),
        ("task", ASKING, [1, 3, 5]),
        ("task", SAYING, [2, 4]),
        ("task", ASKING[:2] + SAYING[:2], [1, 2, 3, 4, 5]),
        ("task", ASKING + SAYING[:1], [1, 3, 5]),  # four in five
        ("task", [], [1, 2, 3, 4, 5]),
    ],
)
def test_sentences_are_of_the_kind_of_the_few_shots(tmp_path, pair_card, kind, shots, lines):
    file = tmp_path / "k.txt"
    file.write_text(KINDS, "utf-8")
    found = choose(file, pair_card, shots, kind=kind)
    assert [s.source for s in found.sentences] == [f"file:k.txt:{n}" for n in lines]


def test_without_a_length_in_the_card_the_few_shots_give_one(tmp_path, pair_card):
    """Texts of 4 and 6 words: half of the one to twice the other."""
    shots = [Row("a b c d", "e", "follows"), Row("a b c d e f", "e", "does_not")]
    file = tmp_path / "l.txt"
    file.write_text("".join(" ".join(["word"] * n) + "\n" for n in range(1, 16)), "utf-8")
    found = choose(file, pair_card, shots)
    assert [s.source for s in found.sentences] == [f"file:l.txt:{n}" for n in range(2, 13)]
    given = pair_card.model_copy(update={"first_sentence_words": (3, 5)})
    assert len(choose(file, given, shots).sentences) == 3


# --- columns and mixes ---------------------------------------------------------------------


def test_a_column_of_a_table(tmp_path, pair_card):
    file = tmp_path / "t.csv"
    file.write_text("id,text\n1,one dog\n2,\n3,two dogs\n", "utf-8")
    found = choose(f"{file}#text", pair_card)
    assert [(s.text, s.source) for s in found.sentences] == [
        ("one dog", "file:t.csv#text:1"),
        ("two dogs", "file:t.csv#text:3"),
    ]
    with pytest.raises(UserError, match=r"no column 'txt'; the columns found are 'id', 'text'"):
        choose(f"{file}#txt", pair_card)


def test_a_column_of_a_hub_set(pair_card, monkeypatch):
    asked = []

    def hub(path, config, *, split, revision):
        asked.append((path, config, split))
        return datasets.Dataset.from_dict({"caption": ["a dog runs", "a cat"], "n": [1, 2]})

    monkeypatch.setattr(datasets, "load_dataset", hub)
    found = choose("hub:me/photos/small@validation#caption", pair_card)
    assert asked == [("me/photos", "small", "validation")]
    assert texts(found) == ["a dog runs", "a cat"]
    assert found.sentences[0].source == "hub:me/photos/small@validation#caption:1"
    with pytest.raises(UserError, match="which column"):
        choose("hub:me/photos", pair_card)


def test_a_mix_keeps_its_shares_after_every_attempt(tmp_path, pair_card, pair_shots):
    file = tmp_path / "f.txt"
    file.write_text("".join(f"line {chr(97 + i)}\n" for i in range(26)), "utf-8")
    found = choose({str(file): 6, "few-shots": 3, "generator": 1}, pair_card, pair_shots)
    kinds = [found.at(i).source.partition(":")[0] for i in range(40)]
    for n in range(1, 41):
        told = Counter(kinds[:n])
        for kind, share in (("file", 0.6), ("shots", 0.3), ("generator", 0.1)):
            assert abs(told[kind] - share * n) < 1
    assert Counter(kinds) == {"file": 24, "shots": 12, "generator": 4}
    assert found.generated
    assert not choose({"few-shots": 1, str(file): 1}, pair_card, pair_shots).generated
    assert len({found.at(i).text for i in range(40) if kinds[i] == "file"}) == 24
    assert [found.at(i) for i in (39, 3, 17)] == [found.at(i) for i in (39, 3, 17)]


def test_a_mix_starts_from_the_seed_and_each_part_has_an_order_of_its_own(tmp_path, pair_card):
    for name in "ab":
        text = "".join(f"{name} {chr(97 + i)}\n" for i in range(20))
        (tmp_path / name).write_text(text, "utf-8")
    mix = {str(tmp_path / name): 1 for name in "ab"}
    texts = [choose(mix, pair_card).at(i).text for i in range(40)]
    assert texts == [choose(mix, pair_card).at(i).text for i in range(40)]
    assert texts != [choose(mix, pair_card, seed=14).at(i).text for i in range(40)]
    orders = {name: [text[2:] for text in texts if text[0] == name] for name in "ab"}
    assert sorted(orders["a"]) == sorted(orders["b"])
    assert orders["a"] != orders["b"]


def test_unlabelled_text_is_neither_few_shots_nor_written(tmp_path, pair_card, pair_shots):
    file = tmp_path / "f.txt"
    file.write_text("one dog\n", "utf-8")
    mix = {"few-shots": 1, "generator": 1, str(file): 1}
    assert choose(mix, pair_card, pair_shots).unlabelled() == ["one dog"]
    assert choose("few-shots", pair_card, pair_shots).unlabelled() == []
    assert choose("generator", pair_card, pair_shots).unlabelled() == []


def test_who_writes_first_sentences():
    assert writes_first("generator")
    assert writes_first({"captions": 0.5, "generator": 0.5})
    assert not writes_first("card")
    assert not writes_first({"captions": 1.0})
