"""The mixture: rows for every step, as a pure function of the seed and the step's number."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from tools.pretrain import text
from tools.pretrain.pairs import MadePairs
from tools.pretrain.vocabulary import piece_id

PROMPT_LENGTH = 20  # soft-prompt vectors of the package's default
LONGEST_TARGET = 48  # pieces, the end mark not counted; a longer row is dropped, never cut
LONGEST_SOURCE = 100
LONGEST_JUDGED = 110
Rng = np.random.Generator


@dataclass(frozen=True, slots=True)
class Row:
    """Token ids of one training row; ``rival`` is the source under a wrong label's prompt."""

    source: list[int]
    target: list[int]
    rival: list[int] | None = None


@dataclass(frozen=True)
class Sources:
    """All text that is trained on; ``written`` holds (task, pair) rows of self-training."""

    cards: dict[str, text.Card]
    mnli: list[text.Pair]
    qnli: list[text.Pair]
    corpora: dict[str, list[str]]
    written: list[tuple[str, text.Pair]] = field(default_factory=list)
    judged: list[tuple[str, text.Pair]] = field(default_factory=list)


class Mixture:
    """Draws rows of every kind; one method a kind, each ``(rng) -> Row | None``."""

    def __init__(self, sources: Sources, tokenizer: Tokenizer) -> None:
        self.sources = sources
        self.tokenizer = tokenizer
        self.cls = piece_id(tokenizer, "[CLS]")
        self.sep = piece_id(tokenizer, "[SEP]")
        self.mask = piece_id(tokenizer, "[MASK]")
        premises = sorted({pair.text1 for pair in sources.mnli})
        self.pairs = MadePairs(sources.corpora, premises)
        self.frequent = self._frequent_words()
        self.kinds: dict[str, Callable[[Rng], Row | None]] = {
            "judge_mnli": self.judge_mnli,
            "judge_qnli": self.judge_qnli,
            "judge_same": self.judge_same,
            "judge_nli": self.judge_nli,
            "judge_written": self.judge_written,
            "write_mnli": self.write_mnli,
            "write_merged": self.write_merged,
            "write_qnli": self.write_qnli,
            "write_first": self.write_first,
            "write_same": self.write_same,
            "write_nli": self.write_nli,
            "write_written": self.write_written,
            "continue": self.continue_line,
            "denoise": self.denoise,
        }

    # -- pieces ------------------------------------------------------------------------------

    def ids(self, line: str) -> list[int]:
        """Piece ids of a text, without specials."""
        found: list[int] = self.tokenizer.encode(line, add_special_tokens=False).ids
        return found

    def _frequent_words(self, count: int = 500) -> list[int]:
        counts = np.zeros(self.tokenizer.get_vocab_size(), dtype=np.int64)
        for pair in self.sources.mnli[:2000]:
            np.add.at(counts, self.ids(pair.text2), 1)
        order: list[int] = np.argsort(-counts, kind="stable")[:count].tolist()
        return [piece for piece in order if piece > self.mask]

    def pick(self, items: list, rng: Rng):  # type: ignore[no-untyped-def,type-arg]
        """One of ``items``."""
        return items[int(rng.integers(len(items)))]

    def cycled(self, prompt: str, length: int) -> list[int]:
        """The ids of ``prompt`` repeated or cut to ``length``: where a soft prompt starts."""
        ids = self.ids(prompt)
        return [ids[i % len(ids)] for i in range(length)]

    def source(self, prefix: list[int], line: str) -> list[int]:
        """``prefix [CLS] line [SEP]``."""
        return [*prefix, self.cls, *self.ids(line), self.sep]

    def target(self, line: str) -> list[int]:
        """``line [SEP]``."""
        return [*self.ids(line), self.sep]

    # -- judging: template in, label word out ------------------------------------------------

    def judge(self, card: text.Card, pair: text.Pair, rng: Rng) -> Row | None:
        """Template in, label word out; at times behind 20 ordinary words, as behind a prompt."""
        prefix: list[int] = []
        chance = rng.random()
        if chance < 0.15:
            words = [card.label_words[label] for label in card.labels]
            prefix = self.cycled(" ".join(words), PROMPT_LENGTH)
        elif chance < 0.3:
            prefix = [self.pick(self.frequent, rng) for _ in range(PROMPT_LENGTH)]
        source = self.source(prefix, card.fill(pair.text1, pair.text2))
        if len(source) > LONGEST_JUDGED:
            return None
        return Row(source, self.target(card.label_words[pair.label]))

    def judge_mnli(self, rng: Rng) -> Row | None:
        """An MNLI row."""
        return self.judge(self.sources.cards["mnli"], self.pick(self.sources.mnli, rng), rng)

    def judge_qnli(self, rng: Rng) -> Row | None:
        """A QNLI row."""
        return self.judge(self.sources.cards["qnli"], self.pick(self.sources.qnli, rng), rng)

    def judge_same(self, rng: Rng) -> Row | None:
        """A self-made paraphrase or near miss under the paraphrase template."""
        pair = self.pairs.same(rng)
        return None if pair is None else self.judge(self.sources.cards["mrpc"], pair, rng)

    def judge_nli(self, rng: Rng) -> Row | None:
        """A self-made inference row."""
        pair = self.pairs.inference(rng)
        return None if pair is None else self.judge(self.sources.cards["mnli"], pair, rng)

    def judge_written(self, rng: Rng) -> Row | None:
        """A row of self-training that may be judged."""
        if not self.sources.judged:
            return None
        task, pair = self.pick(self.sources.judged, rng)
        return self.judge(self.sources.cards[task], pair, rng)

    # -- writing: label prompt and first sentence in, second sentence out --------------------

    def write(self, card: text.Card, pair: text.Pair, rng: Rng, mark: str = ".") -> Row | None:
        """``label prompt [CLS] text1 [SEP]`` in, ``text2 [SEP]`` out; a rival label beside it."""
        prompt = card.label_prompts[pair.label]
        others = [label for label in card.labels if label != pair.label]
        wrong = card.label_prompts[self.pick(others, rng)]
        full = rng.random() < 0.85

        def prefix(line: str) -> list[int]:
            return self.cycled(line, PROMPT_LENGTH) if full else self.ids(line)

        source = self.source(prefix(prompt), pair.text1)
        target = self.target(text.with_end(pair.text2, mark))
        if len(target) > LONGEST_TARGET + 1 or len(source) > LONGEST_SOURCE or len(target) < 3:
            return None
        return Row(source, target, self.source(prefix(wrong), pair.text1))

    def write_mnli(self, rng: Rng) -> Row | None:
        """An MNLI row, written."""
        return self.write(self.sources.cards["mnli"], self.pick(self.sources.mnli, rng), rng)

    def write_merged(self, rng: Rng) -> Row | None:
        """An MNLI row under the two-label prompts: follows, or does not follow."""
        pair = self.pick(self.sources.mnli, rng)
        label = "entailment" if pair.label == "entailment" else "not_entailment"
        merged = text.Pair(pair.text1, pair.text2, label)
        return self.write(self.sources.cards["rte"], merged, rng)

    def write_qnli(self, rng: Rng) -> Row | None:
        """A QNLI row, written: an answer to a question, or a sentence that does not answer it."""
        return self.write(self.sources.cards["qnli"], self.pick(self.sources.qnli, rng), rng)

    def write_same(self, rng: Rng) -> Row | None:
        """A self-made paraphrase or near miss, written."""
        pair = self.pairs.same(rng)
        if pair is None:
            return None
        return self.write(self.sources.cards["mrpc"], pair, rng, "?" if "?" in pair.text1 else ".")

    def write_nli(self, rng: Rng) -> Row | None:
        """A self-made inference row, written."""
        pair = self.pairs.inference(rng)
        return None if pair is None else self.write(self.sources.cards["mnli"], pair, rng)

    def write_written(self, rng: Rng) -> Row | None:
        """A row of self-training."""
        if not self.sources.written:
            return None
        task, pair = self.pick(self.sources.written, rng)
        return self.write(self.sources.cards[task], pair, rng, "?" if "?" in pair.text2 else ".")

    def write_first(self, rng: Rng) -> Row | None:
        """A first sentence written from a label prompt and nothing else."""
        sources, chance = self.sources, rng.random()
        if chance < 0.5:
            card, line = sources.cards["mnli"], self.pick(sources.mnli, rng).text1
        elif chance < 0.7:
            card, line = sources.cards["qnli"], self.pick(sources.qnli, rng).text1
        elif chance < 0.85:
            card, line = sources.cards["qqp"], self.pick(sources.corpora["questions"], rng)
        else:
            card, line = sources.cards["snli"], self.pick(sources.corpora["captions"], rng)
        prompt = card.label_prompts[self.pick(list(card.labels), rng)]
        target = self.target(text.with_end(line))
        if len(target) > LONGEST_TARGET + 1:
            return None
        return Row([*self.cycled(prompt, PROMPT_LENGTH), self.cls, self.sep], target)

    # -- plain language ----------------------------------------------------------------------

    def continue_line(self, rng: Rng) -> Row | None:
        """The beginning of a line in, the rest out."""
        name, line = self.pairs.line(rng)
        ids = self.ids(text.with_end(line, "?" if name == "questions" else "."))
        if len(ids) < 6:
            return None
        cut = int(rng.integers(1, max(2, int(len(ids) * 0.6))))
        if len(ids) - cut > LONGEST_TARGET:
            return None
        return Row([self.cls, *ids[:cut], self.sep], [*ids[cut:], self.sep])

    def denoise(self, rng: Rng) -> Row | None:
        """A line with masked spans and dropped pieces in, the whole line out."""
        name, line = self.pairs.line(rng)
        ids = self.ids(text.with_end(line, "?" if name == "questions" else "."))
        if not 4 <= len(ids) <= LONGEST_TARGET:
            return None
        noisy: list[int] = []
        place = 0
        while place < len(ids):
            chance = rng.random()
            if chance < 0.12:
                noisy.append(self.mask)
                place += int(rng.integers(1, 4))
            elif chance < 0.2:
                place += 1
            else:
                noisy.append(ids[place])
                place += 1
        return Row([self.cls, *noisy, self.sep], [*ids, self.sep])

    # -- steps -------------------------------------------------------------------------------

    def rows(self, counts: dict[str, float], rng: Rng, size: int) -> list[Row]:
        """``size`` rows, their kinds drawn by the weights ``counts``."""
        names = list(counts)
        weights = np.array([counts[name] for name in names])
        drawn = rng.choice(len(names), size=size, p=weights / weights.sum())
        rows: list[Row] = []
        for kind in drawn:
            for _ in range(20):
                row = self.kinds[names[int(kind)]](rng)
                if row is not None:
                    rows.append(row)
                    break
        return rows


def load_sources(
    data: Path, corpora: Path, cards: Path, wikipedia_lines: int, written: Path | None
) -> Sources:
    """Read everything that is trained on, held-out lines left out."""
    lines = {
        name: text.read_corpus(
            text.corpus_path(corpora, name),
            limit=wikipedia_lines if name == "wikipedia" else None,
        )
        for name in text.CORPORA
    }
    extra: list[tuple[str, text.Pair]] = []
    judged: list[tuple[str, text.Pair]] = []
    if written is not None:
        for path in sorted(written.glob("*.write.jsonl")):
            extra += [(path.name.split(".")[0], pair) for pair in text.read_pairs(path)]
        for path in sorted(written.glob("*.judge.jsonl")):
            judged += [(path.name.split(".")[0], pair) for pair in text.read_pairs(path)]
    return Sources(
        text.read_cards(cards),
        text.read_training_pairs(data, "mnli"),
        text.read_training_pairs(data, "qnli"),
        lines,
        extra,
        judged,
    )
