"""Write the package's model folder from a checkpoint: bf16 safetensors, tokenizer, settings.

    python -m tools.pretrain.export --start DIR --out src/dawgen/backbone/tiny [--checkpoint DIR]

Every file is replaced whole, the weights last; other files of ``--out`` stay as they are.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import torch
from transformers import BartForConditionalGeneration

from tools.pretrain import checkpoint

LARGEST = 48_000_000  # bytes of the weights
ORDER = ("tokenizer.json", "tokenizer_config.json", "generation_config.json", "config.json")


def export(start: Path, out: Path, trained: Path | None) -> int:
    """Export; return the weights' size in bytes.

    Raises:
        ValueError: the weights are larger than the package allows.
    """
    model = BartForConditionalGeneration.from_pretrained(str(start), dtype=torch.float32)
    if trained is not None:
        checkpoint.load_weights(trained, model)
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out, prefix=".export-") as name:
        partial = Path(name)
        model.bfloat16().save_pretrained(str(partial))
        tokenizer = json.loads((start / "tokenizer_config.json").read_text(encoding="utf-8"))
        tokenizer["tokenizer_class"] = "PreTrainedTokenizerFast"
        (partial / "tokenizer_config.json").write_text(
            json.dumps(tokenizer, indent=2) + "\n", encoding="utf-8"
        )
        (partial / "tokenizer.json").write_bytes((start / "tokenizer.json").read_bytes())
        weights = partial / "model.safetensors"
        size = weights.stat().st_size
        if size > LARGEST:
            raise ValueError(f"the weights take {size} bytes, more than {LARGEST}")
        for file in (*ORDER, "model.safetensors"):
            (partial / file).chmod(0o644)
            (partial / file).replace(out / file)
    return size


def main() -> None:
    """Export the checkpoint named, or the untrained start."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--start", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--checkpoint", type=Path, help="a step-N folder, or a run with some")
    arguments = parser.parse_args()
    trained = arguments.checkpoint
    if trained is not None and not (trained / "state.json").exists():
        trained = checkpoint.checkpoints(trained)[-1]
    size = export(arguments.start, arguments.out, trained)
    print(f"{arguments.out}: {size / 1e6:.1f} MB from {trained or arguments.start}")


if __name__ == "__main__":
    main()
