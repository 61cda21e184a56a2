"""Golden figures: what every stage of a small run computes, to hold a change against.

    python -m tools.golden check     compare with tests/golden (exit code 1 where they differ)
    python -m tools.golden write     write the figures of this checkout there

A change that should compute nothing new must leave every figure as it is: bit for bit on the
machine and with the library versions that the file names, within a tolerance elsewhere. Only the
command line and the files of a run folder are used, so moving code does not touch this script.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

FOLDER = Path(__file__).resolve().parents[1] / "tests" / "golden"
TOLERANCE = 1e-3
SMALL = [
    "generator.prompt_length=4", "generator.epochs=1", "generator.batch_size=4",
    "synthesis.rows_per_label=6", "synthesis.oversample=1", "synthesis.max_new_tokens=24",
    "tuning.prompt_length=4", "tuning.optimizer=adamw", "tuning.learning_rate=0.01",
    "tuning.batch_size=4", "tuning.synthetic_batch_size=4", "tuning.steps=6", "tuning.eval_every=3",
    "selection.candidates=paper",
]  # fmt: skip
CAUSAL = ["synthesis.cleaning.skip=[cut off, broken text, too short, other script, empty]"]


def causal_model(folder: Path) -> Path:
    """A random causal model of 32 units with a byte-level tokenizer, saved to ``folder``."""
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    from tests.conftest import plain_tokenizer

    tokenizer = plain_tokenizer()
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=len(tokenizer), n_embd=32, n_layer=2, n_head=4, n_positions=1024,
        bos_token_id=0, eos_token_id=0, initializer_range=0.2,
    )  # fmt: skip
    GPT2LMHeadModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def figures(out: Path, settings: list[str]) -> dict[str, Any]:
    """Run the demo card and read each stage's figures from the run folder."""
    flags = [part for setting in settings for part in ("-s", setting)]
    command = [sys.executable, "-m", "dawgen", "run", "demo", "--out", str(out), *flags]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.stderr[-2000:]}")
    shards = sorted((out / "synthetic").glob("shard-*.parquet"))
    rows = [row for shard in shards for row in pq.read_table(shard).to_pylist()]
    texts = [[row["text1"], row["text2"], row["label"]] for row in rows]
    scores = json.loads((out / "scores.json").read_text("utf-8"))
    return {
        "generator": _log(out / "generator" / "log.jsonl"),
        "synthesis": {"rows": len(rows), "sha256": _hash(texts)},
        "tuning": _log(out / "prompt" / "log.jsonl"),
        "evaluation": {k: scores[k] for k in ("accuracy", "n", "labels", "ece") if k in scores},
    }


def _log(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def _hash(value: object) -> str:
    return hashlib.sha256(json.dumps(value, ensure_ascii=False).encode()).hexdigest()


def machine() -> dict[str, str]:
    """What the last digits depend on."""
    from importlib.metadata import version

    model = "unknown"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    packages = ("torch", "transformers", "numpy", "tokenizers")
    return {"processor": model, **{name: version(name) for name in packages}}


def differences(expected: Any, found: Any, exact: bool, where: str = "") -> list[str]:
    """Places at which two trees of figures differ. Texts are compared only where ``exact``."""
    if isinstance(expected, dict) and isinstance(found, dict):
        keys = [*expected, *(key for key in found if key not in expected)]
        return [
            line
            for key in keys
            for line in differences(expected.get(key), found.get(key), exact, f"{where}.{key}")
        ]
    if isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        pairs = enumerate(zip(expected, found, strict=True))
        return [x for i, (a, b) in pairs for x in differences(a, b, exact, f"{where}[{i}]")]
    if isinstance(expected, float) and isinstance(found, float | int) and not exact:
        same = math.isclose(expected, found, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
    elif where.endswith("sha256") and not exact:
        same = True
    else:
        same = expected == found
    return [] if same else [f"{where.lstrip('.')}: expected {expected!r}, found {found!r}"]


def main() -> int:
    """Write or check the golden files; returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("what", choices=("write", "check"))
    what = parser.parse_args().what
    lines: list[str] = []
    with tempfile.TemporaryDirectory() as temporary:
        home = Path(temporary)
        model = causal_model(home / "model")
        runs = {
            "tiny": ["backbone.path=dawgen/tiny", *SMALL],
            "causal": [f"backbone.path={model}", *SMALL, *CAUSAL],
        }
        for name, settings in runs.items():
            found = figures(home / name, settings)
            path = FOLDER / f"{name}.json"
            if what == "write":
                FOLDER.mkdir(exist_ok=True)
                text = json.dumps({"machine": machine(), **found}, indent=1, ensure_ascii=False)
                path.write_text(text + "\n", "utf-8")
                print(f"{path.name} written")
                continue
            expected = json.loads(path.read_text("utf-8"))
            exact = expected.pop("machine") == machine()
            lines += [f"{name}.{line}" for line in differences(expected, found, exact)]
            kind = "bit for bit" if exact else f"within {TOLERANCE}"
            print(f"{name}: compared {kind}")
    print("\n".join(lines[:40]) if lines else "no difference" if what == "check" else "")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
