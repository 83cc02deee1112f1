"""Paths are expanded, files and folders are replaced in one step, and folders are locked."""

import errno
import fcntl
import os
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
from helpers.refusals import refusal

from pix2pix_jax.cli.main import parse
from pix2pix_jax.config import Config, Data, load_experiment, resolve
from pix2pix_jax.data.prepare import prepare
from pix2pix_jax.errors import explain_error
from pix2pix_jax.inference.inputs import list_images
from pix2pix_jax.runtime.storage.files import (
    atomic_file,
    atomic_folder,
    check_writable,
    create_atomically,
    explain_not_utf8,
    local_path,
    write_atomically,
)
from pix2pix_jax.runtime.storage.locks import folder_lock


def test_a_file_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "deep" / "page.html"
    write_atomically(path, "old")
    monkeypatch.setattr("pathlib.Path.rename", lambda *_: 1 / 0)  # stopped before the rename
    with pytest.raises(ZeroDivisionError):
        write_atomically(path, "new")
    assert path.read_text() == "old"
    monkeypatch.undo()
    write_atomically(path, "new")
    assert path.read_text() == "new"
    assert list(path.parent.iterdir()) == [path]


def test_an_error_names_the_target_and_not_the_temporary_file(tmp_path):
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


@pytest.fixture
def read_only(monkeypatch):
    """Makes every file system read-only, also for root."""

    def refuse(path, *_, **__):
        raise OSError(errno.EROFS, "Read-only file system", str(path))

    for name in ("open", "mkdir", "unlink", "rename"):
        monkeypatch.setattr(Path, name, refuse)


def test_on_a_read_only_disk_the_error_names_the_folder(tmp_path, read_only, monkeypatch):
    """Removing the temporary file fails, too, and that error must not replace the first error."""
    monkeypatch.setattr(Path, "mkdir", lambda *_, **__: None)  # The folder exists.
    with pytest.raises(OSError, match="Read-only") as caught:
        write_atomically(tmp_path / "page.html", "new")
    assert caught.value.filename == str(tmp_path)


def test_an_error_inside_a_new_folder_names_the_file_in_its_final_place(tmp_path):
    folder = tmp_path / "pictures"
    with pytest.raises(FileNotFoundError) as caught, atomic_folder(folder) as new:
        (new / "deep" / "a.png").write_bytes(b"")
    assert caught.value.filename == str(folder / "deep" / "a.png")
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError) as caught, atomic_folder(tmp_path / "file" / "deep"):
        pass
    assert caught.value.filename == f"{tmp_path}/file/deep"


@pytest.mark.parametrize("flags", [0, os.ST_RDONLY])
def test_a_folder_that_cannot_be_written_is_found_before_a_long_computation(
    tmp_path, monkeypatch, flags
):
    check_writable(tmp_path / "new" / "run")
    (tmp_path / "file").touch()
    check_writable(tmp_path / "file")
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    monkeypatch.setattr(os, "statvfs", lambda path: SimpleNamespace(f_flag=flags))
    with pytest.raises(OSError, match="Read-only" if flags else "Permission denied") as caught:
        check_writable(tmp_path / "new" / "run")
    assert caught.value.filename == str(tmp_path)
    assert "; " in explain_error(caught.value)


@pytest.mark.parametrize("num_renames", [0, 1])
def test_a_folder_is_replaced_whole_or_not_at_all(tmp_path, monkeypatch, num_renames):
    """The process is stopped before the first rename, or between both renames."""
    folder = tmp_path / "pictures"

    def write(content):
        with atomic_folder(folder) as new:
            (new / "a.png").write_text(content)

    def rename_until_stopped(path, target):
        renamed.append(path)
        if len(renamed) == num_renames + 1:
            raise KeyboardInterrupt
        return rename(path, target)

    write("old")
    renamed, rename = [], Path.rename
    monkeypatch.setattr(Path, "rename", rename_until_stopped)
    with pytest.raises(KeyboardInterrupt):
        write("new")
    monkeypatch.undo()
    assert (folder / "a.png").read_text() == "old"
    assert list(tmp_path.iterdir()) == [folder]
    write("new")
    assert (folder / "a.png").read_text() == "new"
    assert list(tmp_path.iterdir()) == [folder]


