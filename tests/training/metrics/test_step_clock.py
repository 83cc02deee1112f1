"""The speed of training excludes compiling."""

from pix2pix_jax.training.metrics.step_clock import StepClock


def test_the_speed_excludes_the_compilation_of_a_second_program(monkeypatch):
    """A call of ten steps takes 2 s, then two single steps take 0.5 s; both programs compile."""
    times = iter([0.0, 100.0, 102.0, 102.0, 150.0, 150.5, 151.0])
    monkeypatch.setattr("time.perf_counter", lambda: next(times))
    clock = StepClock(0)
    clock.advance(10)
    clock.advance(20)
    assert clock.steps_per_second == 5.0
    clock.restart()
    for step in (21, 22, 23):
        clock.advance(step)
    assert clock.steps_per_second == 2.0
