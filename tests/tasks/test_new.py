"""Cards written from data files: they load, and every guess is said."""

from __future__ import annotations

import json
from pathlib import Path

import datasets
import pytest

from dawgen.errors import UserError
from dawgen.synthesis.shards import label_name
from dawgen.tasks import Row, TaskCard, load_card, load_rows, new_card, parse_card

PAIR = [("A man sleeps.", "A man rests."), ("A dog runs.", "A cat runs."), ("It is hot.", "Ice.")]


def make(tmp_path: Path, header: str, *lines: str, name: str = "My Data.csv") -> Path:
    path = tmp_path / name
    path.write_text("\n".join([header, *lines]) + "\n")
    return path


def card_of(path: Path) -> tuple[TaskCard, str]:
    made = new_card(str(path))
    card = parse_card(made.text, where="new")
    assert load_rows(card, path), "a new card reads the file it was made from"
    return card, "\n".join(made.guesses)


@pytest.mark.parametrize(
    ("first", "second", "label"),
    [
        ("sentence1", "sentence2", "label"),
        ("question1", "question2", "is_duplicate"),
        ("premise", "hypothesis", "gold_label"),
        ("sentence_A", "sentence_B", "entailment_judgment"),
        ("text1", "text2", "label"),
        ("Question", "Sentence", "Label"),
    ],
)
def test_pair_columns_by_their_names(tmp_path: Path, first: str, second: str, label: str) -> None:
    lines = [f"{i},{a},{b},{'yes' if i else 'no'}" for i, (a, b) in enumerate(PAIR)]
    card, guesses = card_of(make(tmp_path, f"id,{first},{second},{label}", *lines))
    assert card.columns == {"text1": first, "text2": second, "label": label}
    assert card.name == "my-data"
    assert card.labels == ["no", "yes"]
    assert card.label_words == {"no": "no", "yes": "yes"}
    assert f"columns '{first}' and '{second}', by their names" in guesses
    assert f"label: column '{label}', by its name" in guesses


def test_templates_speak_the_files_words(tmp_path: Path) -> None:
    lines = [f"{a},{b},{label}" for (a, b), label in zip(PAIR, "xyx", strict=True)]
    card, _ = card_of(make(tmp_path, "premise,hypothesis,label", *lines))
    assert card.template == "premise: {text1} hypothesis: {text2} answer:"
    card, _ = card_of(make(tmp_path, "question1,question2,label", *lines))
    assert card.template == "question 1: {text1} question 2: {text2} answer:"
    lines = ["fine film,pos", "poor film,neg"]
    card, _ = card_of(make(tmp_path, "review_{x},label", *lines))
    assert card.template == "review x: {text1} label:"
    assert load_rows(card, tmp_path / "My Data.csv")[0] == Row("fine film", None, "pos")


def test_known_labels_get_their_usual_words(tmp_path: Path) -> None:
    labels = ["entailment", "neutral", "contradiction"]
    lines = [f"{a},{b},{label}" for (a, b), label in zip(PAIR, labels, strict=True)]
    card, guesses = card_of(make(tmp_path, "premise,hypothesis,label", *lines))
    assert card.label_words == {"entailment": "yes", "neutral": "maybe", "contradiction": "no"}
    assert "entailment → yes" in guesses
    card, _ = card_of(make(tmp_path, "text,label", "a,equivalent", "b,not_equivalent"))
    assert card.label_words == {"equivalent": "yes", "not_equivalent": "no"}


def test_single_words_stand_for_themselves_and_others_are_flagged(tmp_path: Path) -> None:
    card, guesses = card_of(make(tmp_path, "text,topic", "a,Sports", "b,World", "c,World"))
    assert card.label_words == {"Sports": "sports", "World": "world"}
    assert "the labels themselves" in guesses
    assert "Sports (1), World (2)" in guesses
    card, guesses = card_of(make(tmp_path, "text,topic", "a,Sci/Tech", "b,World news"))
    assert card.label_words == {"Sci/Tech": "sci", "World news": "world"}
    assert "CHECK THESE" in guesses
    card, guesses = card_of(make(tmp_path, "text,topic", "a,card lost", "b,card stolen"))
    assert card.label_words == {"card lost": "card lost", "card stolen": "card stolen"}
    assert "none may begin another" in guesses


