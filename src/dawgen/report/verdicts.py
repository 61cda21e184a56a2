"""What a run's own figures say, most important first, each with the command that follows.

This is the one place for such sentences: the report, the last screen and the cards take them from
here. docs/report.md explains every rule.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from dawgen.report.candidates import UNLABELLED, WRITTEN, shipped, title
from dawgen.report.read import RunFiles, is_number
from dawgen.report.results import (
    MAJORITY,
    ZERO_SHOT,
    Result,
    metric_of,
    reached,
    result_of,
    results,
)
from dawgen.report.results import shipped as shipped_result
from dawgen.selection.cross_encoder import LEARNT_FROM
from dawgen.settings.selection import PACKAGED, PREFERRED
from dawgen.synthesis.verdicts import Verdict, of_rows

MOST = 5
CONFUSED = 0.3
"""Share of a label's rows that get one other label."""
FEWEST_CONFUSED = 5
_NOT_ALONE = ("prompt", "noisy-channel", "average", "zero-shot")
"""Candidates that are not tuned on the shots alone, beside those with written rows."""
_DEFAULT_OUT = "runs/latest"
_NOT_OF_TUNE = {"--out", "--test", "--max-hours", "--max-kwh"}
"""Options of `dawgen run` that `dawgen tune` does not have, or that differ there."""


def verdicts(files: RunFiles, most: int | None = MOST) -> list[Verdict]:
    """What is to be said of a run, at most so many; pure, and each only where its files have it."""
    scores = files.scores
    found = [
        *_choice(files),
        *_written(files, _head_pair(scores), _prompt_pair(scores)),
        *_honesty(files),
        *_encoder(files),
        *_never(files),
        *_no_better(scores),
        *of_rows(files.quality, files.ledger),
        *_step(files),
        *_confused(files),
    ]
    return [_completed(verdict, files) for verdict in found[:most]]


def about_rows(files: RunFiles) -> list[Verdict]:
    """What concerns the written rows, and what they did to the tuned prompt; for the cards."""
    written = _written(files, None, _prompt_pair(files.scores))
    return [*written, *of_rows(files.quality, files.ledger)]


def _completed(verdict: Verdict, files: RunFiles) -> Verdict:
    """With the run's own command and the change, unless it has a command."""
    if verdict.command or not verdict.change:
        return verdict
    own = _own_command(files)
    if own[:2] != ["dawgen", "run"]:  # it was run from Python
        own = ["dawgen", "run", "TASK.yaml", "--train", "ROWS.csv", "--out", place(files)]
    for word in verdict.change:
        if word.startswith("--"):
            _drop(own, word)
    return replace(verdict, command=(*own, *verdict.change))


def _drop(words: list[str], option: str) -> None:
    """Take an option and its value out of a command."""
    if option in words:
        at = words.index(option)
        del words[at : at + 2]


def place(files: RunFiles) -> str:
    """The run folder as it was named in the command, else its name."""
    own = _own_command(files)
    if "--out" in own[:-1]:
        return own[own.index("--out") + 1]
    return _DEFAULT_OUT if own[:2] == ["dawgen", "run"] else files.name


def _own_command(files: RunFiles) -> list[str]:
    """Its words, the value of every option apart."""
    found: list[str] = []
    for word in map(str, files.run.get("command") or ()):
        name, equals, value = word.partition("=")
        found += [name, value] if equals and name.startswith("--") else [word]
    return found


def tune_command(files: RunFiles) -> list[str]:
    """The run's own data and settings, to tune on rows that were edited by hand."""
    own = _own_command(files)
    if own[:2] != ["dawgen", "run"]:
        own = ["dawgen", "run", "TASK.yaml", "--train", "ROWS.csv"]
    for option in _NOT_OF_TUNE:
        _drop(own, option)
    out = f"{place(files)}-edited"
    return ["dawgen", "tune", *own[2:], "--synthetic", "edited.csv", "--out", out]


# --- what is shipped -------------------------------------------------------------------


