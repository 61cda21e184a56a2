"""The quality report: figures of a synthetic set."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from dawgen.streams import Streams
from dawgen.synthesis import alone, cleaning, measures
from dawgen.synthesis.choosing import reader_agreement
from dawgen.synthesis.ledger import LabelAccount, Ledger
from dawgen.synthesis.measures import Tokens, tokens
from dawgen.synthesis.provenance import Provenance
from dawgen.synthesis.rows import SyntheticRow
from dawgen.synthesis.text import normalise, pair_key
from dawgen.synthesis.verdicts import of_rows
from dawgen.tasks import Row
from dawgen.terminal.progress import shown

SAMPLE = 1000
"""Texts that self-BLEU looks at, and unlabelled sentences that the rows are compared with."""
EXAMPLES = 2
"""Rejected rows of each reason that are kept in the report."""
CONFIDENCES = {"label_ratio": "label ratio", "reader_probability": "probability by the reader"}
"""Attributes of a row that say how strongly it belongs to its label, and their names in words."""

Report = dict[str, Any]
_Item = TypeVar("_Item")


def quality(
    rows: Sequence[SyntheticRow],
    ledger: Ledger,
    made: Provenance,
    unlabelled: Sequence[str] = (),
) -> Report:
    """Figures of a finished synthesis; equal rows give an equal report, timings are not in it.

    Diversity and distances are of the written texts: text2 of pairs, else text1.

    Args:
        rows: kept and rejected.
        unlabelled: sentences of the domain; of many a sample is looked at.
    """
    kept = [row for row in rows if row.kept]
    streams = Streams(made.seed)
    texts = [tokens(cleaning.last_text(row)) for row in kept]
    shots = [tokens(cleaning.last_text(row)) for row in made.shots]
    plain = [tokens(text) for text in _sample(unlabelled, streams, "unlabelled")]
    return {
        "rows": {"attempted": ledger.total().attempted, "kept": len(kept)},
        "acceptance": _acceptance(ledger.total()),
        "by_label": {
            label: {
                "acceptance": _acceptance(account),
                **{name: _quartiles(kept, label, name) for name in CONFIDENCES},
            }
            for label, account in ledger.labels.items()
        },
        "unique": {
            "rows": _unique(pair_key(row.text1, row.text2) for row in kept),
            "text1": _unique(normalise(row.text1) for row in kept),
            "written": _unique(normalise(cleaning.last_text(row)) for row in kept),
        },
        "distinct_1": _rounded(measures.distinct(texts, 1)),
        "distinct_2": _rounded(measures.distinct(texts, 2)),
        "self_bleu": {
            "value": _rounded(measures.self_bleu(_sample(texts, streams, "self-bleu"))),
            "texts": min(len(texts), SAMPLE),
        },
        "from_few_shots": _distance(texts, shots) | _copied(texts, shots),
        "from_unlabelled": _distance(texts, plain) if plain else None,
        "overlap": _overlap(kept, made),
        "text1_alone": alone.text_alone(kept, list(ledger.labels), streams, "text1"),
        "text2_alone": alone.text_alone(kept, list(ledger.labels), streams),
        "real_rows": alone.of_real_rows(made.card.name),
        "telling_words": alone.telling_words(kept, made.shots, list(ledger.labels)),
        "reader_agreement": (
            reader_agreement(rows, list(ledger.labels)) if made.settings.chooses else None
        ),
        "relabelled": sum(row.written_for is not None for row in kept),
        "agreement": None,
        "rejected_examples": _examples(rows),
    }


def _acceptance(account: LabelAccount) -> dict[str, Any]:
    """Shares of the attempted rows: kept, and rejected by reason."""
    n = max(account.attempted, 1)
    reasons = account.as_json()["reasons"]
    return {
        "kept": _rounded(account.kept / n),
        "rejected": {why: _rounded(count / n) for why, count in reasons.items()},
    }


def _quartiles(
    kept: Sequence[SyntheticRow], label: str, name: str
) -> dict[str, float | None] | None:
    """Of an attribute of a label's rows; None where it is not known."""
    found = [getattr(row, name) for row in kept if row.label == label]
    found = [value for value in found if value is not None]
    if not found:
        return None
    low, middle, high = np.quantile(found, [0.25, 0.5, 0.75]).tolist()
    return {"median": _rounded(middle), "quartile_1": _rounded(low), "quartile_3": _rounded(high)}