def test_integer_labels(tmp_path: Path) -> None:
    card, guesses = card_of(make(tmp_path, "text,label", "a,1", "b,0"))
    assert card.labels == ["0", "1"]
    assert card.label_words == {"0": "no", "1": "yes"}
    assert "CHECK THESE: numbers do not say what they mean" in guesses
    card, _ = card_of(make(tmp_path, "text,label", "a,10", "b,2", "c,3"))
    assert card.labels == ["2", "3", "10"]
    assert card.label_words == {"2": "two", "3": "three", "10": "ten"}


def test_class_names_in_the_file_are_the_labels(tmp_path: Path) -> None:
    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["ham", "spam"])}
    )
    data = datasets.Dataset.from_dict({"text": ["a b", "c d"], "label": [1, 0]}, features=features)
    data.to_parquet(str(tmp_path / "mail.parquet"))
    card, _ = card_of(tmp_path / "mail.parquet")
    assert card.labels == ["ham", "spam"]
    assert [row.label for row in load_rows(card, tmp_path / "mail.parquet")] == ["spam", "ham"]


def test_columns_told_by_what_they_hold(tmp_path: Path) -> None:
    lines = [f"{i},what a day it is {i},{'up' if i % 2 else 'down'}" for i in range(8)]
    card, guesses = card_of(make(tmp_path, "nr,remark,mood", *lines))
    assert card.columns == {"text1": "remark", "label": "mood"}
    assert "the only one that holds text" in guesses
    assert "the only one with few different values" in guesses


def test_the_name_is_the_files_or_its_folders(tmp_path: Path) -> None:
    folder = tmp_path / "Bank Mail"
    folder.mkdir()
    assert (
        card_of(make(folder, "text,label", "a,x", "b,y", name="v2_mail.csv"))[0].name == "v2-mail"
    )
    assert (
        card_of(make(folder, "text,label", "a,x", "b,y", name="train.csv"))[0].name == "bank-mail"
    )
    (folder / "16-13").mkdir()
    shots = make(folder / "16-13", "text,label", "a,x", "b,y", name="train.csv")
    assert card_of(shots)[0].name == "bank-mail"


def test_quotes_and_colons_survive_the_yaml(tmp_path: Path) -> None:
    path = make(tmp_path, '"text: ""x"" #1",label', "a b,yes: no", "c d,# off")
    card, _ = card_of(path)
    assert card.columns["text1"] == 'text: "x" #1'
    assert card.labels == ["# off", "yes: no"]


@pytest.mark.parametrize(
    ("header", "lines", "words"),
    [
        ("text,kind", ["a,x", "b,y"], "unclear which column is the label"),
        ("word,label", ["a,x", "b,y"], "unclear which column is the text"),
        ("text,label", ["a,x", "b,x"], "holds one label only, 'x'"),
        ("text,label", ["a,x", "b,"], "row 2: the label column 'label' is empty"),
        ("text,label", [f"t,{i}" for i in range(21)], "21 different values in 21 rows, too many"),
    ],
)
def test_what_cannot_be_guessed_is_said(
    tmp_path: Path, header: str, lines: list[str], words: str
) -> None:
    with pytest.raises(UserError) as caught:
        new_card(str(make(tmp_path, header, *lines)))
    assert words in str(caught.value)
    if "unclear" in words:
        assert "its columns are" in str(caught.value)


