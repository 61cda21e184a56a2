"""How to ask a GGUF file with words alone: beside the script, for llama.cpp and Ollama."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from dawgen.exporting.gguf import FILE, prompt_names

if TYPE_CHECKING:
    from dawgen.backbone import Backbone
    from dawgen.tasks import TaskCard


def asking(card: TaskCard, backbone: Backbone, length: int) -> str:
    """The text of ``ask.md``."""
    before = "".join(prompt_names(length)) + _lead(backbone)
    template = backbone.template(card).rstrip(" ")
    words = "\n".join(f"- `{card.label_words[label]}`: {label}" for label in card.labels)
    return f"""# Asking {card.name} in words

The tuned prompt is {length} tokens of the vocabulary. A question is these tokens, the template with
the texts in place, and nothing behind it:

```
{before}{template}
```

The label whose word is likeliest as the next word is the answer:

{words}

Each word has a blank before it. Compare the words' probabilities, as `predict.py` does: what a
model writes with temperature 0 need not be one of them.

llama.cpp parses the tokens in a prompt:

```sh
llama-cli -m {FILE} -no-cnv --temp 0 -n 4 -p '<the text above, filled in>'
```

Ollama (`ollama create {card.name} -f Modelfile`) puts them before a text that it is sent. Send the
template with the texts in place.
"""


def modelfile(backbone: Backbone, length: int) -> str:
    """Ollama's description of the model."""
    before = "".join(prompt_names(length)) + _lead(backbone)
    return (
        f"FROM ./{FILE}\n"
        f"TEMPLATE {json.dumps(before + '{{ .Prompt }}')}\n"
        "PARAMETER temperature 0\n"
        "PARAMETER num_predict 4\n"
    )


def _lead(backbone: Backbone) -> str:
    """The marks that the tokenizer itself puts before a text."""
    lead, _ = backbone.texts.around
    return "".join(backbone.tokenizer.convert_ids_to_tokens(lead))