def _choice(files: RunFiles) -> Iterator[Verdict]:
    """Which candidate, and by how much it leads the prompt."""
    scores, predict = files.scores, ("dawgen", "predict", place(files), "NEW-ROWS.csv")
    by_name = {each["name"]: each for each in scores.get("candidates") or []}
    ours, prompt = by_name.get(shipped(scores)), by_name.get("prompt")
    if ours is None or len(by_name) < 2:
        return
    metric, n = metric_of(scores), ours["held_out_rows"]
    figures = reached(Result("", ours[f"held_out_{metric}"], 0, 1, n), "held-out rows", metric)
    text = (
        f"Shipped: {title(ours['name'], scores)}, chosen among {len(by_name)} candidates, "
        f"{'right on' if metric == 'accuracy' else 'with'} {figures}"
    )
    if prompt is None or prompt is ours:
        yield Verdict("choice", f"{text}.", command=predict)
        return
    yield Verdict(
        "choice",
        f"{text}; it alone is right on {prompt['shipped_better']} of them, the tuned prompt alone "
        f"on {prompt['shipped_worse']} (p = {prompt['p']:.2g}).",
        command=predict,
    )


# --- whether the written rows helped ---------------------------------------------------


_PROMPT = "the prompt"
_Pair = tuple[str, Result, Result, str]
"""What was compared, with written rows, without, and the rows that it was scored on."""


def _written(files: RunFiles, head: _Pair | None, prompt: _Pair | None) -> Iterator[Verdict]:
    """With written rows against without, of the shipped head and, beside it, of the prompt."""
    scores, pair = files.scores, head or prompt
    if not files.ledger or not is_number(scores.get("accuracy")):
        return
    if files.arm.get("combine") == "real" and (pair is None or pair[0] == _PROMPT):
        text = "Written rows were not used to tune the prompt: tuning.combine is real."
        yield Verdict("written", text, ("-s", "tuning.combine=surgery"))
        return
    if pair is None:
        text = "Whether written rows helped is not known: nothing was tuned on the shots alone."
        yield Verdict("written", text, ("-s", "tuning.baseline=true"))
        return
    what, more, less, scored_on = pair
    gap = 100 * (more.value - less.value)
    doubt = _doubt(more, less)
    figures = reached(more, scored_on, metric_of(scores))
    tuned = head is not None and files.arm.get("combine") != "real"
    beside = _beside(prompt) if tuned else ""
    if less.name:
        text = f"{what} reaches {figures}, {less.name} without written rows {less.value:.1%}"
        yield Verdict("written", f"With written rows {text}{doubt}.", _another_seed(files))
    elif abs(gap) < 0.05:
        text = f"Written rows made no difference to {what}: {figures}{beside}."
        yield Verdict("written", text, _another_seed(files))
    else:
        did = "helped" if gap > 0 else "hurt"
        text = f"Written rows {did} {what} by {abs(gap):.1f} points"
        text += f": {figures} instead of {less.value:.1%}{doubt}{beside}."
        worse = gap < 0 and what == _PROMPT and not doubt
        change = ("-s", "tuning.combine=real") if worse else _another_seed(files)
        yield Verdict("written", text, change)


def _beside(prompt: _Pair | None) -> str:
    """What written rows did to the prompt, said after what they did to the shipped head."""
    if prompt is None or prompt[2].name:
        return ""
    _, more, less, _ = prompt
    return f"; the prompt has {more.value:.1%} with them and {less.value:.1%} without"


def _doubt(one: Result, other: Result) -> str:
    """Said of two figures whose intervals overlap."""
    apart = one.low > other.high or other.low > one.high
    return "" if apart else " (may be chance: the intervals overlap)"


def _another_seed(files: RunFiles) -> tuple[str, ...]:
    """The same with another seed, in a folder of its own."""
    seed = files.run.get("seed")
    other = seed + 1 if isinstance(seed, int) else 21
    return ("--seed", str(other), "--out", f"{place(files)}-{other}")