def write_jsonl(path: Path, labels: list[object]) -> Path:
    rows = [{"text": f"some words {i}", "label": label} for i, label in enumerate(labels)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_a_mark_of_no_label_makes_no_class(tmp_path: Path) -> None:
    """SNLI's "-", and -1 or nothing in a column that names its class ids; other rows say what."""
    snli = write_jsonl(tmp_path / "snli.jsonl", ["yes", "no", "-", "yes", " - "])
    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["no", "yes"])}
    )
    rows = {"text": [f"some words {i}" for i in range(5)], "label": [1, 0, -1, 1, None]}
    named = tmp_path / "named.parquet"
    datasets.Dataset.from_dict(rows, features=features).to_parquet(str(named))
    for path in (snli, named):
        card, guesses = card_of(path)
        assert card.labels == ["no", "yes"]
        assert "rows without a label: 2, skipped" in guesses
        assert [row.label for row in load_rows(card, path)] == ["yes", "no", "yes"]
        assert len(load_rows(card, path, labelled=False)) == 5
    sentiment = write_jsonl(tmp_path / "x.jsonl", [-1, 0, 1, -1, 0, 1])
    assert card_of(sentiment)[0].labels == ["-1", "0", "1"]
    with pytest.raises(UserError, match="column 'label' has no label in any row"):
        new_card(str(write_jsonl(tmp_path / "none.jsonl", ["-", "-"])))


@pytest.mark.parametrize("label", [["neg"], {"a": 1}])
def test_a_label_that_is_several_values_is_refused(tmp_path: Path, label: object) -> None:
    path = write_jsonl(tmp_path / "x.jsonl", ["pos", label, "pos", "neg"])
    hint = "; if .* labels_per_text: many .*" if isinstance(label, list) else ""
    what = rf"row 2: column 'label' holds a {type(label).__name__}, not a label{hint}\.$"
    with pytest.raises(UserError, match=what):
        new_card(str(path))
    card = parse_card(
        "columns: {text1: text, label: label}\nlabels: [pos, neg]\ntemplate: '{text1}'\n"
        "label_words: {pos: good, neg: bad}\n",
        "here",
        "moods",
    )
    with pytest.raises(UserError, match=what):
        load_rows(card, path)
    assert [r.label for r in load_rows(card, path, labelled=False)] == ["pos", None, "pos", "neg"]


def test_labels_of_thousands_of_digits_are_labels_as_others(tmp_path: Path) -> None:
    """Python makes no number of them."""
    big = "9" * 5000
    with pytest.raises(UserError, match=r"holds '9{80}\.\.\.', which is too long to be a label"):
        new_card(str(make(tmp_path, "text,label", f"some words,{big}", "more words,1")))
    path = make(tmp_path, "text,label", "some words,0", f"more words,{big}")
    card = load_card("sst2").model_copy(update={"columns": {"text1": "text", "label": "label"}})
    with pytest.raises(UserError, match=r"row 2: unknown label '9{80}\.\.\.'; the labels"):
        load_rows(card, path)
    assert label_name(big, card) == big


def test_characters_that_yaml_breaks_lines_at_or_refuses_come_back(tmp_path: Path) -> None:
    odd = ["a\x85b", "c\u2028d", "e\x7ff", "g\ufeffh", "\U000e0001i", 'j\\k"l']
    path = tmp_path / "new\x85 \u2028line.jsonl"
    card, _ = card_of(write_jsonl(path, [*odd]))
    assert set(card.labels) == set(odd)
    assert card.label_words == {label: card.label_words[label] for label in card.labels}


# --- many labels, other columns, what the card says ----------------------------------------------


def test_many_labels_that_share_words(tmp_path: Path) -> None:
    """As Banking77 has 77: their words share beginnings, and none begins another's."""
    kinds = ["arrival", "delivery", "payment", "payment fee", "swallowed", *"abcdefghijklmnopqrst"]
    lines = [f"what about it {i},card {kind}" for kind in kinds for i in range(2)]
    card, guesses = card_of(make(tmp_path, "text,intent", *lines))
    assert len(card.labels) == 25
    assert card.label_words["card arrival"] == "card arrival"
    assert card.label_words["card payment"] == "general card payment"
    assert card.label_words["card payment fee"] == "card payment fee"
    assert "CHECK THESE" in guesses
    assert "and 13 more" in guesses
    assert card.instruction == "Which intent of 25 does the text have?"
    assert card.label_prompts["card swallowed"] == "A text about card swallowed. Text:"
    assert card.template == "text: {text1} intent:"


DATES = ["2024-01-05", "05.01.2024 10:30", "Jan 5, 2024", "5 January 2024", "Mon, 5 Jan 2024 10:30"]


