"""Task cards: every shipped one loads, and every mistake in one is one clear sentence."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from dawgen.errors import UserError
from dawgen.tasks import Row, TaskCard, card_names, list_cards, load_card, parse_card

MOOD = {
    "columns": {"text1": "comment", "label": "mood"},
    "labels": ["happy", "sad"],
    "template": "comment: {text1} mood:",
    "label_words": {"happy": "good", "sad": "bad"},
}


def write(tmp_path: Path, **changes: object) -> Path:
    """A small card of the user's own, changed; an entry changed to None is left out."""
    tree = {key: value for key, value in {**MOOD, **changes}.items() if value is not None}
    path = tmp_path / "mood.yaml"
    path.write_text(yaml.safe_dump(tree, sort_keys=False))
    return path


def error_of(path: Path | str) -> str:
    with pytest.raises(UserError) as caught:
        load_card(path)
    message = str(caught.value)
    assert "\n" not in message
    assert message.endswith((".", "?"))
    return message


def test_shipped_cards_are_the_tasks_of_the_paper_those_of_single_texts_and_the_demo() -> None:
    single = ["agnews", "banking77", "cr", "sst2", "subj", "trec"]
    pairs = ["demo", "mnli", "mrpc", "qnli", "qqp", "rte", "sick", "snli"]
    assert card_names() == sorted(single + pairs)
    assert [card.name for card in list_cards()] == card_names()
    assert [card.name for card in list_cards() if not card.is_pair] == single


@pytest.mark.parametrize("name", card_names())
def test_a_shipped_card_is_complete(name: str) -> None:
    card = load_card(name)
    assert card.description
    assert set(card.label_words) == set(card.label_prompts) == set(card.labels)
    assert (card.hub is None) == (name in ("demo", "banking77"))
    if card.hub:
        assert sorted(card.hub.label_names) == sorted(card.labels)
        assert {"train", "test"} <= set(card.hub.splits)


def test_labels_have_the_order_of_the_card() -> None:
    card = load_card("sick")
    assert [card.label_index(label) for label in ("entailment", "neutral", "contradiction")] == [
        0,
        1,
        2,
    ]


def test_a_card_survives_being_written_and_read_again() -> None:
    for card in list_cards():
        text = yaml.safe_dump(card.model_dump(mode="json"), sort_keys=False)
        assert parse_card(text, where="copy") == card
        assert TaskCard.model_validate_json(card.model_dump_json()) == card


def test_a_users_card_needs_little(tmp_path: Path) -> None:
    card = load_card(write(tmp_path))
    assert card.name == "mood"
    assert not card.is_pair
    assert card.roles == ("text1",)
    assert card.first_sentences is None
    assert card.label_prompts == {
        "happy": "A text with the label happy: good. Text:",
        "sad": "A text with the label sad: bad. Text:",
    }


def test_default_label_prompts_of_a_pair_card_read_as_sentences(tmp_path: Path) -> None:
    card = load_card(
        write(
            tmp_path,
            columns={"text1": "a", "text2": "b", "label": "y"},
            labels=["same", "not_same"],
            label_words={"same": "same", "not_same": "no"},
            template="{text1} = {text2} ?",
        )
    )
    assert card.label_prompts == {
        "same": "Two texts with the label same. Sentence 1:",
        "not_same": "Two texts with the label not same: no. Sentence 1:",
    }


def test_fill_leaves_braces_in_the_texts_alone() -> None:
    card = load_card("sst2")
    assert card.fill(Row("a {text1} {film} b", None, None)) == (
        "review: a {text1} {film} b sentiment:"
    )
    assert (
        load_card("rte").fill(Row("{text2}", "B", None)) == "premise: {text2} hypothesis: B answer:"
    )


def test_unquoted_yes_and_no_are_words(tmp_path: Path) -> None:
    path = tmp_path / "spam.yaml"
    path.write_text(
        "name: spam\n"
        "columns: {text1: text, label: label}\n"
        "labels: [yes, no]\n"
        "template: 'mail: {text1} spam:'\n"
        "label_words:\n  yes: on\n  no: off\n"
    )
    card = load_card(path)
    assert card.labels == ["yes", "no"]
    assert card.label_words == {"yes": "on", "no": "off"}


def test_number_labels_are_names(tmp_path: Path) -> None:
    card = load_card(write(tmp_path, labels=[0, 1], label_words={0: "bad", 1: 5}))
    assert card.labels == ["0", "1"]
    assert card.label_words == {"0": "bad", "1": "5"}


def test_an_unknown_name_is_met_with_the_nearest() -> None:
    assert "no task 'sikc'" in error_of("sikc")
    assert "did you mean 'sick'?" in error_of("sikc")
    assert "demo, mnli, mrpc" in error_of("zzzzzz")


def test_a_missing_file_a_data_file_and_a_binary_file(tmp_path: Path) -> None:
    assert "no card file" in error_of(tmp_path / "none.yaml")
    assert "dawgen tasks new" in error_of(tmp_path / "rows.csv")
    binary = tmp_path / "b.yaml"
    binary.write_bytes(b"name: \xff\xfe")
    assert "UTF-8" in error_of(binary)
    (tmp_path / "folder.yaml").mkdir()
    assert "cannot be read" in error_of(tmp_path / "folder.yaml")


