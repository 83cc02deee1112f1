"""A command prints whether a program was compiled or loaded from the cache, and the time."""

from types import SimpleNamespace

import jax
import pytest

from pix2pix_jax.runtime import compile_notice
from pix2pix_jax.runtime.compile_notice import (
    BACKEND_SECONDS,
    FOUND,
    REQUESTED,
    SECONDS_SAVED,
    CompileNotice,
)


def report(*events):
    """Reports events as JAX does: a name, or a name and its seconds."""
    for event in events:
        if isinstance(event, tuple):
            jax.monitoring.record_event_duration_secs(*event)
        else:
            jax.monitoring.record_event(event)


def listeners():
    return len(jax._src.monitoring.get_event_listeners())


def test_a_new_program_is_compiled_and_the_next_time_loaded(tmp_path, capsys):
    """JAX itself reports the events, so the test fails if a version of JAX renames them."""
    names = ("jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs")
    before = {name: getattr(jax.config, name) for name in names}
    jax.config.update(names[0], str(tmp_path))
    jax.config.update(names[1], 0)
    jax._src.compilation_cache.reset_cache()
    try:
        for _ in range(2):
            jax.clear_caches()
            with CompileNotice("the sum"):
                jax.jit(lambda x: (x * 1.25 + 7).sum())(jax.numpy.ones(33)).block_until_ready()
    finally:
        for name, value in before.items():
            jax.config.update(name, value)
        jax._src.compilation_cache.reset_cache()
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("compiled the sum in ")
    assert second.startswith("loaded the sum from the cache of compiled programs in ")


def test_the_program_that_takes_longest_counts(capsys):
    """Small programs are never in the cache."""
    large = (REQUESTED, FOUND, (SECONDS_SAVED, 30), (BACKEND_SECONDS, 1))
    small = (REQUESTED, (BACKEND_SECONDS, 2))
    for events in ((*large, *small), (*small, *large)):
        with CompileNotice("the step"):
            report(*events)
        assert capsys.readouterr().out.startswith("loaded the step")
    with CompileNotice("the step"):
        report(REQUESTED, FOUND, (BACKEND_SECONDS, 1), REQUESTED, (BACKEND_SECONDS, 30))
    assert capsys.readouterr().out.startswith("compiled the step")


def test_without_a_terminal_lines_come_rarely(monkeypatch, capsys):
    """The wait lasts for 150 s, and a tick comes every 10 s."""
    times, ticks = iter([0, *range(10, 160, 10), 150]), iter([False] * 15 + [True])
    clock = SimpleNamespace(monotonic=lambda: next(times))
    notice = CompileNotice("the step")
    monkeypatch.setattr(compile_notice, "time", clock)
    monkeypatch.setattr(notice._stopped, "wait", lambda _: next(ticks))
    monkeypatch.setattr(type(notice._events), "is_compiling", True)
    with notice:
        notice._thread.join()
    assert capsys.readouterr().out.splitlines() == [
        "compiling the step, which is not in the cache yet",
        "still compiling the step after 30 s",
        "still compiling the step after 60 s",
        "still compiling the step after 2 min",
        "compiled the step in 2 min",
    ]


def test_a_short_call_may_be_left_out(capsys):
    with CompileNotice("the step", min_seconds=60):
        pass
    assert capsys.readouterr().out == ""


def test_an_error_ends_the_notice_without_a_result(capsys):
    before = listeners()
    with pytest.raises(KeyError), CompileNotice("the step"):
        raise KeyError
    assert capsys.readouterr().out == ""
    assert listeners() == before