def test_dates_ids_and_constants_are_no_texts_and_are_named(tmp_path: Path) -> None:
    lines = [
        f'{i},"{DATES[i % 5]}",RX-{i} ,from the web,{i}.50 +1,"it is day {i}",{"ab"[i % 2]}'
        for i in range(10)
    ]
    path = make(tmp_path, "title,comment,message,body,review,remark,label", *lines)
    card, guesses = card_of(path)
    assert card.columns["text1"] == "remark"
    assert "left out: column 'title', numbers" in guesses
    assert "left out: column 'comment', dates" in guesses
    assert "left out: column 'message', ids or codes" in guesses
    assert "left out: column 'body', the same in every row, 'from the web'" in guesses
    assert "left out: column 'review', numbers" in guesses


def test_columns_can_be_named(tmp_path: Path) -> None:
    lines = [f"{i} first text,{i} second text,{'xy'[i % 2]},{'uv'[i % 2]}" for i in range(6)]
    path = str(make(tmp_path, "text,other,label,mood", *lines))
    made = new_card(path, text="other", text2="text", label="mood")
    card = parse_card(made.text, where="new")
    assert card.columns == {"text1": "other", "text2": "text", "label": "mood"}
    assert "label: column 'mood', as named" in made.guesses
    assert "left out: column 'label', not needed" in made.guesses
    for wrong, words in (
        ({"text": "othr"}, "no column 'othr' (--text); did you mean 'other'?"),
        ({"text2": "other"}, "--text2 needs --text"),
        ({"text": "mood", "label": "mood"}, "the same column twice"),
    ):
        with pytest.raises(UserError) as caught:
            new_card(path, **wrong)
        assert words in str(caught.value)


def test_an_unclear_text_names_the_candidates(tmp_path: Path) -> None:
    lines = [f"a one {i},b two {i},c three {i},{'xy'[i % 2]}" for i in range(6)]
    with pytest.raises(UserError, match=r"may be 'p', 'q', 'r'.*--text"):
        new_card(str(make(tmp_path, "p,q,r,label", *lines)))


def test_a_missing_heading_is_noticed(tmp_path: Path) -> None:
    lines = ["I hated it,neg", "I like it too,pos", "never again,neg"]
    with pytest.raises(UserError, match="seems to have no heading: 'pos'"):
        new_card(str(make(tmp_path, "I liked it,pos", *lines)))


def test_a_card_has_what_a_built_in_one_has(tmp_path: Path) -> None:
    labels = ["entailment", "neutral", "contradiction"]
    lines = [f"{a},{b},{label}" for (a, b), label in zip(PAIR, labels, strict=True)]
    card, _ = card_of(path := make(tmp_path, "premise,hypothesis,label", *lines))
    assert card.causal_template == "Premise: {text1}\nHypothesis: {text2}\nAnswer:"
    assert card.label_prompts == load_card("sick").label_prompts
    assert card.copies == ["entailment"]
    assert card.instruction == "Which of these fits the two texts: no, yes, maybe?"
    text = new_card(str(path)).text
    assert "# What the generator starts from" in text
    card, _ = card_of(make(tmp_path, "review,sentiment", "a,positive", "b,negative"))
    assert card.causal_template == "Review: {text1}\nSentiment:"
    assert card.instruction == "Which of these is the sentiment of the review: terrible, great?"
    prompts = card.label_prompts
    assert prompts["positive"] == "A review with the sentiment positive: great. Review:"


def test_rows_per_label_against_what_a_run_wants(tmp_path: Path) -> None:
    def said(few: int, all_rows: int) -> str:
        lines = [f"text {i},{'few' if i < few else 'many'}" for i in range(all_rows)]
        _, guesses = card_of(make(tmp_path, "text,label", *lines))
        return next(line for line in guesses.splitlines() if line.startswith("rows per label"))

    assert said(9, 60).startswith("rows per label: 9 to 51; a run takes up to 32, half of them")
    assert said(9, 60).endswith("Fewer, so more would help: few (9)")
    assert said(3, 60).endswith("ADD ROWS, a run needs 4 at least: few (3)")
    assert said(16, 32).endswith("Fewer, so more would help: all labels")
    assert said(32, 64).endswith("half to choose by")