def test_unreadable_yaml_names_the_line(tmp_path: Path) -> None:
    path = tmp_path / "card.yaml"
    path.write_text("name: x\nlabels: [a, b\ntemplate: y\n")
    message = error_of(path)
    assert "line 3" in message
    assert "not readable YAML" in message
    path.write_text("just words\n")
    assert "`name: value` lines" in error_of(path)
    path.write_text("")
    assert "`name: value` lines" in error_of(path)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"template": "comment: mood:"}, "the template lacks the placeholder {text1}"),
        ({"template": "{comment} mood:"}, "placeholder {comment}, but this task fills {text1}"),
        ({"template": "{text1} {} mood:"}, "placeholder {}"),
        ({"template": "{text1} {text2}"}, "add text2 to the columns"),
        ({"template": "{text1} {text1}"}, "placeholder {text1} more than once"),
        (
            {"columns": {"text1": "a", "text2": "b", "label": "y"}},
            "the template lacks the placeholder {text2}",
        ),
        ({"template": None}, "entry 'template' is missing"),
        ({"labels": None}, "entry 'labels' is missing"),
        ({"columns": {"text1": "a"}}, "column for label"),
        ({"columns": {"label": "a"}}, "column for text1"),
        ({"columns": {"text1": "a", "label": "b", "id": "c"}}, "not 'id'"),
        ({"columns": {"text1": "a", "label": "a"}}, "the same column"),
        ({"labels": ["happy"]}, "at least two labels"),
        ({"labels": ["happy", "happy"]}, "listed twice"),
        ({"labels": ["happy", ""]}, "labels is empty"),
        ({"label_words": {"happy": "good"}}, "label_words has no entry for label 'sad'"),
        ({"label_words": {"happy": "g", "sad": "b", "so": "s"}}, "entry for 'so'"),
        ({"label_words": {"happy": "good", "sad": "good"}}, "the same label word 'good'"),
        ({"label_words": {"happy": "good", "sad": " "}}, "label word of 'sad' is empty"),
        ({"label_prompts": {"happy": "Joy:"}}, "label_prompts has no entry for label 'sad'"),
        ({"first_sentences": "poems"}, "first_sentences"),
        ({"first_sentence_words": [9, 3]}, "[fewest, most]"),
        ({"metric": "rouge"}, "metric"),
        ({"labelwords": {}}, "no card entry 'labelwords'; did you mean 'label_words'?"),
        ({"zzz": 1}, "no card entry 'zzz'; a card has name"),
        ({"columns": None, "text1": "a"}, "entry 'text1'; did you mean 'columns.text1'?"),
        ({"text2": "a"}, "no card entry 'text2'; did you mean 'columns.text2'?"),
        ({"columns.text1": "a"}, "write it as columns: {text1: ...}."),
        ({"label": ["a"]}, "no card entry 'label'; did you mean 'labels'?"),
    ],
)
def test_a_wrong_card_is_one_sentence(
    tmp_path: Path, changes: dict[str, object], words: str
) -> None:
    message = error_of(write(tmp_path, **changes))
    assert words in message
    assert "mood.yaml" in message


def test_a_card_may_say_how_its_texts_are_decoded(tmp_path: Path) -> None:
    named = {"temperature": 0.5, "repetition_penalty": {"sad": 1.2}}
    card = load_card(write(tmp_path, decoding=named))
    assert card.decoding.temperature == 0.5
    assert card.decoding.model_fields_set == {"temperature", "repetition_penalty"}
    again = TaskCard.model_validate(card.model_dump(mode="json"))
    assert again.decoding.model_fields_set == card.decoding.model_fields_set
    assert again == card


@pytest.mark.parametrize(
    ("decoding", "words"),
    [
        ({"repetition_penalty": {"glad": 1.2}}, "has 'glad', which is no label of the task"),
        ({"temperatur": 1}, "did you mean 'decoding.temperature'"),
        ({"repetition_penalty": 0.5}, "a number of at least 1, or one for each label"),
        ({"top_p": 0}, "decoding.top_p"),
    ],
)
def test_wrong_decoding_is_told(tmp_path: Path, decoding: object, words: str) -> None:
    assert words in error_of(write(tmp_path, decoding=decoding))


def test_a_causal_model_reads_its_own_template() -> None:
    row = Row("A man {sings}.", "A dog.", None)
    sick = load_card("sick")
    assert sick.fill(row) == "premise: A man {sings}. hypothesis: A dog. answer:"
    assert sick.fill(row, causal=True) == "Premise: A man {sings}.\nHypothesis: A dog.\nAnswer:"
    plain = TaskCard.model_validate({"name": "mood", **MOOD})
    assert plain.template_for(causal=True) == plain.template


def test_a_causal_template_is_checked_too() -> None:
    with pytest.raises(UserError, match=r"the causal_template lacks the placeholder \{text1\}"):
        parse_card(yaml.safe_dump({"name": "m", **MOOD, "causal_template": "mood:"}), "here")


def test_every_card_has_an_instruction() -> None:
    assert all(card.instruction for card in list_cards())
    made = TaskCard.model_validate({"name": "mood", **MOOD}).instruction
    assert made.startswith("Which of these fits the text: ")
    assert TaskCard.model_validate({"name": "m", **MOOD, "instruction": "A?"}).instruction == "A?"
