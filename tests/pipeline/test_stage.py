"""What is done around every stage, seen with stages that only write a file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from dawgen.backbone import Backbone
from dawgen.pipeline.limits import Costs
from dawgen.pipeline.stage import Context, Stage, Workspace, held, make, make_all
from dawgen.pipeline.tracking import no_tracking
from dawgen.storage.folder import RunFolder
from dawgen.tasks import Shots, load_card
from dawgen.tasks.job import Job


class Nameless:
    """As much of a backbone as a fingerprint needs."""

    fingerprint = "abc"


@pytest.fixture
def context(tmp_path: Path) -> Context:
    job = Job(load_card("demo"), Shots([], []), None)
    return Context(RunFolder(tmp_path / "run"), job, cast(Backbone, Nameless()), 13)


def stage(name: str = "generator", text: str = "a", says: str = "writing a file") -> Stage:
    def build(workspace: Workspace) -> dict[str, Any]:
        workspace.folder.mkdir()
        (workspace.folder / "file").write_text(text)
        return {"letters": len(text)}

    return Stage(name, says, name, lambda: {"text": text}, build)


def test_a_stage_is_made_once_for_the_same_inputs(context: Context) -> None:
    with held(context.folder):
        make(stage(), context)
        assert context.folder.stages["generator"]["letters"] == 1
        make(stage(), context)
        record = context.folder.stages["generator"]
        assert (record["skipped"], "letters" in record) == (True, False)
        make(stage(text="bb"), context)
    assert not context.folder.stages["generator"]["skipped"]
    assert (context.path / "generator" / "file").read_text() == "bb"


def test_what_a_stopped_stage_left_is_there_until_it_is_done(context: Context) -> None:
    def stops(workspace: Workspace) -> None:
        workspace.checkpoint.write_text("state")
        workspace.parts.mkdir()
        raise KeyboardInterrupt

    def goes_on(workspace: Workspace) -> None:
        assert workspace.checkpoint.read_text() == "state"
        assert workspace.parts.is_dir()
        workspace.folder.mkdir()

    with held(context.folder):
        with pytest.raises(KeyboardInterrupt):
            make(replace(stage(), build=stops), context)
        assert not (context.path / "generator").exists()
        make(replace(stage(), build=goes_on), context)
    assert sorted(path.name for path in context.path.iterdir()) == [".lock", "generator"]


def test_what_comes_after_knows_whether_the_folder_changed(context: Context) -> None:
    changes: list[bool] = []
    with held(context.folder):
        for text in ("a", "a", "bb", "a"):  # the last one comes back from what was kept
            make(replace(stage(text=text), after=changes.append), context)
    assert changes == [True, False, True, True]


def test_stages_are_announced_and_measured_unless_they_take_a_moment(
    context: Context, capsys: pytest.CaptureFixture[str]
) -> None:
    quiet = stage("map", says="")
    both = [stage(), stage("prompt", says="tuning"), quiet]
    costs = Costs()
    with held(context.folder):
        make_all(both, context, no_tracking, costs)
        make_all(both, context, no_tracking, costs)
    lines = capsys.readouterr().err.splitlines()
    assert lines[:4] == [
        "dawgen: 1/2 writing a file",
        "  done in 0 s",
        "dawgen: 2/2 tuning",
        "  done in 0 s",
    ]
    assert lines[4:] == [
        "dawgen: 1/2 writing a file",
        "  there already, made with the same settings from the same rows",
        "dawgen: 2/2 tuning",
        "  there already, made with the same settings from the same rows",
    ]
    assert list(costs.spent) == ["generator", "prompt"]
    assert "peak_memory_mib" not in context.folder.stages["map"]
