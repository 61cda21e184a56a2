"""The model card of an exported prompt: what it does, how well, and what it is not for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from huggingface_hub import EvalResult, ModelCardData

from dawgen.reading import as_dawgen_writes, read_json
from dawgen.synthesis.card import plain, table
from dawgen.synthesis.provenance import model_licence, model_name

if TYPE_CHECKING:
    from dawgen.backbone import Backbone
    from dawgen.settings import Settings
    from dawgen.tasks import TaskCard

_LOADING = {
    "peft": "a PEFT prompt-tuning adapter",
    "hf": "a transformers checkpoint with the prompt baked in as tokens",
    "ctranslate2": "a CTranslate2 model with the prompt baked in as tokens",
}
_LIBRARY = {"peft": "peft", "hf": "transformers", "ctranslate2": "ctranslate2"}


def model_card(run: Path, card: TaskCard, settings: Settings, backbone: Backbone, to: str) -> str:
    """The text of README.md: hub metadata, then prose, scores with their seed, limits, use.

    Raises:
        UserError: scores or record of the run are not as dawgen writes them.
    """
    with as_dawgen_writes(run):
        return _model_card(run, card, settings, backbone, to)


def _model_card(run: Path, card: TaskCard, settings: Settings, backbone: Backbone, to: str) -> str:
    scores = read_json(run / "scores.json")
    record = read_json(run / "run.json")
    name = f"{card.name}, a prompt tuned by dawgen"
    data = ModelCardData(
        base_model=None if _local(backbone.name) else backbone.name,
        library_name=_LIBRARY[to],
        license=_licence(backbone),
        pipeline_tag="text-classification",
        tags=["prompt-tuning", "few-shot", "dawgen"],
        model_name=name,
        eval_results=_evaluation(card, scores),
    )
    parts = [
        f"---\n{data.to_yaml()}\n---\n",
        f"# {plain(card.name)}: {_LOADING[to]}\n",
        _introduction(card, settings, backbone, record),
        _scores(card, scores),
        _use(to),
        _limits(),
    ]
    return "\n".join(parts)


def _local(name: str) -> bool:
    return name == "dawgen/tiny" or Path(name).expanduser().is_dir()


def _licence(backbone: Backbone) -> str:
    """The backbone's; what is no name of a licence is "other" to the hub."""
    found = model_licence(backbone.name)
    return "other" if " " in found else found


def _evaluation(card: TaskCard, scores: dict[str, Any]) -> list[EvalResult] | None:
    """Accuracy for the hub's own table; only of test rows."""
    if scores.get("scored_on") != "test rows":
        return None
    return [
        EvalResult(
            task_type="text-classification",
            dataset_type=card.hub.path if card.hub else card.name,
            dataset_name=card.name,
            metric_type="accuracy",
            metric_value=round(scores["accuracy"], 4),
            metric_name=f"accuracy, n = {scores['n']}, seed {scores['seed']}",
        )
    ]


def _introduction(
    card: TaskCard, settings: Settings, backbone: Backbone, record: dict[str, Any]
) -> str:
    shots = (record.get("rows") or {}).get("train")
    facts = [
        ["task", f"{card.name}, version {card.version}. {card.description}"],
        ["labels", ", ".join(f"{label} ({card.label_words[label]})" for label in card.labels)],
        ["template", card.template],
        ["backbone, frozen", model_name(backbone.name)],
        ["its fingerprint", backbone.fingerprint],
        ["few-shot rows", f"{shots:,}" if shots else "unknown"],
        ["few-shot rows' hash", str((record.get("data") or {}).get("train", "unknown"))],
        ["generator", settings.generator.method],
        ["synthetic rows combined by", settings.tuning.combine],
        ["seed", str(settings.seed)],
        ["made with", f"dawgen {record.get('dawgen', 'unknown')}"],
    ]
    return "\n".join(
        [
            "The backbone was not changed: what was learnt is a soft prompt, vectors before the "
            "input, from a few labelled rows and from rows that a generator tuned on them wrote "
            "(Guo et al., *Generating Synthetic Datasets for Few-shot Prompt Tuning*, COLM "
            "2024).\n",
            *table(["", ""], facts),
            "",
        ]
    )


def _scores(card: TaskCard, scores: dict[str, Any]) -> str:
    if "accuracy" not in scores:
        return "## Scores\n\nIt has not been scored.\n"
    lines = [["this prompt", scores]] + [
        [name, scores[key]]
        for key, name in (
            ("baseline", "prompt tuning on the few shots alone"),
            ("zero_shot", "no prompt"),
        )
        if key in scores
    ]
    rows = []
    for name, part in lines:
        low, high = part["accuracy_95"]
        rows.append([name, f"{part['accuracy']:.1%}", f"{low:.1%} to {high:.1%}", f"{part['n']:,}"])
    head = ["", "accuracy", "95 % interval", "n"]
    note = (
        f"On {scores.get('scored_on', 'test rows')}, seed {scores['seed']}. One seed: other shots "
        "or another seed move these figures by points; the interval is of the rows only."
    )
    return "\n".join(["## Scores\n", note, "", *table(head, rows), ""])


def _use(to: str) -> str:
    more = "" if to != "peft" else " [BASE]"
    return f"""## Use

`predict.py` labels the rows of a CSV or JSONL file and needs no dawgen; its few lines show how
the prompt is loaded. `task.json` has the template and the label words.

```sh
python predict.py rows.csv{more}
```
"""


def _limits() -> str:
    return """## Limits

It knows the task from a handful of rows and from machine-written ones that nobody has checked. It
labels every row, also those that have none of the labels. It carries the biases of the backbone and
of the text its synthetic rows began with. Do not let it decide about people. Rows longer than the
backbone reads are cut.
"""
