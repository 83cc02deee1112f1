"""Signals stop a run after the current step."""

import signal

from pix2pix_jax.runtime import signals
from pix2pix_jax.runtime.signals import StopSignals


def test_the_first_signal_is_caught_and_its_echo_is_ignored(monkeypatch):
    before, clock, raised = signal.getsignal(signal.SIGTERM), iter([0.0, 0.5, 2.0]), []
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    with StopSignals() as stop_signals:
        assert stop_signals.poll() == 0
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
        assert stop_signals.poll() == signal.SIGTERM
        monkeypatch.setattr("signal.raise_signal", raised.append)
        signal.getsignal(signal.SIGINT)(signal.SIGINT, None)
        assert raised == [signal.SIGINT]
        assert signal.getsignal(signal.SIGINT) == signal.SIG_DFL
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_process_that_stops_with_another_process_is_not_ended_by_its_first_signal(
    monkeypatch,
):
    """JAX reported the signal of the other process; `srun` then signals this process, too."""
    raised, clock, calls = [], iter([100.0, 100.5, 102.0]), []

    def reached_sync_point(call):
        calls.append(call)
        return call == 1

    monkeypatch.setattr("jax.distributed.is_initialized", lambda: True)
    monkeypatch.setattr(
        signals.multihost_utils, "reached_preemption_sync_point", reached_sync_point
    )
    before = signal.getsignal(signal.SIGTERM)
    with StopSignals() as stop_signals:
        assert [stop_signals.poll(), stop_signals.poll()] == [0, signal.SIGTERM]
        assert calls == [0, 1]
        monkeypatch.setattr("time.monotonic", lambda: next(clock))
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
        monkeypatch.setattr("signal.raise_signal", raised.append)
        signal.getsignal(signal.SIGTERM)(signal.SIGTERM, None)
        assert raised == [signal.SIGTERM]
    signal.signal(signal.SIGTERM, before)
