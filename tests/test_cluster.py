"""Grids and rows on a real local Ray cluster of three nodes, one of which is killed."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import torch

from dawgen.cluster import Cluster
from dawgen.errors import UserError
from tests.bench.toys import SmallGrid, write_grid
from tests.invariants.conftest import model_folder
from tests.invariants.jobs import CARD, SETTINGS, dawgen, files_of, rows, write_rows

ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'dawgen[cluster]'")
pytestmark = pytest.mark.slow

__all__ = ["model_folder"]


@pytest.fixture(scope="module")
def nodes() -> Iterator[Any]:
    """A head that does no work, and three nodes of one core each."""
    from ray.cluster_utils import Cluster as Nodes

    found = Nodes(initialize_head=True, head_node_args={"num_cpus": 0})
    for _ in range(3):
        found.add_node(num_cpus=1)
    found.wait_for_nodes()
    yield found
    ray.shutdown()
    found.shutdown()


def slow_square(number: int) -> int:
    time.sleep(1.0)
    return number * number


def refuse(number: int) -> int:
    raise UserError(f"{number} will not do.")


def kill_one(nodes: Any, when: Callable[[], bool]) -> Thread:
    """Kill a node that works, as soon as something is so."""

    def kill() -> None:
        while not when():
            time.sleep(0.2)
        nodes.remove_node(next(iter(nodes.worker_nodes)), allow_graceful=False)

    thread = Thread(target=kill)
    thread.start()
    return thread


def test_every_piece_is_there_once_although_a_node_is_killed(nodes: Any) -> None:
    found: list[int] = []
    thread = kill_one(nodes, when=lambda: len(found) >= 2)
    for square in Cluster(nodes.address).spread(slow_square, range(12)):
        found.append(square)
    thread.join()
    assert sorted(found) == [n * n for n in range(12)]
    nodes.add_node(num_cpus=1)  # for the tests that follow
    nodes.wait_for_nodes()


def test_pieces_come_in_their_order_where_asked(nodes: Any) -> None:
    found = Cluster(nodes.address).spread(slow_square, range(5), ordered=True)
    assert list(found) == [0, 1, 4, 9, 16]


def test_what_a_piece_raises_is_raised_here(nodes: Any) -> None:
    with pytest.raises(UserError, match=r"^7 will not do\.$"):
        Cluster(nodes.address).call(refuse, 7)


def test_a_worker_that_no_node_can_hold_is_refused(nodes: Any) -> None:
    with pytest.raises(UserError, match=r"No node of the cluster .* 64 CPU"):
        Cluster(nodes.address, cpus=64).call(slow_square, 1)


def test_a_grid_is_that_of_one_machine_although_a_node_is_killed(
    nodes: Any, tmp_path: Path, model_folder: Path
) -> None:
    torch.set_num_threads(1)
    grid: SmallGrid = write_grid(tmp_path, model_folder)
    methods = ["zero-shot", "prompt-tuning", "dawgen-surgery", "fine-tuning"]
    over = ["-s", "methods.fine_tuning.steps=4", "-s", "methods.fine_tuning.eval_every=2"]
    thread = kill_one(nodes, when=lambda: any(grid.out.glob("cells/*/*/*.json")))
    spread = grid.run("--cluster", nodes.address, "--stack", "2", *over, methods=methods)
    thread.join()
    assert spread.code == 0, spread.err
    assert "8 cells: 0 were there, 8 made, 0 failed" in spread.out
    there = {path.name: json.loads(path.read_text()) for path in grid.out.glob("cells/*/*/*.json")}
    grid.out.rename(tmp_path / "spread")
    alone = grid.run("--stack", "2", *over, methods=methods)
    assert alone.code == 0, alone.err
    here = {path.name: json.loads(path.read_text()) for path in grid.out.glob("cells/*/*/*.json")}
    assert len(there) == 8
    assert there.keys() == here.keys()
    costs = {"wall_seconds", "cpu_seconds", "peak_memory_mib", "energy_kwh", "hardware"}
    for name, cell in there.items():
        assert {k: v for k, v in cell.items() if k not in costs} == {
            k: v for k, v in here[name].items() if k not in costs
        }
    nodes.add_node(num_cpus=1)
    nodes.wait_for_nodes()


def test_rows_are_those_of_one_machine_byte_for_byte(
    nodes: Any, tmp_path: Path, model_folder: Path
) -> None:
    torch.set_num_threads(1)
    (tmp_path / "pairs.yaml").write_text(CARD)
    train = write_rows(tmp_path / "train.jsonl", rows(0, 8))
    dev = write_rows(tmp_path / "dev.jsonl", rows(20, 8))
    values = {**SETTINGS, "backbone.path": str(model_folder), "synthesis.shard_rows": 3}
    sets = [part for name, value in values.items() for part in ("-s", f"{name}={value}")]
    job = [tmp_path / "pairs.yaml", "--train", train, "--dev", dev, *sets]
    fitted = dawgen("fit-generator", *job, "--out", tmp_path / "fit")
    assert fitted.code == 0, fitted.err
    made = {}
    for name, more in {"here": [], "there": ["--cluster", nodes.address]}.items():
        out = tmp_path / name
        home = ["--generator", tmp_path / "fit" / "generator", "--out", out]
        outcome = dawgen("synthesize", *job, *home, "-s", "synthesis.batch_size=4", *more)
        assert outcome.code == 0, outcome.err
        made[name] = files_of(out / "synthetic")
    shards = [file for file in made["here"] if "shard-" in file]
    assert len(shards) == 2  # of 6 rows per label, 3 a shard
    assert made["there"] == made["here"]