def _head_pair(scores: dict[str, Any]) -> _Pair | None:
    """The shipped linear head, with and without written rows."""
    head = shipped(scores).removesuffix(WRITTEN)
    by_name = {each["name"]: each for each in scores.get("candidates") or []}
    less, more = by_name.get(head), by_name.get(head + WRITTEN)
    if not less or not more or "test_accuracy" not in less or "test_accuracy" not in more:
        return None
    with_rows, without = (_on_test_rows(part, scores) for part in (more, less))
    return title(head, scores), with_rows, without, scores.get("scored_on", "test rows")


def _prompt_pair(scores: dict[str, Any]) -> _Pair | None:
    """The prompt against the one of the shots alone; else the best candidate of the shots alone."""
    prompt, scored_on = scores.get("prompt") or scores, scores.get("scored_on", "test rows")
    metric = metric_of(scores)
    if not is_number(prompt.get(metric)):
        return None
    n = int(prompt.get("n", scores.get("n", 0)))
    more = result_of("", prompt, n, metric)
    baseline = scores.get("baseline") or {}
    if is_number(baseline.get(metric)):
        less = result_of("", baseline, int(baseline.get("n", n)), metric)
        return _PROMPT, more, less, scored_on
    alone = [
        each
        for each in scores.get("candidates") or []
        if not each["name"].endswith((WRITTEN, UNLABELLED))
        and each["name"] not in _NOT_ALONE
        and "test_accuracy" in each
    ]
    if not alone:
        return None
    best = max(alone, key=lambda each: float(each[f"held_out_{metric}"]))
    return _PROMPT, more, _on_test_rows(best, scores, title(best["name"], scores)), scored_on


def _on_test_rows(candidate: dict[str, Any], scores: dict[str, Any], name: str = "") -> Result:
    part = {key.removeprefix("test_"): value for key, value in candidate.items()}
    return result_of(name, part, int(scores["n"]), metric_of(scores))


# --- whether the figures can be trusted ------------------------------------------------


def _honesty(files: RunFiles) -> Iterator[Verdict]:
    scores = files.scores
    if scores.get("scored_on") == "development shots":
        text = (
            f"There are no test rows: the {scores['n']:,} rows scored had a part in the choice of "
            "the classifier, so the figures flatter."
        )
        yield Verdict("test", text, ("--test", "HELD-OUT.csv"))
    if overlap := files.run.get("overlap"):
        text = f"{overlap:,} of the test rows repeat a few-shot row, so the accuracy flatters."
        yield Verdict("overlap", text, ("--test", "OTHER-ROWS.csv"))
    held = (f"encoder: {name}" in files.settings for name in (PREFERRED, PACKAGED))
    if any(held) and _reads_across(scores) and scores.get("task") in LEARNT_FROM:
        text = (
            f"The cross-encoder has learnt from other labelled rows of {scores['task']}, so the "
            "figures are higher than on a task of your own."
        )
        yield Verdict("learnt", text, ("-s", "selection.encoder=minilm"))


def _reads_across(scores: dict[str, Any]) -> bool:
    """Whether the shipped classifier has a cross-encoder, which is a factor of a product with
    states in a run that compares it."""
    name = shipped(scores) or ""
    compared = {each["name"] for each in scores.get("candidates") or []}
    return "cross" in name or ("cross-encoder" in compared and "embeddings+states" in name)


def has_packaged_encoder(files: RunFiles) -> bool:
    """Whether the run compared heads on the sentence encoder that needs no download."""
    names = {each["name"] for each in files.scores.get("candidates") or []}
    return f"encoder: {PACKAGED}" in files.settings and "embeddings" in names


def _encoder(files: RunFiles) -> Iterator[Verdict]:
    """What a download would bring (docs/results.md)."""
    if has_packaged_encoder(files):
        text = (
            "The sentence embeddings are those of the embedded model. MPNet, a download of 404 MB, "
            "was 7 points better on five tasks of one text, and 4 on four of pairs; get it, and "
            "run again."
        )
        yield Verdict("encoder", text, command=("dawgen", "backbones", "get", "mpnet"))


