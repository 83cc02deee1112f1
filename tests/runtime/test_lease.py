"""A folder on a shared disk has one owner, and a dead one does not hold it for ever."""

import subprocess
import sys
import time

import pytest

from pix2pix_jax.runtime import lease
from pix2pix_jax.runtime.lease import folder_lease


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    monkeypatch.setattr(lease, "BEAT", 0.05)
    monkeypatch.setattr(lease, "DEAD", 0.5)


def elsewhere(monkeypatch):
    monkeypatch.setattr(lease, "_host", lambda: "another host")


def test_one_that_is_at_work_elsewhere_keeps_the_folder(tmp_path, monkeypatch, capsys):
    with folder_lease(tmp_path, flocked=True):
        elsewhere(monkeypatch)
        for _ in range(2):
            with pytest.raises(BlockingIOError, match="process [0-9]+ on .* is at work"):
                folder_lease(tmp_path, flocked=True).__enter__()
    assert "watching for 0.5 s whether process" in capsys.readouterr().out
    assert not (tmp_path / ".lease").exists()


def dead(folder):
    """A lease of a process that was killed."""
    script = f"""if True:
        import os, pathlib
        from pix2pix_jax.runtime.lease import folder_lease
        with folder_lease(pathlib.Path({str(folder)!r}), True):
            os._exit(0)
        """
    subprocess.run([sys.executable, "-c", script], check=True)
    assert (folder / ".lease").exists()


def test_one_that_died_elsewhere_is_watched_and_followed(tmp_path, monkeypatch, capsys):
    dead(tmp_path)
    elsewhere(monkeypatch)
    with folder_lease(tmp_path, flocked=True):
        assert "watching" in capsys.readouterr().out


def test_one_that_died_on_this_host_is_followed_at_once(tmp_path, capsys):
    """As its lock is gone with it; on a disk without locks it has to be watched, too."""
    dead(tmp_path)
    with folder_lease(tmp_path, flocked=True):
        assert capsys.readouterr().out == ""
    dead(tmp_path)
    with folder_lease(tmp_path, flocked=False):
        assert "watching" in capsys.readouterr().out


def test_one_that_was_taken_for_dead_ends(tmp_path, monkeypatch, capsys):
    ended = []
    monkeypatch.setattr("os._exit", ended.append)
    with folder_lease(tmp_path, flocked=True):
        (tmp_path / ".lease").write_text('{"name": "b", "named": "process 2 on b"}')
        until = time.monotonic() + 10
        while not ended and time.monotonic() < until:
            time.sleep(0.01)
    assert ended[0] == 2
    assert "process 2 on b has taken it over" in capsys.readouterr().err


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b"{}"])
def test_half_a_lease_holds_nothing(tmp_path, capsys, content):
    (tmp_path / ".lease").write_bytes(content)
    with folder_lease(tmp_path, flocked=False):
        assert capsys.readouterr().out == ""  # nobody was watched


def test_of_two_that_come_at_once_one_stays(tmp_path, monkeypatch):
    """The other having looked before, and written after it."""
    other = '{"name": "b", "named": "process 2 on b"}'
    monkeypatch.setattr("time.sleep", lambda _: (tmp_path / ".lease").write_text(other))
    with pytest.raises(BlockingIOError, match="process 2 on b is at work"):
        folder_lease(tmp_path, flocked=False).__enter__()
    assert (tmp_path / ".lease").read_text() == other


def test_a_lease_that_cannot_be_read_is_not_taken(tmp_path):
    def read(_):
        raise OSError("the line is cut")

    with pytest.raises(OSError, match="the line is cut"):
        folder_lease(tmp_path, False, read).__enter__()
    assert not (tmp_path / ".lease").exists()