def test_a_folder_is_restored_after_its_writer_was_killed_between_two_renames(tmp_path):
    folder = tmp_path / "pictures"
    for which in ("old", "new"):
        (tmp_path / f".pictures.{which}").mkdir()
        (tmp_path / f".pictures.{which}" / "a.png").write_text(which)
    with pytest.raises(KeyError), atomic_folder(folder):
        raise KeyError
    assert (folder / "a.png").read_text() == "old"
    assert list(tmp_path.iterdir()) == [folder]


def test_only_the_first_process_creates_a_file(tmp_path, monkeypatch):
    path = tmp_path / "deep" / "lease"
    assert create_atomically(path, "first")
    assert not create_atomically(path, "second")
    assert path.read_text() == "first"

    def refuse(*_):
        raise OSError(errno.EPERM, "this disk has no hard links")

    monkeypatch.setattr("os.link", refuse)
    assert not create_atomically(tmp_path / "deep" / "other", "first")
    assert list(path.parent.iterdir()) == [path]


def test_a_folder_has_one_owner_at_a_time(tmp_path, monkeypatch):
    order, waiting = [], threading.Event()
    monkeypatch.setattr("pix2pix_jax.runtime.storage.locks.say", lambda _: waiting.set())

    def second():
        with folder_lock(tmp_path, wait=True) as is_locked:
            order.append(("second", is_locked))

    with folder_lock(tmp_path, wait=False) as is_locked:
        with pytest.raises(BlockingIOError), folder_lock(tmp_path, wait=False):
            pass
        thread = threading.Thread(target=second)
        thread.start()
        assert waiting.wait(60)
        order.append(("first", is_locked))
    thread.join()
    assert order == [("first", True), ("second", True)]


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EROFS])
def test_a_disk_without_locks_is_used_without_a_lock(tmp_path, monkeypatch, number):
    def flock(*_):
        raise OSError(number, "not on this disk")

    monkeypatch.setattr(fcntl, "flock", flock)
    with folder_lock(tmp_path, wait=True) as is_locked:
        assert not is_locked
    with pytest.raises(KeyError), folder_lock(tmp_path, wait=True):
        raise KeyError  # the error of the block is kept


def test_a_tilde_becomes_the_home_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert local_path("~/run") == tmp_path / "run"
    assert local_path("runs/~first") == Path("runs/~first")


def test_a_home_folder_that_is_not_known_is_refused(monkeypatch):
    message = refusal(local_path, "~nosuchuser/run")
    assert message == (
        "~nosuchuser/run: the home folder ~nosuchuser is not known on this machine; "
        "give the full path"
    )
    monkeypatch.delenv("HOME")
    monkeypatch.setattr("pwd.getpwuid", {}.__getitem__)  # the machine does not know this user
    message = refusal(local_path, "~/run")
    assert message == "~/run: the home folder ~ is not known on this machine; set HOME"


@pytest.mark.parametrize(
    "call",
    [
        lambda: parse(["train", "--workdir=~nosuchuser/run"]),
        lambda: load_experiment("~nosuchuser/experiment.py"),
        lambda: resolve(Config(data=Data(name="folder", source="~nosuchuser/pairs"))),
        lambda: prepare(Data(data_dir="~nosuchuser/cache")),
        lambda: list_images("~nosuchuser/photos"),
    ],
    ids=["--workdir", "--config", "data.source", "data.data_dir", "--input"],
)
def test_every_path_of_an_unknown_user_is_refused(call):
    assert "the home folder ~nosuchuser is not known on this machine; give the" in refusal(call)


def test_the_address_of_a_bucket_is_refused_as_an_input():
    assert refusal(list_images, "gs://bucket/photos").endswith(
        "is an address; download the images and give their local path"
    )


def test_the_encoding_of_the_environment_is_named_if_it_is_not_utf8(monkeypatch):
    """With LC_ALL=C and PYTHONUTF8=0, Python reads names as ASCII, although they are UTF-8."""
    assert explain_not_utf8("rename the file") == ("not UTF-8", "rename the file")
    monkeypatch.setattr(sys, "getfilesystemencoding", lambda: "ascii")
    expected = "not ascii, the encoding of names in this environment", "set PYTHONUTF8=1"
    assert explain_not_utf8("rename the file") == expected
