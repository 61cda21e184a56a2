from dawgen.synthesis.text import (
    has_broken_characters,
    has_letter,
    normalise,
    pair_key,
    scripts,
    word_count,
    words,
)


def test_normalise_takes_away_case_space_and_punctuation():
    assert normalise("Didn 't he  go ?") == normalise("didn't he go") == "didnthego"
    assert normalise("ﬁne") == "fine"
    assert normalise("...") == ""


def test_pair_key_keeps_the_two_texts_apart():
    assert pair_key("a b", "c") != pair_key("a", "b c")
    assert pair_key("A!", None) == ("a", "")


def test_word_count_goes_by_white_space():
    assert word_count(" a  b-c\td ") == 3


def test_broken_characters():
    assert has_broken_characters("a\x07b")
    assert has_broken_characters("caf\ufffd")
    assert has_broken_characters("\ue000")
    assert not has_broken_characters("café – ça va? 日本")


def test_letters():
    assert has_letter("3 é")
    assert not has_letter("12 + 3 = 15")


def test_scripts():
    assert scripts("a é 5 .") == {"LATIN"}
    assert scripts("pi is π") == {"LATIN", "GREEK"}


def test_vowel_signs_belong_to_their_word():
    boy, girl = "लड़का आया", "लड़की आया"
    assert len(words(boy)) == len(words(girl)) == 2
    assert normalise(boy) != normalise(girl)
    assert words("Café CAFE\u0301!") == ["café", "café"]
    assert words("ที่นี่ ที่นั่น") == ["ที่นี่", "ที่นั่น"]


def test_what_is_invisible_is_no_difference():
    assert normalise("می\u200cروم") == normalise("میروم")
    assert words("good \u2764\ufe0f day") == ["good", "day"]
    assert words("\u0301 a") == ["a"]
