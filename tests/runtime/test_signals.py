"""Signals stop a run after the step."""

import signal

from pix2pix_jax.runtime import signals
from pix2pix_jax.runtime.signals import caught_signals


def test_the_first_signal_is_caught_and_its_echo_ignored(monkeypatch):
    before, clock, ended = signal.getsignal(signal.SIGTERM), iter([0.0, 0.5, 2.0]), []
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    with caught_signals() as stopping:
        assert stopping() == 0
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
        assert stopping() == signal.SIGTERM
        monkeypatch.setattr("signal.raise_signal", ended.append)
        signal.getsignal(signal.SIGINT)(signal.SIGINT, None)
        assert ended == [signal.SIGINT]
        assert signal.getsignal(signal.SIGINT) == signal.SIG_DFL
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_host_that_is_told_after_another_one_does_not_stop_at_once(monkeypatch):
    """The first signal is its first, though all heard of that of the other."""
    ended, clock = [], iter([100.0, 100.5, 102.0])
    monkeypatch.setattr("jax.distributed.is_initialized", lambda: True)
    monkeypatch.setattr(
        signals.multihost_utils, "reached_preemption_sync_point", lambda call: call == 1
    )
    before = signal.getsignal(signal.SIGTERM)
    with caught_signals() as stopping:
        assert [stopping(), stopping()] == [0, signal.SIGTERM]
        monkeypatch.setattr("time.monotonic", lambda: next(clock))
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
        monkeypatch.setattr("signal.raise_signal", ended.append)
        signal.getsignal(signal.SIGTERM)(signal.SIGTERM, None)
        assert ended == [signal.SIGTERM]
    signal.signal(signal.SIGTERM, before)
