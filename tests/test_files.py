"""Whole files, and folders with one owner."""

import errno
import fcntl
import threading

import pytest

from pix2pix_jax.files import locked, write_whole


def test_a_file_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "deep" / "page.html"
    write_whole(path, "old")
    monkeypatch.setattr("pathlib.Path.rename", lambda *_: 1 / 0)  # the machine goes away before it
    with pytest.raises(ZeroDivisionError):
        write_whole(path, "new")
    assert path.read_text() == "old"
    monkeypatch.undo()
    write_whole(path, "new")
    assert path.read_text() == "new"
    assert list(path.parent.iterdir()) == [path]


def test_a_folder_has_one_owner_at_a_time(tmp_path, monkeypatch):
    order, waiting = [], threading.Event()
    monkeypatch.setattr("builtins.print", lambda *_, **__: waiting.set())

    def second():
        with locked(tmp_path, wait=True) as alone:
            order.append(("second", alone))

    with locked(tmp_path, wait=False) as alone:
        with pytest.raises(BlockingIOError), locked(tmp_path, wait=False):
            pass
        thread = threading.Thread(target=second)
        thread.start()
        assert waiting.wait(60)
        order.append(("first", alone))
    thread.join()
    assert order == [("first", True), ("second", True)]


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EROFS])
def test_a_disk_without_locks_is_used_without(tmp_path, monkeypatch, number):
    def flock(*_):
        raise OSError(number, "not on this disk")

    monkeypatch.setattr(fcntl, "flock", flock)
    with locked(tmp_path, wait=True) as alone:
        assert not alone
    with pytest.raises(KeyError), locked(tmp_path, wait=True):
        raise KeyError  # what the block raises is its own