def _unique(keys: Iterable[object]) -> float | None:
    values = list(keys)
    return _rounded(len(set(values)) / len(values)) if values else None


def _distance(texts: Sequence[Tokens], other: Sequence[Tokens]) -> dict[str, Any]:
    """How far the texts are from others in length (words and marks) and in words."""
    return {
        "texts": len(other),
        "length": _rounded(_mean_length(texts)),
        "length_there": _rounded(_mean_length(other)),
        "length_distance": _rounded(
            measures.length_distance([len(t) for t in texts], [len(t) for t in other])
        ),
        "jensen_shannon_1": _rounded(measures.jensen_shannon(texts, other, 1)),
        "jensen_shannon_2": _rounded(measures.jensen_shannon(texts, other, 2)),
    }


def _mean_length(texts: Sequence[Tokens]) -> float | None:
    return sum(len(text) for text in texts) / len(texts) if texts else None


def _copied(texts: Sequence[Tokens], shots: Sequence[Tokens]) -> dict[str, Any]:
    """Share of the texts' 4-grams that stand in a few shot's written text too."""
    own, known = measures.count_ngrams(texts, 4), measures.count_ngrams(shots, 4)
    total = sum(own.values())
    copied = sum(count for gram, count in own.items() if gram in known)
    return {"copied_4_grams": _rounded(copied / total) if total else None}


def _overlap(kept: Sequence[SyntheticRow], made: Provenance) -> dict[str, Any]:
    """Kept rows that share a whole text, or n words running, with few shots or evaluation rows."""
    n = made.settings.cleaning.overlap_words
    against = cleaning.Reference(made.shots, made.forbidden, n)
    rows = [
        cleaning.Candidate(row.text1, row.text2, True, row.first_sentence == "generator")
        for row in kept
    ]

    def counts(others: Sequence[Row], equal: cleaning.Rule, overlaps: cleaning.Rule) -> Report:
        return {
            "rows": len(others),
            "equal": sum(equal(row, against) for row in rows),
            "words_running": sum(overlaps(row, against) for row in rows),
        }

    return {
        "words_running": n,
        "few_shots": counts(made.shots, cleaning.repeats_shot, cleaning.overlaps_shot),
        "evaluation_rows": counts(
            made.forbidden, cleaning.repeats_forbidden, cleaning.overlaps_forbidden
        ),
    }


def _examples(rows: Sequence[SyntheticRow]) -> list[dict[str, Any]]:
    """The first rejected rows of every reason."""
    seen: Counter[str] = Counter()
    examples = []
    for row in rows:
        why = str(row.reason)
        if not row.kept and seen[why] < EXAMPLES:
            seen[why] += 1
            texts = {"label": row.label, "text1": row.text1, "text2": row.text2}
            examples.append({"reason": why, **texts})
    return sorted(examples, key=lambda row: str(row["reason"]))