def _no_better(scores: dict[str, Any]) -> Iterator[Verdict]:
    """Where no tuning, or no model at all, does better than what is shipped."""
    found = {result.name: result for result in results(scores)}
    ours = found.get(shipped_result(scores))
    if ours is None:
        return
    for name, what in (
        (ZERO_SHOT, "The untuned backbone is better"),
        (MAJORITY, "Always giving the most frequent label is better"),
    ):
        other = found.get(name)
        if other and other is not ours and other.value - ours.value >= 0.0005:
            gap = 100 * (other.value - ours.value)
            text = (
                f"{what} by {gap:.1f} points: {reached(other, 'rows', metric_of(scores))} against "
                f"{ours.value:.1%}{_doubt(other, ours)}."
            )
            yield Verdict("no better", text, ("-s", "selection.candidates=all"))
            return


# --- labels ----------------------------------------------------------------------------


def _more_examples(files: RunFiles) -> tuple[str, ...]:
    """The same with twice as many labelled rows per label."""
    rows, labels = (files.run.get("rows") or {}).get("train"), files.scores.get("confusion")
    shots = ("--shots", str(2 * math.ceil(rows / len(labels)))) if rows and labels else ()
    return ("--train", "MORE-ROWS.csv", *shots)


def _never(files: RunFiles) -> Iterator[Verdict]:
    """Labels that rows have and that are never answered."""
    labels = files.scores.get("labels") or {}
    never = [name for name, part in labels.items() if part["n"] and part.get("predicted") == 0]
    if never:
        n, more = labels[never[0]]["n"], len(never) - 1
        others = f", and {more} labels more" if more > 1 else ", and one label more" if more else ""
        text = f"Label {never[0]} is never answered ({n:,} rows have it){others}."
        yield Verdict("never", text, _more_examples(files))


def _confused(files: RunFiles) -> Iterator[Verdict]:
    """The label and the other label that it gets most often by mistake."""
    pairs = [
        (count / n, count, n, label, other)
        for label, row in (files.scores.get("confusion") or {}).items()
        if (n := sum(row.values()))
        for other, count in row.items()
        if other != label and count >= FEWEST_CONFUSED
    ]
    if pairs and (worst := max(pairs))[0] >= CONFUSED:
        share, count, n, label, other = worst
        text = f"{count:,} of {n:,} rows of label {label} are answered {other} ({share:.0%})."
        yield Verdict("confused", text, _more_examples(files))


# --- tuning ----------------------------------------------------------------------------


def _step(files: RunFiles) -> Iterator[Verdict]:
    """Whether the chosen step is at an end of the tuning.

    That the last prompt was kept says nothing where it is always kept; it is the best one if no
    other was more accurate, or as accurate at a lower loss, or if its loss is the lowest.
    """
    rows = [
        row
        for row in files.tuning_log
        if is_number(row.get("dev_accuracy")) and is_number(row.get("dev_loss"))
    ]
    best, rate = files.arm.get("best_step"), files.arm.get("learning_rate")
    if best is None or not rows:
        return
    looked = [row["step"] for row in rows]
    likeliest = min(rows, key=lambda row: row["dev_loss"])
    hits = "dev_macro_f1" if is_number(likeliest.get("dev_macro_f1")) else "dev_accuracy"
    ablest = max(rows, key=lambda row: (row[hits], -row["dev_loss"]))
    if best == max(looked) > 0 and best in (likeliest["step"], ablest["step"]):
        text = f"The last step, {best:,}, was the best one: the prompt may still get better."
        yield Verdict("step", text, ("-s", f"tuning.steps={2 * best}"))
    elif best <= min(looked) and is_number(rate):
        start = "the untuned start" if best == 0 else f"step {best:,}, the first one looked at"
        text = f"Tuning made the prompt no better than {start}, on the development shots."
        yield Verdict("step", text, ("-s", f"tuning.learning_rate={rate / 3:.1g}"))
