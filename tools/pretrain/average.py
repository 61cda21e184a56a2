"""The mean of checkpoints' weights: a checkpoint of its own, with the last one's optimiser.

    python -m tools.pretrain.average RUN/step-A RUN/step-B ... --out RUN

Weights of one training run's phases lie close enough for their mean to judge better than each
("model soups", Wortsman et al. 2022). The state is that of the checkpoint with the most steps, and
``averaged`` in it lists the steps that were taken together, an average's own included.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from safetensors.torch import load_file, save_file
from torch import Tensor


def mean_of(checkpoints: Sequence[Path]) -> dict[str, Tensor]:
    """Each tensor's mean over the checkpoints.

    Raises:
        ValueError: they do not hold the same tensors.
    """
    total = load_file(checkpoints[0] / "weights.safetensors")
    for checkpoint in checkpoints[1:]:
        more = load_file(checkpoint / "weights.safetensors")
        if set(more) != set(total):
            raise ValueError(f"{checkpoint} holds other tensors than {checkpoints[0]}")
        for name, tensor in more.items():
            total[name] += tensor
    return {name: tensor / len(checkpoints) for name, tensor in total.items()}


def average(checkpoints: Sequence[Path], out: Path) -> Path:
    """Write ``out/step-N``, N being the most steps of any of the checkpoints.

    Raises:
        ValueError: fewer than two checkpoints, or such as do not fit together.
        FileExistsError: ``out/step-N`` is there.
    """
    if len(checkpoints) < 2:
        raise ValueError("an average takes two checkpoints or more")
    states = [json.loads((path / "state.json").read_text(encoding="utf-8")) for path in checkpoints]
    steps = [state["step"] for state in states]
    place = steps.index(max(steps))
    final = out / f"step-{max(steps):07d}"
    if final.exists():
        raise FileExistsError(f"{final} is there; name another folder with --out")
    mean = mean_of(checkpoints)
    partial = out / f".{final.name}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    save_file(mean, partial / "weights.safetensors")
    shutil.copy2(checkpoints[place] / "optimiser.safetensors", partial / "optimiser.safetensors")
    state = {**states[place], "averaged": [*states[place].get("averaged", []), sorted(steps)]}
    (partial / "state.json").write_text(json.dumps(state), encoding="utf-8")
    partial.replace(final)
    return final


def main() -> None:
    """Read the command line and write the mean."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("checkpoints", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, required=True, help="a run's folder")
    arguments = parser.parse_args()
    print(f"wrote {average(arguments.checkpoints, arguments.out)}")


if __name__ == "__main__":
    main()
