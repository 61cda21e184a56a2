"""A killed run goes on, and ends with the bytes of one that was never killed.

The long form, with every named point and many random moments, is `python -m tests.faults.long`.
"""

from __future__ import annotations

import random

import pytest

from tests.faults.harness import Harness, Trial
from tests.faults.server import Disturbance

STOPPED = "dawgen: stopped; finished work is saved, and the same command resumes from it."


def assert_equal(trial: Trial) -> None:
    codes = [outcome.code for outcome in trial.outcomes]
    assert trial.continued, (codes, trial.outcomes[-1].err)
    assert not trial.different, codes
    assert not trial.left, codes


def rename_of(harness: Harness, part: str, nth: int = 1) -> int:
    """The number of the nth rename to a path with this in it."""
    renames = harness.undisturbed.renames
    return [number for number, name in enumerate(renames, 1) if part in name][nth - 1]


@pytest.mark.slow
def test_five_kills_at_random_moments_and_named_points_of_one_run(harness: Harness) -> None:
    stream = random.Random(5)
    trial = harness.try_out(
        [
            Disturbance(after=stream.uniform(0.2, 0.6) * harness.undisturbed.seconds),
            Disturbance(at=(1, "before")),
            Disturbance(at=(2, "after")),
            Disturbance(at=(3, "before")),
            Disturbance(after=stream.uniform(0.2, 0.6) * harness.undisturbed.seconds),
        ]
    )
    assert sum(outcome.code == -9 for outcome in trial.outcomes) >= 3
    assert_equal(trial)


@pytest.mark.slow
def test_killed_within_generator_tuning_it_goes_on_within_it(harness: Harness) -> None:
    third = rename_of(harness, "generator-", 3)
    trial = harness.try_out([Disturbance(at=(third, "after"))])
    assert trial.outcomes[0].code == -9
    assert "generator tuning continues after step 3 of 8" in trial.outcomes[1].err
    assert_equal(trial)


def test_killed_within_prompt_tuning_it_goes_on_within_it(harness: Harness) -> None:
    sixth = rename_of(harness, "tuning-", 6)  # between two looks at the development rows
    trial = harness.try_out([Disturbance(at=(sixth, "after"))])
    assert trial.outcomes[0].code == -9
    assert "prompt tuning continues after step 6 of 12" in trial.outcomes[1].err
    assert_equal(trial)


@pytest.mark.slow
def test_killed_between_the_two_folders_of_a_stage(harness: Harness) -> None:
    prompt = harness.undisturbed.renames.index(str(harness.folder / "undisturbed" / "prompt")) + 1
    assert_equal(harness.try_out([Disturbance(at=(prompt, "after"))]))


def test_stopped_by_sigterm_and_by_ctrl_c(harness: Harness) -> None:
    half = harness.undisturbed.seconds / 2
    trial = harness.try_out(
        [Disturbance(after=half, signal="TERM"), Disturbance(after=half / 2, signal="INT")]
    )
    for outcome, code in zip(trial.outcomes, (143, 130), strict=False):
        if outcome.code != 0:  # it had come to its end already
            assert outcome.code == code
            assert outcome.err.splitlines()[-1] == STOPPED
            assert "Traceback" not in outcome.err
            assert outcome.stop_seconds is not None
            assert outcome.stop_seconds < 5
    assert trial.outcomes[0].code == 143
    assert_equal(trial)
