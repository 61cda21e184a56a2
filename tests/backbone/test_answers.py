"""Template and label word are one text: encoded together, with room for the longest word."""

from __future__ import annotations

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from dawgen.backbone import Backbone, load_backbone
from dawgen.backbone.text import BackboneText
from dawgen.errors import UserError
from dawgen.evaluation import predict
from dawgen.settings import BackboneSettings
from dawgen.tasks import Row, TaskCard
from tests.backbone.test_kinds import LLAMA, write_model

ROWS = [
    Row("a man sleeps!", None, None),
    Row("2 dogs, \u00bfno?", None, None),
    Row("a", None, None),
]
ENDS = {
    "label:": " ",
    "label: ": " ",
    "label:   ": " ",
    "": " ",
    "label:\n": "",
    "label:\n\n": "",
    "\n": "",
    "label:\n ": "",
    "label:\t": "",
}
"""What stands between a template's end, without its blanks, and the label word."""
WORDS = {
    "words": ("yes", "maybe", "no"),
    "digits": ("1", "2", "3"),
    "parts": ("card_arrival", "card_linking", "maybe"),
    "all of one beginning": ("card_arrival", "card_linking", "card_lost"),
    "characters": ("\u597d", "\u574f", "\u4e00\u822c"),
    "emoji": ("\U0001f600", "\U0001f621", "\U0001f610"),
}


def card_of(words: tuple[str, ...], end: str = "label:") -> TaskCard:
    labels = [f"label {n}" for n in range(len(words))]
    return TaskCard(
        name="toy",
        columns={"text1": "a", "label": "y"},
        labels=labels,
        template=f"text: {{text1}} {end}" if end.strip() else f"text: {{text1}}{end}",
        label_words=dict(zip(labels, words, strict=True)),
    )


