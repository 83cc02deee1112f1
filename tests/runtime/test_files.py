"""Whole files, and folders with one owner."""

import errno
import fcntl
import threading
from pathlib import Path

import pytest

from pix2pix_jax.runtime.files import atomic_file, atomic_folder, write_atomically
from pix2pix_jax.runtime.locks import folder_lock


def test_a_file_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "deep" / "page.html"
    write_atomically(path, "old")
    monkeypatch.setattr("pathlib.Path.rename", lambda *_: 1 / 0)  # the machine goes away before it
    with pytest.raises(ZeroDivisionError):
        write_atomically(path, "new")
    assert path.read_text() == "old"
    monkeypatch.undo()
    write_atomically(path, "new")
    assert path.read_text() == "new"
    assert list(path.parent.iterdir()) == [path]


def test_an_error_names_the_file_that_was_asked_for(tmp_path):
    with (
        pytest.raises(OSError, match="too long") as caught,
        atomic_file(tmp_path / ("a" * 300)) as new,
    ):
        new.touch()
    assert caught.value.filename == f"{tmp_path}/{'a' * 300}"
    with pytest.raises(FileNotFoundError) as caught, atomic_file(tmp_path / "a"):
        (tmp_path / "b").read_text()
    assert caught.value.filename == f"{tmp_path}/b"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("place", [0, 1])
def test_a_folder_is_replaced_whole_or_not_at_all(tmp_path, monkeypatch, place):
    """Stopped before the first rename, or between both."""
    folder = tmp_path / "pictures"

    def write(content):
        with atomic_folder(folder) as new:
            (new / "a.png").write_text(content)

    def stopped(path, target):
        renamed.append(path)
        if len(renamed) - 1 == place:
            raise KeyboardInterrupt
        return rename(path, target)

    write("old")
    renamed, rename = [], Path.rename
    monkeypatch.setattr(Path, "rename", stopped)
    with pytest.raises(KeyboardInterrupt):
        write("new")
    monkeypatch.undo()
    assert (folder / "a.png").read_text() == "old"
    assert list(tmp_path.iterdir()) == [folder]
    write("new")
    assert (folder / "a.png").read_text() == "new"
    assert list(tmp_path.iterdir()) == [folder]


def test_a_folder_killed_between_its_renames_comes_back(tmp_path):
    folder = tmp_path / "pictures"
    for which in ("old", "new"):
        (tmp_path / f".pictures.{which}").mkdir()
        (tmp_path / f".pictures.{which}" / "a.png").write_text(which)
    with pytest.raises(KeyError), atomic_folder(folder):
        raise KeyError
    assert (folder / "a.png").read_text() == "old"
    assert list(tmp_path.iterdir()) == [folder]


def test_a_folder_has_one_owner_at_a_time(tmp_path, monkeypatch):
    order, waiting = [], threading.Event()
    monkeypatch.setattr("builtins.print", lambda *_, **__: waiting.set())

    def second():
        with folder_lock(tmp_path, wait=True) as alone:
            order.append(("second", alone))

    with folder_lock(tmp_path, wait=False) as alone:
        with pytest.raises(BlockingIOError), folder_lock(tmp_path, wait=False):
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
    with folder_lock(tmp_path, wait=True) as alone:
        assert not alone
    with pytest.raises(KeyError), folder_lock(tmp_path, wait=True):
        raise KeyError  # what the block raises is its own
