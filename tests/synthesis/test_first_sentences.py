from __future__ import annotations

import lzma
from collections import Counter

import pytest

from dawgen.errors import UserError
from dawgen.streams import Streams
from dawgen.synthesis.first_sentences import CORPORA, choose_first_sentences
from dawgen.tasks import load_card


def choose(choice, card, shots=(), seed=13):
    return choose_first_sentences(str(choice), card, shots, Streams(seed))


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
    assert len(found) > 15_000
    number = int(found.sentences[-1].source.removeprefix(f"{name}:"))
    assert len(found) <= number <= 30_000


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
