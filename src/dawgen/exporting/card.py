"""The model card of an export: what it does, how well, and what it is not for."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from huggingface_hub import EvalResult, ModelCardData

from dawgen.backbone.registry import known_backbone
from dawgen.report.candidates import WRITTEN
from dawgen.report.read import read_run
from dawgen.report.verdicts import about_rows
from dawgen.storage.reading import as_dawgen_writes, read_json
from dawgen.synthesis.card import plain, table
from dawgen.synthesis.provenance import model_licence, model_name

if TYPE_CHECKING:
    from dawgen.backbone import Backbone
    from dawgen.settings import Settings
    from dawgen.tasks import TaskCard

_LOADING = {
    "choice": "linear heads with the models that they read with",
    "peft": "a PEFT prompt-tuning adapter",
    "hf": "a transformers checkpoint with the prompt baked in as tokens",
    "ctranslate2": "a CTranslate2 model with the prompt baked in as tokens",
    "gguf": "a GGUF model for llama.cpp with the prompt baked in as tokens",
    "onnx": "an ONNX graph from token ids to probabilities",
}
_LIMITS = """## Limits

It knows the task from a handful of rows{written}. It labels every row, also those that have none of
the labels. It carries the biases of the models that it reads with{sources}. Do not let it decide
about people. Rows longer than these read are cut.
"""
_OF_WRITTEN = {
    "written": " and from machine-written ones that nobody has checked",
    "sources": " and of the text its synthetic rows began with",
}
_LIBRARY = {
    "peft": "peft",
    "hf": "transformers",
    "ctranslate2": "ctranslate2",
    "gguf": "gguf",
    "onnx": "onnx",
}


@dataclass(frozen=True)
class Exported:
    """What the card is of.

    Attributes:
        choice: the name of the run's shipped choice; None for its tuned prompt.
        backbone: the language model that it needs.
        encoder: the name of the sentence encoder that it needs.
        prompted: the language model answers, behind a prompt or, zero-shot, behind none.
    """

    choice: str | None
    backbone: Backbone | None
    encoder: str | None = None
    prompted: bool = False

    @property
    def knows_written(self) -> bool:
        """Whether it has learnt from written rows."""
        name = self.choice
        if name is None or name in ("prompt", "noisy-channel", "average"):
            return True
        return name.endswith(WRITTEN)


def model_card(run: Path, card: TaskCard, settings: Settings, what: Exported, to: str) -> str:
    """The text of README.md: hub metadata, then prose, scores with their seed, limits, use.

    Raises:
        UserError: scores or record of the run are not as dawgen writes them.
    """
    with as_dawgen_writes(run):
        scores, record = read_json(run / "scores.json"), read_json(run / "run.json")
        if what.choice is None:
            scores |= scores.get("prompt") or {}  # the run may ship something else
        base = what.encoder if what.backbone is None else what.backbone.name
        licence = "other" if base is None else model_licence(base)
        kind = "a prompt tuned by dawgen" if what.choice is None else f"{what.choice} by dawgen"
        data = ModelCardData(
            base_model=None if base is None or is_local(base) else base,
            library_name=_LIBRARY.get(to),
            license="other" if " " in licence else licence,  # to the hub, what is no name of one
            tags=[*(["prompt-tuning"] if what.choice is None else []), "few-shot", "dawgen"],
            model_name=f"{card.name}, {kind}",
            eval_results=_evaluation(card, scores),
        )
        parts = [
            f"---\n{data.to_yaml()}\n---\n",
            f"# {plain(card.name)}: {_LOADING[to]}\n",
            _introduction(card, settings, what, record),
            _scores(card, scores, "this prompt" if what.choice is None else "this classifier"),
            _written_rows(run) if what.knows_written else "",
            _use(card, what, to),
            _LIMITS.format_map(
                _OF_WRITTEN if what.knows_written else dict.fromkeys(_OF_WRITTEN, "")
            ),
        ]
        return "\n".join(part for part in parts if part)


def is_local(name: str) -> bool:
    """Whether a backbone lies on this machine alone, so that the hub does not have its name."""
    return known_backbone(name) is not None or Path(name).expanduser().exists()


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


def _other_writer(settings: Settings) -> list[list[str]]:
    """The language model that wrote rows and its licence, where it is not the backbone."""
    name = settings.generator.backbone
    if name in (None, settings.backbone.path):
        return []
    return [["rows written by", model_name(name)], ["its licence", model_licence(name)]]


def _introduction(
    card: TaskCard, settings: Settings, what: Exported, record: dict[str, Any]
) -> str:
    rows = record.get("rows") or {}
    shots = rows.get("train") if what.choice is None else rows.get("used", rows.get("train"))
    backbone = what.backbone
    model = (
        []
        if backbone is None
        else [
            ["backbone, frozen", model_name(backbone.name)],
            ["its fingerprint", backbone.fingerprint],
        ]
    )
    if backbone is not None and what.prompted:
        model = [["template", backbone.template(card)], *model]
    written = [
        ["generator", settings.generator.method],
        *_other_writer(settings),
        ["synthetic rows combined by", settings.tuning.combine],
    ]
    facts = [
        ["task", f"{card.name}, version {card.version}. {card.description}"],
        ["labels", ", ".join(f"{label} ({card.label_words[label]})" for label in card.labels)],
        ["columns", ", ".join(card.columns[role] for role in card.roles)],
        *model,
        ["labelled rows that it learnt from", f"{shots:,}" if shots else "unknown"],
        ["hash of the training rows", str((record.get("data") or {}).get("train", "unknown"))],
        *(written if what.knows_written else []),
        ["seed", str(settings.seed)],
        ["made with", f"dawgen {record.get('dawgen', 'unknown')}"],
    ]
    return "\n".join([_MADE if what.choice is None else _CHOSEN, *table(["", ""], facts), ""])


_MADE = (
    "The backbone was not changed: what was learnt is a soft prompt, vectors before the input, "
    "from a few labelled rows and from rows that a generator tuned on them wrote (Guo et al., "
    "*Generating Synthetic Datasets for Few-shot Prompt Tuning*, COLM 2024).\n"
)
_CHOSEN = (
    "This is the classifier that was best on held-out rows among those that dawgen compares: "
    "linear heads on counted words, on sentence embeddings and on a language model's states, "
    "zero-shot, and tuned prompts.\n"
)


def _scores(card: TaskCard, scores: dict[str, Any], name: str) -> str:
    if "accuracy" not in scores:
        return "## Scores\n\nIt has not been scored.\n"
    names = {"baseline": "prompt tuning on the few shots alone", "zero_shot": "no prompt"}
    lines = [(name, scores)]
    lines += [(name, scores[key]) for key, name in names.items() if key in scores]
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


def _written_rows(run: Path) -> str:
    """What the run's report says of the written rows."""
    found = [f"- {plain(verdict.text)}" for verdict in about_rows(read_run(run))]
    return "\n".join(["## The written rows\n", *found, ""]) if found else ""


