"""What a causal model's generator reads around its texts: a chat template, or the card's words."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from dawgen.backbone import Backbone
from dawgen.backbone.choose_frame import frame_for
from dawgen.backbone.frame import Frame, load_frame, save_frame
from dawgen.decoding.base import allowed_tokens
from dawgen.errors import UserError
from dawgen.tasks import Row, load_card, render_generator
from tests.conftest import CHAT_TEMPLATE, chat_tokenizer, word_tokenizer

PAIRS, SINGLE = load_card("sick"), load_card("sst2")
TEXTS = ("a man is old", "no man is 12")
CAUSAL = ["tiny_gpt2", "tiny_llama", "tiny_gemma", "tiny_qwen"]


def chatting(backbone: Backbone, template: str | None) -> Backbone:
    """The backbone with another chat template."""
    tokenizer = chat_tokenizer(template or "")
    tokenizer.chat_template = template
    if "<bos>" in (template or ""):
        tokenizer.bos_token = "<bos>"
    return Backbone(backbone.model, tokenizer, name="tests/chat", fingerprint="", max_length=256)


def whole(backbone: Backbone, frame: Frame, text1: str, text2: str) -> list[int]:
    source = backbone.encode_source(text1, 4, frame)
    return [*source, *backbone.encode_target(text2, text1, frame)]


@pytest.mark.parametrize("text1", [TEXTS[0], ""])
def test_a_chat_is_what_the_template_makes_of_two_turns(tiny_chat: Backbone, text1: str) -> None:
    frame = frame_for(PAIRS, tiny_chat)
    assert frame is not None
    assert frame.kind == "chat"
    turns = [("user", text1 or PAIRS.request), ("assistant", TEXTS[1])]
    chat = [{"role": role, "content": text} for role, text in turns]
    ids = tiny_chat.tokenizer.apply_chat_template(chat, tokenize=True, return_dict=False)
    system = tiny_chat.tokenizer("<|im_start|>system\nbe good<|im_end|>\n")["input_ids"]
    newline = tiny_chat.text_ids("\n")
    assert ids[: len(system)] == system
    assert [*whole(tiny_chat, frame, text1, TEXTS[1]), *newline] == ids[len(system) :]
    assert tiny_chat.end_of(frame) == tiny_chat.tokenizer.convert_tokens_to_ids("<|im_end|>")
    assert tiny_chat.end_of(frame) != tiny_chat.end_id


@pytest.mark.parametrize("text1", [TEXTS[0], ""])
def test_earlier_turns_are_what_the_template_makes_of_them(tiny_chat: Backbone, text1: str) -> None:
    card = PAIRS.model_copy(update={"description": "a task"})
    frame = frame_for(card, tiny_chat)
    turns = [("a dog runs", "a dog is old"), ("two", "no")] if text1 else [("", "a dog"), ("", "b")]
    said = [*turns, (text1, TEXTS[1])]
    chat = [
        {"role": role, "content": text or card.request}
        for turn in said
        for role, text in zip(("user", "assistant"), turn, strict=True)
    ]
    ids = tiny_chat.tokenizer.apply_chat_template(chat, tokenize=True, return_dict=False)
    system = tiny_chat.tokenizer("<|im_start|>system\nbe good<|im_end|>\n")["input_ids"]
    target = tiny_chat.encode_target(TEXTS[1], text1, frame)
    source = tiny_chat.encode_source(text1, 4, frame, turns)
    assert [*source, *target, *tiny_chat.text_ids("\n")] == ids[len(system) :]


def test_turns_without_room_are_left_out_the_first_ones_before_the_last(
    tiny_chat: Backbone,
) -> None:
    frame = frame_for(SINGLE, tiny_chat)
    alone = tiny_chat.encode_source("", 4, frame)
    one = tiny_chat.encode_source("", 4, frame, [("", "a dog")])
    assert len(one) > len(alone)
    long = ("", "a dog runs " * tiny_chat.max_length)
    assert tiny_chat.encode_source("", 4, frame, [long]) == alone
    assert tiny_chat.encode_source("", 4, frame, [long, ("", "a dog")]) == one


@pytest.mark.parametrize("name", CAUSAL)
def test_turns_of_a_plain_frame_are_lines_of_a_running_text(
    name: str, request: pytest.FixtureRequest
) -> None:
    backbone: Backbone = request.getfixturevalue(name)
    tokens = backbone.tokenizer
    ids = backbone.encode_source("", 4, frame_for(SINGLE, backbone), [("", "a dog\nruns")])
    assert ids == tokens("Review: a dog runs\nReview:")["input_ids"]
    ids = backbone.encode_source("a man", 4, frame_for(PAIRS, backbone), [TEXTS])
    premise = f"Premise: {TEXTS[0]}\nHypothesis: {TEXTS[1]}\nPremise: a man\nHypothesis:"
    assert ids == tokens(premise)["input_ids"]


def test_turns_end_with_the_models_mark_where_no_token_is_a_line_break(
    tiny_gpt2: Backbone,
) -> None:
    tokenizer = word_tokenizer()
    backbone = Backbone(tiny_gpt2.model, tokenizer, name="words", fingerprint="")
    frame = frame_for(SINGLE, backbone)
    assert frame == Frame("plain", "Review: ", "\n", again="\nReview: ")
    ids = backbone.encode_source("", 4, frame, [("", "a man")])
    lead, *review, _ = tokenizer("Review:")["input_ids"]
    text = tokenizer("a man", add_special_tokens=False)["input_ids"]
    assert ids == [lead, *review, *text, backbone.end_id, *review]


@pytest.mark.parametrize("name", CAUSAL)
def test_the_line_break_that_ends_a_text_is_the_only_one_written(
    name: str, request: pytest.FixtureRequest
) -> None:
    backbone: Backbone = request.getfixturevalue(name)
    frame = frame_for(PAIRS, backbone)
    allowed = allowed_tokens(backbone, frame).nonzero().flatten().tolist()
    written = [i for i in allowed if "\n" in backbone.texts.raw.decode([i])]
    assert written == [backbone.end_of(frame)]
    assert allowed_tokens(backbone, Frame(end="")).sum() >= len(allowed)


def test_special_names_in_texts_and_requests_stay_text(tiny_chat: Backbone) -> None:
    names = "<|im_end|> {text1} <|im_start|>"
    card = PAIRS.model_copy(update={"description": names})
    frame = frame_for(card, tiny_chat)
    assert frame is not None
    control = set(tiny_chat.tokenizer.all_special_ids)
    for text1 in (names, ""):
        ids = whole(tiny_chat, frame, text1, names)
        assert sum(i in control for i in ids) == 4  # start, end, start, end
        assert tiny_chat.decode(ids).count(names) == 2


def test_a_request_is_made_from_the_card_and_favours_no_label() -> None:
    assert SINGLE.description in SINGLE.request
    bare = SINGLE.model_copy(update={"description": ""})
    assert SINGLE.instruction in bare.request
    assert PAIRS.request != SINGLE.request


TEMPLATES = {
    "begins with <bos>": (
        "<bos>{% for m in messages %}<|im_start|>{{ m.content }}<|im_end|>\n{% endfor %}",
        Frame(
            "chat",
            "<bos><|im_start|>",
            "<|im_end|>\n<|im_start|>",
            end="<|im_end|>",
            again="\n<|im_start|>",
        ),
    ),
    "blanks around texts": (
        "{% for m in messages %}{% if m.role == 'user' %}[ASK] {{ m.content }} [/ASK]"
        "{% else %} {{ m.content }} <|im_end|>{% endif %}{% endfor %}",
        Frame("chat", "[ASK] ", " [/ASK] ", end="<|im_end|>", again="[ASK] "),
    ),
    "a single exchange": (
        "{% if messages|length > 2 %}{{ raise_exception('too long') }}{% endif %}"
        "{% for m in messages %}<|im_start|>{{ m.content }}<|endoftext|>{% endfor %}",
        Frame("chat", "<|im_start|>", "<|endoftext|><|im_start|>", "", "<|endoftext|>"),
    ),
    "a thought before the last answer only": (
        "{% for m in messages %}{{ m.role }}: {% if loop.last and m.role == 'assistant' %}<think>"
        "</think>\n{% endif %}{{ m.content }}<|im_end|>\n{% endfor %}",
        Frame(
            "chat",
            "user: ",
            "<|im_end|>\nassistant: <think></think>\n",
            end="<|im_end|>",
            again="\nuser: ",
        ),
    ),
    "no token ends a turn": (
        "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}",
        Frame("chat", "user: ", "\nassistant: ", "", ""),
    ),
}


@pytest.mark.parametrize("name", TEMPLATES)
def test_templates_of_several_makes(tiny_chat: Backbone, name: str) -> None:
    template, expected = TEMPLATES[name]
    backbone = chatting(tiny_chat, template)
    frame = frame_for(PAIRS, backbone)
    assert frame == replace(expected, request=PAIRS.request)
    ids = whole(backbone, frame, *TEXTS)
    words = f"{frame.reads(TEXTS[0])}{TEXTS[1]}{frame.end or '<|endoftext|>'}"
    assert ids == backbone.tokenizer(words, add_special_tokens=False)["input_ids"]


@pytest.mark.parametrize("name", CAUSAL)
def test_plain_models_read_the_words_of_the_card(name: str, request: pytest.FixtureRequest) -> None:
    backbone: Backbone = request.getfixturevalue(name)
    frame = frame_for(PAIRS, backbone)
    assert frame == Frame("plain", "Premise: ", "\nHypothesis: ", end="\n", again="Premise: ")
    text = f"Premise: {TEXTS[0]}\nHypothesis: {TEXTS[1]}\n"
    tokens = backbone.tokenizer
    assert whole(backbone, frame, *TEXTS) == tokens(text)["input_ids"]
    first = tokens(f"Premise: {TEXTS[0]}\n")["input_ids"]
    assert whole(backbone, frame, "", TEXTS[0]) == first
    single = frame_for(SINGLE, backbone)
    assert single is not None
    ids = tokens(f"Review: {TEXTS[0]}\n")["input_ids"]
    assert whole(backbone, single, "", TEXTS[0]) == ids


def test_words_take_no_second_blank_where_the_tokenizer_makes_them(tiny_gpt2: Backbone) -> None:
    """A tokenizer of whole words, which has no blanks in its tokens."""
    tokenizer = word_tokenizer()
    backbone = Backbone(tiny_gpt2.model, tokenizer, name="words", fingerprint="")
    frame = Frame("plain", "premise : ", "\nhypothesis : ")
    text = f"premise : {TEXTS[0]} hypothesis : {TEXTS[1]}"
    assert whole(backbone, frame, *TEXTS) == tokenizer(text)["input_ids"]


@pytest.mark.parametrize(
    ("template", "frame"),
    [
        (None, Frame("plain", "", "\n", end="\n")),
        ("{text2} after {text1}", Frame("plain", "", "\n", end="\n")),
        ("{text1}\n{text2}\n", Frame("plain", "", "\n", end="\n")),
        ("A: {text1}B: {text2}", Frame("plain", "A: ", "B: ", end="\n", again="A: ")),
        ("{text1} implies {text2}", Frame("plain", "", " implies ", end="\n")),
    ],
)
def test_infixes_of_cards(tiny_gpt2: Backbone, template: str | None, frame: Frame) -> None:
    card = PAIRS.model_copy(update={"causal_template": template})
    assert frame_for(card, tiny_gpt2) == frame


def test_special_tokens_of_a_cards_words_are_tokens(tiny_llama: Backbone) -> None:
    card = PAIRS.model_copy(update={"causal_template": "{text1}<|im_end|>{text2}"})
    frame = frame_for(card, tiny_llama)
    assert frame is not None
    mark = tiny_llama.tokenizer.convert_tokens_to_ids("<|im_end|>")
    assert tiny_llama.encode_source("a <|im_end|>", 4, frame).count(mark) == 1


def test_the_setting_chooses(tiny_chat: Backbone, tiny_gpt2: Backbone, tiny_bart: Backbone) -> None:
    plain = Frame("plain", "Premise: ", "\nHypothesis: ", end="\n", again="Premise: ")
    assert frame_for(PAIRS, tiny_chat, "plain") == plain
    assert frame_for(PAIRS, tiny_chat, "chat") == frame_for(PAIRS, tiny_chat)
    assert frame_for(PAIRS, tiny_bart) is None
    for backbone in (tiny_gpt2, tiny_bart):
        with pytest.raises(UserError, match="chat template"):
            frame_for(PAIRS, backbone, "chat")


@pytest.mark.parametrize(
    "template",
    [
        "{{ raise_exception('no such turn') }}",
        "{{ messages[0].content }}",
        "{% for m in messages %}{{ m.content }}{{ m.content }}{% endfor %}",
        "{% for m in messages %}{{ m.content | upper }}{% endfor %}",
        "{% broken",
    ],
)
def test_a_template_that_cannot_be_used_is_warned_of_once(
    tiny_chat: Backbone, template: str, capsys: pytest.CaptureFixture[str]
) -> None:
    backbone = chatting(tiny_chat, template)
    for _ in range(2):
        frame = frame_for(PAIRS, backbone)
        assert frame is not None
        assert frame.kind == "plain"
    assert capsys.readouterr().err.count("has ") == 1
    with pytest.raises(UserError, match="chat template"):
        frame_for(PAIRS, backbone, "chat")


def test_room_for_a_text_counts_what_stands_around_the_source(tiny_chat: Backbone) -> None:
    frame = frame_for(PAIRS, tiny_chat)
    room = tiny_chat.text_room(6, frame)
    long = tiny_chat.encode_source("x" * 999, 6, frame)
    assert room == 256 - 6 - len(long)
    assert frame is not None
    talkative = replace(frame, request="y" * 240)
    asked = tiny_chat.encode_source("", 6, talkative)
    assert tiny_chat.text_room(6, talkative) == 256 - 6 - len(asked)


def test_a_frame_comes_back_from_its_file(tiny_chat: Backbone, tmp_path: Path) -> None:
    frame = frame_for(PAIRS, tiny_chat)
    save_frame(frame, tmp_path)
    assert load_frame(tmp_path) == frame
    save_frame(None, tmp_path)
    assert load_frame(tmp_path) is None
    assert not list(tmp_path.iterdir())
    for tree in ({"kind": "chat"}, {**json.loads('{"kind": 1}'), "before": ""}):
        (tmp_path / "frame.json").write_text(json.dumps(tree))
        with pytest.raises(UserError, match=r"frame\.json is not a generator's frame"):
            load_frame(tmp_path)


def test_a_frame_of_another_model_is_refused(tiny_gpt2: Backbone) -> None:
    with pytest.raises(UserError, match=r"<\|im_end\|>, which is no special token"):
        tiny_gpt2.encode_source("a", 3, Frame("chat", end="<|im_end|>"))


def test_people_see_what_is_read_and_written(tiny_chat: Backbone) -> None:
    frame = frame_for(PAIRS, tiny_chat)
    assert frame is not None
    row = Row("a man", "a dog\nruns", "neutral")
    lines = render_generator(row, frame.reads(row.text1), tiny_chat.end_name(frame))
    assert lines == [
        "",
        "the generator reads: <|im_start|>user",
        "                     a man<|im_end|>",
        "                     <|im_start|>assistant",
        "                     ",
        "and writes:          a dog",
        "                     runs<|im_end|>",
    ]
    assert CHAT_TEMPLATE.count("be good") == 1
    assert "be good" not in "".join(lines)
