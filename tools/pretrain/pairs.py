"""Self-made pairs: sentences with a second one made by edits, so that its label is known."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from tools.pretrain import edits, text

INFERENCE = ("entailment", "neutral", "contradiction")
SAME = 0.75  # of the pairs to compare: whoever lays two sentences side by side has a reason to
Rng = np.random.Generator


Edit = Callable[[edits.Words, Rng], edits.Words | None]
REWRITES: tuple[tuple[Edit, float], ...] = (
    (edits.reorder, 0.5),
    (edits.synonyms, 0.6),
    (edits.drop_some, 0.6),
    (edits.clause, 0.35),
)
ENTAILMENTS: tuple[tuple[Edit, float], ...] = (
    (edits.clause, 0.6),
    (edits.widen, 0.8),
    (edits.synonyms, 0.5),
)


def edited(
    parts: edits.Words, chances: Sequence[tuple[Edit, float]], rng: Rng
) -> edits.Words | None:
    """One edit after another, each with its chance; None where nothing was changed."""
    out, changed = parts, False
    for edit, chance in chances:
        if rng.random() < chance:
            new = edit(out, rng)
            if new is not None:
                out, changed = new, True
    return out if changed else None


class Neighbours:
    """Lines of one corpus by content word: another line that shares words with a given one."""

    def __init__(self, lines: list[str], limit: int = 30_000) -> None:
        self.lines = lines[:limit]
        self.index: dict[str, list[int]] = {}
        for number, line in enumerate(self.lines):
            for word in edits.content(edits.words(line)):
                self.index.setdefault(word, []).append(number)

    def near(self, parts: edits.Words, rng: Rng) -> edits.Words | None:
        """The line most like it of three that share a random content word with it."""
        mine = [word for word in sorted(edits.content(parts)) if len(self.index.get(word, [])) > 1]
        if not mine:
            return None
        tried = [mine[int(i)] for i in rng.integers(len(mine), size=3)]
        best: edits.Words | None = None
        most = 0.0
        for word in tried:
            lines = self.index[word]
            other = edits.words(self.lines[lines[int(rng.integers(len(lines)))]])
            shared = edits.content(other) & edits.content(parts)
            overlap = len(shared) / max(len(edits.content(other)), 1)
            if most < overlap < 0.95:
                best, most = other, overlap
        return best


class MadePairs:
    """Draws pairs from ``corpora`` (name to lines) and from ``premises``, whose labels are unused.

    Every draw returns ``None`` where a line offers nothing to edit.
    """

    def __init__(self, corpora: dict[str, list[str]], premises: list[str]) -> None:
        self.lines = {**corpora, "premises": premises}
        self.neighbours = {name: Neighbours(lines) for name, lines in self.lines.items()}

    def line(self, rng: Rng) -> tuple[str, str]:
        """A corpus name and one of its lines; small corpora are well represented."""
        name = str(rng.choice(["wikipedia", "captions", "questions"], p=[0.4, 0.35, 0.25]))
        return name, self.draw(name, rng)

    def draw(self, name: str, rng: Rng) -> str:
        """One line of a corpus."""
        lines = self.lines[name]
        return lines[int(rng.integers(len(lines)))]

    # -- the same meaning or not -------------------------------------------------------------

    def same(self, rng: Rng) -> text.Pair | None:
        """A line and a paraphrase made by edits, or a near miss of it."""
        name, line = self.line(rng)
        parts = edits.words(line)
        if not 5 <= len(parts) <= 40:
            return None
        if rng.random() < SAME:
            other = self.rewrite(parts, rng)
            label = "equivalent"
        else:
            other = self.near_miss(parts, name, rng)
            label = "not_equivalent"
        if other is None or edits.join(other).lower() == line.lower():
            return None
        if rng.random() < 0.5:  # two reports of one thing each leave out what the other has
            line = edits.join(self.rewrite(parts, rng) or parts)
        mark = "?" if name == "questions" else "."
        first, second = text.with_end(line, mark), text.with_end(edits.join(other), mark)
        if rng.random() < 0.3:
            first, second = second, first
        return text.Pair(first, second, label)

    def rewrite(self, parts: edits.Words, rng: Rng) -> edits.Words | None:
        """One to four edits that keep the meaning, or lose a detail."""
        return edited(parts, REWRITES, rng)

    def near_miss(self, parts: edits.Words, name: str, rng: Rng) -> edits.Words | None:
        """An edit that changes the meaning and keeps many words; often disguised by others."""
        chance = rng.random()
        out: edits.Words | None
        if chance < 0.62:
            out = self.neighbours[name].near(parts, rng)
        elif chance < 0.8:
            donor = edits.words(self.draw(name, rng))
            out = edits.replace_content(parts, donor, rng, most=3)
        elif chance < 0.84:
            out = edits.change_number(parts, rng)
        elif chance < 0.88:
            out = edits.swap_content(parts, rng)
        elif chance < 0.94:
            out = edits.oppose(parts, rng)
        else:
            out = edits.negate(parts, rng)
        if out is not None and rng.random() < 0.4:
            out = self.rewrite(out, rng) or out
        return out

    # -- does the second follow from the first -----------------------------------------------

    def inference(self, rng: Rng) -> text.Pair | None:
        """A line with a second sentence made to follow from it, to be open, or to deny it."""
        name = str(rng.choice(["wikipedia", "captions", "premises"], p=[0.2, 0.4, 0.4]))
        line = self.draw(name, rng)
        parts = edits.words(line)
        if not 5 <= len(parts) <= 30:
            return None
        label = INFERENCE[int(rng.integers(3))]
        makers = {
            "entailment": self.entailed,
            "neutral": self.open,
            "contradiction": self.contradicted,
        }
        made = makers[label](parts, name, rng)
        if made is None:
            return None
        first, second = (text.with_end(edits.join(each)) for each in made)
        if first.lower() == second.lower():
            return None
        return text.Pair(first, second, label)

    def entailed(
        self, parts: edits.Words, name: str, rng: Rng
    ) -> tuple[edits.Words, edits.Words] | None:
        """A contained clause, a wider word, a synonym; the more at once the better."""
        out = edited(parts, ENTAILMENTS, rng)
        return None if out is None else (parts, out)

    def open(
        self, parts: edits.Words, name: str, rng: Rng
    ) -> tuple[edits.Words, edits.Words] | None:
        """More than the first says: the line after a part of it, a tail, a narrower word."""
        chance = rng.random()
        if chance < 0.45:
            shorter = edits.clause(parts, rng)
            if shorter is None or len(shorter) < 4:
                return None
            longer = edits.synonyms(parts, rng) if chance < 0.2 else None
            return shorter, longer or parts
        if chance < 0.75:
            out = edits.clause(parts, rng) or parts
            return parts, edits.add_tail(edits.widen(out, rng) or out, name, rng)
        if chance < 0.85:
            narrowed = edits.narrow(parts, rng)
            return None if narrowed is None else (parts, narrowed)
        other = self.neighbours[name].near(parts, rng)
        return None if other is None else (parts, other)

    def contradicted(
        self, parts: edits.Words, name: str, rng: Rng
    ) -> tuple[edits.Words, edits.Words] | None:
        """Negated, opposed or renumbered; of a caption also another scene with the same subject."""
        chance = rng.random()
        out: edits.Words | None
        if name == "captions" and chance < 0.2:
            out = self.neighbours[name].near(parts, rng)
        elif chance < 0.55:
            out = edits.negate(parts, rng)
        elif chance < 0.88:
            out = edits.oppose(parts, rng)
        else:
            out = edits.change_number(parts, rng)
        if out is None:
            return None
        if rng.random() < 0.4:
            out = edits.widen(out, rng) or out
        return parts, out
