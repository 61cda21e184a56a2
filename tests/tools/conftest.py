"""A small world for the pre-training tools: a tokenizer, a BERT, cards, rows and corpora."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import BartForConditionalGeneration, BertConfig, BertModel

from tools.pretrain import convert, text, vocabulary

ROOT = Path(__file__).resolve().parents[2]
CARDS = ROOT / "src" / "dawgen" / "tasks" / "cards"
LINES = [
    "a man in a red shirt is playing a guitar in the park.",
    "two dogs are running on the beach near the water.",
    "the woman was born in 1970 and died in 1999 in the north.",
    "a cat is sitting on a table in the kitchen with a cup.",
    "the company began to sell cars in the small town in 1950.",
    "a boy is holding a baseball while his sister is standing near him.",
]


@pytest.fixture(scope="session")
def cards() -> dict[str, text.Card]:
    """The shipped cards."""
    return text.read_cards(CARDS)


@pytest.fixture(scope="session")
def original_tokenizer(cards: dict[str, text.Card]) -> Tokenizer:
    """A WordPiece tokenizer with the words of the lines and cards, laid out as BERT's is."""
    found = dict.fromkeys(["[PAD]", "[unused0]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
    found |= dict.fromkeys(vocabulary.ALWAYS)
    found |= dict.fromkeys(f"##{c}" for c in vocabulary.ALWAYS)
    splitter = pre_tokenizers.BertPreTokenizer()
    words, others = convert.card_words(cards)
    for line in [*LINES, *words, *others, "neverseen"]:
        found |= dict.fromkeys(word for word, _ in splitter.pre_tokenize_str(line.lower()))
    ids = {piece: index for index, piece in enumerate(found)}
    tokenizer = Tokenizer(models.WordPiece(ids, unk_token="[UNK]"))
    tokenizer.add_special_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = splitter
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        special_tokens=[("[CLS]", ids["[CLS]"]), ("[SEP]", ids["[SEP]"])],
    )
    return tokenizer


@pytest.fixture(scope="session")
def pieces(original_tokenizer: Tokenizer, cards: dict[str, text.Card]) -> list[str]:
    """The cut vocabulary."""
    counts = vocabulary.count_pieces(original_tokenizer, LINES)
    words, others = convert.card_words(cards)
    required = [
        piece
        for line in [*words, *others]
        for piece in original_tokenizer.encode(line, add_special_tokens=False).tokens
    ]
    return vocabulary.choose_pieces(original_tokenizer.get_vocab(), counts, 320, required)


@pytest.fixture(scope="session")
def start(
    tmp_path_factory: pytest.TempPathFactory, original_tokenizer: Tokenizer, pieces: list[str]
) -> Path:
    """A converted two-layer model in a folder, as ``convert`` writes it."""
    folder = tmp_path_factory.mktemp("start")
    source = folder / "original.json"
    original_tokenizer.save(str(source))
    vocabulary.save_tokenizer(vocabulary.cut_tokenizer(source, pieces), folder)
    model = converted(bert(original_tokenizer.get_vocab_size()), original_tokenizer, pieces)
    model.generation_config = convert.generation_config(pieces)
    model.save_pretrained(str(folder))
    return folder


def bert(size: int) -> BertModel:
    """A small BERT with random weights."""
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=size,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=512,
        layer_norm_eps=1e-12,
    )
    return BertModel(config, add_pooling_layer=False).eval()


def converted(
    original: BertModel, tokenizer: Tokenizer, pieces: list[str]
) -> BartForConditionalGeneration:
    """``original`` as a BART over ``pieces``."""
    full = tokenizer.get_vocab()
    config = convert.bart_config(original.config, pieces, decoder_layers=1)
    return convert.convert(original.state_dict(), config, [full[piece] for piece in pieces]).eval()


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``data`` with MNLI and QNLI rows and ``corpora`` with three files."""
    folder = tmp_path_factory.mktemp("world")
    labels = {
        "mnli": ["entailment", "neutral", "contradiction"],
        "qnli": ["entailment", "not_entailment"],
    }
    for task, names in labels.items():
        (folder / "data" / task).mkdir(parents=True)
        rows = [
            {"text1": LINES[i % 6], "text2": LINES[(i + 1) % 6], "label": names[i % len(names)]}
            for i in range(12)
        ]
        for part in ("train", "test"):
            path = folder / "data" / task / f"{part}.jsonl"
            path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    (folder / "corpora").mkdir()
    for name in text.CORPORA:
        lines = [f"{line[:-1]} number {i}." for i in range(40) for line in LINES]
        (folder / "corpora" / f"{name}.txt").write_text("\n".join(lines), encoding="utf-8")
    return folder
