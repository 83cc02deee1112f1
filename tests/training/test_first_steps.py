"""The first step and the expected time of a run are shown as soon as they are known."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from pix2pix_jax.config import Loss
from pix2pix_jax.training.first_steps import FirstSteps
from pix2pix_jax.training.metrics.names import measured_metrics

METRICS = {
    "loss/discriminator": np.array([9.0, 0.5]),
    "loss/generator_l1": np.array([9.0, 0.25]),
    "gradient/generator": np.array([9.0, 1.0]),
}


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still; a test sets its time in seconds."""

    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr("time.perf_counter", lambda: clock.now)
    return clock


def test_the_losses_of_the_first_step_are_shown_at_once(small, clock, capsys):
    steps = FirstSteps(small, 0)
    assert steps.is_due
    steps.show(2, METRICS, is_logged=False)
    assert capsys.readouterr().out == "step 2/8  discriminator 0.500  generator_l1 0.250\n"
    assert not steps.is_due
    steps = FirstSteps(small, 0)
    steps.show(2, METRICS, is_logged=True)  # The log line of this step shows its losses.
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("first", "last", "seconds", "line"),
    [
        (0, 80_000, 1.0, "1.00 steps/s: all 80,000 steps take about 22 h 13 min"),
        (0, 5_400, 0.25, "4.00 steps/s: all 5,400 steps take about 22 min"),
        (400, 5_400, 2.0, "2.0 s per step: the 5,000 steps that are left take about 2 h 47 min"),
        (0, 100, 0.5, ""),  # This run takes less than a minute.
    ],
)
def test_the_expected_time_is_shown_after_ten_seconds_of_training(
    small, clock, capsys, first, last, seconds, line
):
    """The first step takes 50 s, because it includes compiling."""
    steps = FirstSteps(replace(small, train=replace(small.train, steps=last)), first)
    clock.now = 50.0
    steps.show(first + 1, METRICS, is_logged=True)
    shown = []
    for step in range(first + 2, first + 60):
        clock.now += seconds
        is_due = steps.is_due
        steps.show(step, METRICS if is_due else {}, is_logged=False)
        if is_due:
            shown.append(clock.now - 50.0)
    assert shown == [10.0]
    assert capsys.readouterr().out == (line and f"{line}\n")


def test_the_speed_leaves_out_outputs(small, clock, capsys):
    """The step takes 1 s. The log lines at steps 3 and 6 compile and evaluate for 8 s each."""
    steps = FirstSteps(replace(small, train=replace(small.train, steps=80_000)), 0)
    for step in range(1, 20):
        clock.now += 50.0 if step == 1 else 1.0
        is_logged = step in (3, 6)
        is_read = steps.is_due or is_logged
        steps.show(step, METRICS if is_read else {}, is_logged)
        if is_logged:
            clock.now += 8.0
        if is_read:
            steps.leave_out_output()
    lines = capsys.readouterr().out.splitlines()
    assert lines[1:] == ["1.00 steps/s: all 80,000 steps take about 22 h 13 min"]


def test_the_speed_leaves_out_the_compilation_of_a_second_program(small, clock, capsys):
    """A run that resumes at step 98 makes two single steps, then calls of ten steps of 2 s."""
    steps = FirstSteps(replace(small, train=replace(small.train, steps=80_098)), 98)
    calls = {99: 50.0, 100: 0.2, 110: 60.0} | dict.fromkeys(range(120, 200, 10), 2.0)
    for step, seconds in calls.items():
        clock.now += seconds
        steps.show(step, METRICS if steps.is_due else {}, is_logged=True)
    assert capsys.readouterr().out == (
        "5.00 steps/s: the 80,000 steps that are left take about 4 h 27 min\n"
    )


def test_without_a_discriminator_its_losses_are_not_shown(small, clock, capsys):
    config = replace(small, loss=Loss(gan="none"))
    FirstSteps(config, 0).show(1, METRICS, is_logged=False)
    assert capsys.readouterr().out == "step 1/8  generator_l1 0.250\n"
    assert measured_metrics(METRICS, "none").keys() == {"loss/generator_l1", "gradient/generator"}
    assert measured_metrics(METRICS, "vanilla") == METRICS