def _use(card: TaskCard, what: Exported, to: str) -> str:
    backbone = what.backbone
    unknown = to == "peft" and backbone is not None and is_local(backbone.name)
    holds = "the template and the label words" if what.prompted else "the columns and the labels"
    text = f"""## Use

`predict.py` labels the rows of a CSV or JSONL file and needs no dawgen; its few lines show how
{"the prompt" if what.prompted else "the classifier"} is loaded. `task.json` has {holds}.

```sh
python predict.py rows.csv{" BASE" if unknown else ""}
```
"""
    if unknown and backbone is not None:
        text += f"""
BASE is the folder of the backbone {plain(model_name(backbone.name))}, which is not on the hub. That
of dawgen/tiny is `backbone/tiny` in the installed dawgen package.
"""
    if to == "gguf":
        text += """
`ask.md` shows how to ask it in words, in llama.cpp and in Ollama, for which `Modelfile` is.
"""
    if to == "hf":
        row = json.dumps({card.columns[role]: "..." for role in card.roles})
        text += f"""
From Python, in this folder:

```python
from predict import probabilities
from rows import answer

print(answer(probabilities({row})))
```

The model answers with a label word after the filled-in template and has no classification head. Do
not load it with `pipeline("text-classification")`: that puts an untrained head on it.
"""
    return text
