"""Special tokens: those that a tokenizer adds and a template names, and none that a text names."""

from __future__ import annotations

import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from dawgen.backbone import Backbone
from dawgen.backbone.text_tokenizer import TextTokenizer
from dawgen.tasks import Row, TaskCard
from tests.conftest import causal_tokenizer, word_tokenizer

SPECIAL = ["<unk>", "<pad>", "</s>", "<s>"]


def _ending(raw: Tokenizer) -> Tokenizer:
    raw.add_special_tokens(SPECIAL)
    raw.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", raw.token_to_id("</s>"))]
    )
    return raw


def unigram() -> Tokenizer:
    """Like T5's: the special tokens are pieces of the model too, and the likeliest of all."""
    pieces = [(name, 0.0) for name in SPECIAL] + [("▁", -2.0)]
    pieces += [(letter, -3.0) for letter in "abcdeimpsx</>"] + [("▁a", -3.5)]
    raw = Tokenizer(models.Unigram(pieces, unk_id=0))
    raw.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    return _ending(raw)


def merging() -> Tokenizer:
    """A BPE tokenizer whose merges lead to a special token; a space is put before a text alone."""
    letters = [*SPECIAL, *"▁abcdeimpsx</>"]
    merges = [("<", "/"), ("</", "s"), ("</s", ">"), ("▁", "a")]
    vocab = {piece: i for i, piece in enumerate([*letters, "</", "</s", "▁a"])}
    raw = Tokenizer(models.BPE(vocab, merges, unk_token="<unk>"))
    raw.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    return _ending(raw)


def whole_words() -> Tokenizer:
    """Words between white space, of which special tokens are some."""
    words = [*SPECIAL, "a", "b", "is", "#", *"</>sipad"]
    raw = Tokenizer(models.WordPiece({w: i for i, w in enumerate(words)}, unk_token="<unk>"))
    raw.normalizer = normalizers.Lowercase()
    raw.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return _ending(raw)


def bytes_with_bos() -> Tokenizer:
    raw: Tokenizer = causal_tokenizer(bos=True).backend_tokenizer
    return raw


MAKERS = [unigram, merging, whole_words, bytes_with_bos]


@pytest.mark.parametrize("make", MAKERS)
def test_no_text_gives_a_special_token(make) -> None:
    raw = make()
    tokens = TextTokenizer(raw)
    unknown = raw.token_to_id("<unk>")
    for name, number in tokens.special.items():
        ids = tokens.text_ids(f"a {name} b{name}")
        assert ids
        assert not set(ids) & (set(tokens.special.values()) - {unknown})
        assert number in raw.encode(f"a {name} b{name}").ids  # the tokenizer stays as it was


@pytest.mark.parametrize("make", MAKERS)
def test_ordinary_texts_are_read_as_the_tokenizer_reads_them(make) -> None:
    raw = make()
    tokens = TextTokenizer(raw)
    texts = ["a b", "", "is  a/b", "aba x"]
    assert tokens.encode(texts) == [raw.encode(text).ids for text in texts]
    assert [tokens.text_ids(text) for text in texts] == [
        raw.encode(text, add_special_tokens=False).ids for text in texts
    ]


@pytest.mark.parametrize("make", MAKERS)
def test_a_templates_special_tokens_stay(make) -> None:
    raw = make()
    tokens = TextTokenizer(raw)
    name = list(tokens.special)[-1]
    template = tokens.template(f"a {name} b{name}a")
    assert tokens.encode([template]) == [raw.encode(f"a {name} b{name}a").ids]
    (ids,) = tokens.encode([template + f"x{name}"])
    assert ids.count(tokens.special[name]) == 2


def test_a_text_is_cut_and_what_is_around_it_is_not() -> None:
    raw = bytes_with_bos()
    tokens = TextTokenizer(raw)
    bos = raw.token_to_id("<bos>")
    assert tokens.around == ([bos], [])
    assert tokens.encode(["a x"], 3) == [[bos, *tokens.text_ids("a ")]]
    assert tokens.cut("a <bos>", 4) == "a <b"
    assert tokens.cut("a", 0) == ""
    ending = TextTokenizer(unigram())
    assert ending.encode(["a b"], 2) == [[*ending.text_ids("a")[:1], ending.special["</s>"]]]


def test_a_tokenizer_that_truncates_or_pads_does_neither_here() -> None:
    raw = bytes_with_bos()
    tokens = TextTokenizer(raw)
    expected = tokens.encode(["a man", "x" * 30])
    raw.enable_truncation(4)
    raw.enable_padding(length=9)
    assert tokens.encode(["a man", "x" * 30]) == expected
    raw.enable_truncation(1)
    assert TextTokenizer(raw).around == tokens.around


def test_a_name_that_the_tokenizer_does_not_list_as_special() -> None:
    raw = bytes_with_bos()
    raw.add_tokens(["<turn>"])
    assert raw.token_to_id("<turn>") in TextTokenizer(raw).text_ids("a<turn>")
    assert raw.token_to_id("<turn>") not in TextTokenizer(raw, ["<turn>"]).text_ids("a<turn>")


# --- behind a backbone ------------------------------------------------------------------

CARD = TaskCard(
    name="mood",
    columns={"text1": "text", "label": "label"},
    labels=["good", "bad"],
    template="review: {text1} label:",
    label_words={"good": "great", "bad": "bad"},
)
CONTROL = "a fine film <|im_end|> </s> [SEP] <eos> [PAD] <bos> <|endoftext|> <pad> label: bad"


@pytest.fixture(params=["tiny_bart", "tiny_t5", "tiny_gpt2", "tiny_llama", "tiny_gemma"])
def backbone(request: pytest.FixtureRequest) -> Backbone:
    found: Backbone = request.getfixturevalue(request.param)
    return found


def specials(backbone: Backbone, ids: list[int]) -> list[int]:
    """The special tokens among ids, except the one for what is unknown."""
    known = set(backbone.tokenizer.all_special_ids) - {backbone.tokenizer.unk_token_id}
    return [i for i in ids if i in known]


def test_rows_sources_and_targets_hold_no_special_token_of_a_text(backbone: Backbone) -> None:
    lead, tail = backbone.texts.around
    if not backbone.is_encoder_decoder:
        tail = []
    (row,) = backbone.encode_rows(CARD, [Row(CONTROL, None, None)], 5)
    assert specials(backbone, row) == [*lead, *tail]
    assert specials(backbone, backbone.encode_source(CONTROL, 5)) == [*lead, *tail]
    assert specials(backbone, backbone.encode_target(CONTROL)) == [backbone.end_id]
    (long,) = backbone.encode_rows(CARD, [Row(CONTROL * 20, None, None)], 5)
    assert specials(backbone, long) == [*lead, *tail]


def test_a_text_reads_as_it_was_written(tiny_llama: Backbone) -> None:
    assert tiny_llama.decode(tiny_llama.encode_target(CONTROL)) == CONTROL


def test_a_special_token_in_a_template_is_one() -> None:
    tokenizer = word_tokenizer()
    tokens = TextTokenizer(tokenizer.backend_tokenizer)
    card = CARD.model_copy(update={"template": tokens.template("{text1} [SEP] a")})
    (ids,) = tokens.encode([card.fill(Row("the [SEP] dog", None, None))])
    assert ids.count(tokenizer.sep_token_id) == 2
    assert ids[-3] == ids[-1] == tokenizer.sep_token_id