def line_tokenizer() -> PreTrainedTokenizerFast:
    """As GPT-2's, but two line breaks are one token at a text's end and two before a word."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    pieces = [*alphabet, "ĊĊ", "Ġy", "Ġye", "Ġyes", "ye", "yes"]
    merges = [("Ċ", "Ċ"), ("Ġ", "y"), ("Ġy", "e"), ("Ġye", "s"), ("y", "e"), ("ye", "s")]
    raw = Tokenizer(models.BPE({"</s>": 0} | {p: i for i, p in enumerate(pieces, 1)}, merges))
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=raw, eos_token="</s>")


@pytest.fixture(scope="module")
def closing(tmp_path_factory: pytest.TempPathFactory) -> BackboneText:
    """A causal model whose tokenizer, of words, puts an end mark behind every text."""
    folder = tmp_path_factory.mktemp("llama")
    write_model(folder, "Llama", LLAMA)
    return load_backbone(BackboneSettings(path=str(folder)))


@pytest.fixture(params=["bytes", "lines", "closing"])
def causal(request: pytest.FixtureRequest, tiny_gpt2: Backbone) -> BackboneText:
    if request.param == "closing":
        found: BackboneText = request.getfixturevalue("closing")
        return found
    tokenizer = tiny_gpt2.tokenizer if request.param == "bytes" else line_tokenizer()
    return BackboneText(tiny_gpt2.config, tokenizer, name="toy", max_length=256)


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("kind", WORDS)
def test_row_and_word_are_the_ids_of_one_text(causal: BackboneText, kind: str, end: str) -> None:
    if causal.tokenizer.unk_token and kind in ("emoji", "characters"):
        pytest.skip("a tokenizer of a few words knows none of these")
    card = card_of(WORDS[kind], end)
    words = causal.label_word_ids(card)
    for row, ids in zip(ROWS, causal.encode_rows(card, ROWS, 5), strict=True):
        for word, tokens in zip(WORDS[kind], words, strict=True):
            text = f"{card.fill(row).rstrip(' ')}{ENDS[end]}{word}"
            whole = causal.tokenizer(text)["input_ids"]
            assert [*ids, *tokens] == whole[: -1 if whole[-1] == causal.end_id else None]


def test_blanks_at_a_templates_end_change_nothing(causal: BackboneText) -> None:
    plain, blank = (card_of(WORDS["words"], end) for end in ("label:", "label:  "))
    assert causal.label_word_ids(plain) == causal.label_word_ids(blank)
    assert causal.encode_rows(plain, ROWS, 5) == causal.encode_rows(blank, ROWS, 5)


@pytest.mark.parametrize("name", ["tiny_bart", "tiny_t5", "tiny_gpt2"])
@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("yes", "maybe", "yes yes"), r"'yes' \(label 0\) begins 'yes yes' \(label 2\)"),
        (("no one says", "yes", "no one"), r"'no one' \(label 2\) begins 'no one says'"),
        (("no", "yes no", "yes no"), r"'yes no' \(label 1\) is the same as 'yes no'"),
    ],
)
def test_a_word_that_begins_another_is_refused(
    name: str, words: tuple[str, ...], sentence: str, request: pytest.FixtureRequest
) -> None:
    backbone: Backbone = request.getfixturevalue(name)
    card = card_of(("1", "2", "3", "4")[: len(words)])
    changed = dict(zip(card.labels, words, strict=True))
    with pytest.raises(UserError, match=sentence):
        backbone.label_word_ids(card.model_copy(update={"label_words": changed}))


@pytest.mark.parametrize("name", ["tiny_bart", "tiny_t5", "tiny_gpt2"])
def test_words_that_share_a_beginning_are_taken(name: str, request: pytest.FixtureRequest) -> None:
    backbone: Backbone = request.getfixturevalue(name)
    card = card_of(("no man", "no woman", "no dog"))
    probabilities = predict(backbone, card, None, ROWS)
    assert probabilities.sum(axis=1) == pytest.approx([1.0] * len(ROWS), abs=1e-5)
    assert probabilities.std(axis=1).min() > 1e-3


@pytest.mark.parametrize("name", ["tiny_bart", "tiny_gpt2"])
def test_white_space_around_a_word_is_not_part_of_it(
    name: str, request: pytest.FixtureRequest
) -> None:
    backbone: Backbone = request.getfixturevalue(name)
    plain, spaced = card_of(("yes", "no")), card_of((" yes", "no \n"))
    assert spaced.label_words == plain.label_words
    assert backbone.label_word_ids(plain) == backbone.label_word_ids(spaced)
    with pytest.raises(ValueError, match="the same label word 'yes'"):
        card_of(("yes", " yes"))


def test_a_long_label_word_fits_the_last_positions(tiny_gpt2: Backbone) -> None:
    """GPT-2 has 256 vectors for places here, and a place beyond them is an IndexError."""
    long = "no this does not follow from what was said, without any doubt"
    card, row = card_of((long, "yes")), Row("a man sleeps " * 100, None, None)
    (ids,) = tiny_gpt2.encode_rows(card, [row], 4)
    longest = max(len(word) for word in tiny_gpt2.label_word_ids(card))
    assert longest > 8
    assert tiny_gpt2.max_length - 3 <= len(ids) + 4 + longest <= tiny_gpt2.max_length
    assert predict(tiny_gpt2, card, None, [row]).sum() == pytest.approx(1.0, abs=1e-5)


def test_a_short_label_word_takes_one_place(tiny_gpt2: Backbone) -> None:
    (ids,) = tiny_gpt2.encode_rows(card_of(("yes", "no")), [Row("a" * 999, None, None)], 4)
    assert len(ids) == tiny_gpt2.max_length - 4 - 1


def test_the_tokenizer_of_lines_is_as_it_says() -> None:
    tokenizer = line_tokenizer()
    assert isinstance(tokenizer, PreTrainedTokenizerFast)
    assert len(tokenizer("\n\n")["input_ids"]) == 1
    assert len(tokenizer("\n\nyes")["input_ids"]) == 3