def _sample(items: Sequence[_Item], streams: Streams, purpose: str) -> list[_Item]:
    """All, or a thousand drawn by the seed, in their order."""
    if len(items) <= SAMPLE:
        return list(items)
    drawn = streams.numpy("quality", purpose).choice(len(items), SAMPLE, replace=False)
    return [items[i] for i in sorted(drawn.tolist())]


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def quality_lines(report: Report) -> list[str]:
    """The report for a terminal, a figure or two a line."""
    rows, overlap = report["rows"], report["overlap"]
    lines = [
        f"{rows['kept']:,} of {rows['attempted']:,} rows kept "
        f"({_percent(report['acceptance']['kept'])})"
    ]
    lines += [
        f"  rejected, {why}: {_percent(share)}"
        for why, share in report["acceptance"]["rejected"].items()
    ]
    for label, part in report["by_label"].items():
        medians = [
            f", median {words} {part[name]['median']:.2f}"
            for name, words in CONFIDENCES.items()
            if part.get(name)
        ]
        median = "".join(medians)
        lines.append(f"  {shown(label)}: {_percent(part['acceptance']['kept'])} kept{median}")
    unique = report["unique"]
    lines += [
        f"unique: rows {_percent(unique['rows'])}, first texts {_percent(unique['text1'])}, "
        f"written texts {_percent(unique['written'])}",
        f"distinct-1 {_figure(report['distinct_1'])}, distinct-2 {_figure(report['distinct_2'])}, "
        f"self-BLEU {_figure(report['self_bleu']['value'])} ({report['self_bleu']['texts']} texts)",
    ]
    for name, words in (("from_few_shots", "few shots"), ("from_unlabelled", "unlabelled text")):
        if report[name]:
            lines.append(_distance_line(report[name], words))
    lines.append(
        f"of the 4-grams {_percent(report['from_few_shots']['copied_4_grams'])} are shots'"
    )
    for name in ("few_shots", "evaluation_rows"):
        part = overlap[name]
        lines.append(
            f"held against {part['rows']:,} {name.replace('_', ' ')}: {part['equal']:,} kept rows "
            f"equal, {part['words_running']:,} with {overlap['words_running']} words running"
        )
    lines += measure_lines(report)
    lines += _alone_lines(report)
    lines += [shown(verdict.text) for verdict in of_rows(report, {})]
    if report["agreement"]:
        lines.append(
            f"{shown(report['agreement']['classifier'])} gives the row's own label to "
            f"{_percent(report['agreement']['all'])} of the kept rows"
        )
    return lines


def measure_lines(report: Mapping[str, Any]) -> list[str]:
    """The reader's agreement, in a sentence."""
    lines = []
    if by_label := report.get("reader_agreement"):
        shares = ", ".join(f"{shown(name)} {_percent(share)}" for name, share in by_label.items())
        changed = int(report.get("relabelled") or 0)
        others = f"{changed:,} others have its label" if changed else "only those were kept"
        lines.append(
            "The reader, which learned from the few shots alone, confirms the label of this share "
            f"of the clean rows, and {others}: {shares}."
        )
    return lines


def _alone_lines(report: Mapping[str, Any]) -> Iterator[str]:
    """What one text of a pair tells, beside real rows where that is known."""
    real = report.get("real_rows") or {}
    for side in ("text1", "text2"):
        if told := report.get(f"{side}_alone"):
            there = real.get(f"{side}_alone")
            beside = "" if there is None else f", real rows {_percent(there)}"
            yield (
                f"{side} alone tells the label of {_percent(told['accuracy'])} of the rows "
                f"(chance {_percent(told['chance'])}{beside})"
            )
    for label, part in (report.get("telling_words") or {}).items():
        yield (
            f"{shown(label)}: {shown(part['word'])!r} is in {_percent(part['rows'])} of the rows, "
            f"in {_percent(part['elsewhere'])} of other labels' (few shots: "
            f"{_percent(part['shots'])} and {_percent(part['shots_elsewhere'])})"
        )


def _distance_line(part: dict[str, Any], words: str) -> str:
    return (
        f"against {part['texts']:,} texts of {words}: {_figure(part['length'])} words and marks to "
        f"{_figure(part['length_there'])}, lengths {_figure(part['length_distance'])} apart, "
        f"Jensen-Shannon {_figure(part['jensen_shannon_1'])} (words), "
        f"{_figure(part['jensen_shannon_2'])} (2-grams)"
    )


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
