"""A folder on a shared disk has one owner, and the lease of a dead owner expires."""

import errno
import json
import subprocess
import sys
import threading
import time

import pytest

from pix2pix_jax.runtime.storage import lease
from pix2pix_jax.runtime.storage.lease import FolderLease
from pix2pix_jax.runtime.storage.lease_storage import LeaseFile

OTHER = '{"name": "b", "named": "process 2 on b"}'


@pytest.fixture(autouse=True)
def short_times(monkeypatch):
    monkeypatch.setattr(lease, "HEARTBEAT_SECONDS", 0.05)
    monkeypatch.setattr(lease, "DEAD_SECONDS", 0.5)
    monkeypatch.setattr(lease, "SETTLE_SECONDS", 0.025)
    monkeypatch.setattr(lease, "SETTLE_SECONDS_UNLOCKED", 0.025)


def hold(folder, is_locked=True):
    return FolderLease(LeaseFile(folder), is_locked)


def move_to_another_host(monkeypatch):
    monkeypatch.setattr(lease, "host_id", lambda: "another host")


def wait_until(is_true):
    end = time.monotonic() + 10
    while not is_true():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_an_owner_on_another_host_keeps_the_folder(tmp_path, monkeypatch, capsys):
    with hold(tmp_path):
        move_to_another_host(monkeypatch)
        for _ in range(2):
            with pytest.raises(BlockingIOError, match="process [0-9]+ on .* is at work"):
                hold(tmp_path).__enter__()
    assert "waiting 0.5 s to see whether process" in capsys.readouterr().out
    assert not (tmp_path / ".lease").exists()


def leave_a_dead_lease(folder):
    """Writes the lease of a process that was killed."""
    script = f"""if True:
        import os, pathlib
        from pix2pix_jax.runtime.storage.lease import FolderLease
        from pix2pix_jax.runtime.storage.lease_storage import LeaseFile
        with FolderLease(LeaseFile(pathlib.Path({str(folder)!r})), True):
            os._exit(0)
        """
    subprocess.run([sys.executable, "-c", script], check=True)
    assert (folder / ".lease").exists()


def test_a_lease_names_its_owner_in_one_json_object(tmp_path):
    leave_a_dead_lease(tmp_path)
    fields = json.loads((tmp_path / ".lease").read_bytes())
    assert list(fields) == ["name", "host", "named", "beat"]
    assert fields["named"].startswith("process ")
    assert fields["beat"] == "        0"


def test_a_dead_owner_on_another_host_is_watched_and_then_replaced(tmp_path, monkeypatch, capsys):
    leave_a_dead_lease(tmp_path)
    move_to_another_host(monkeypatch)
    with hold(tmp_path):
        assert "waiting 0.5 s to see whether process" in capsys.readouterr().out


def test_a_dead_owner_on_this_host_is_replaced_at_once(tmp_path, capsys):
    """The lock ends with the process. On a disk without locks, the lease must be watched."""
    leave_a_dead_lease(tmp_path)
    with hold(tmp_path):
        assert capsys.readouterr().out == ""
    leave_a_dead_lease(tmp_path)
    with hold(tmp_path, is_locked=False):
        assert "waiting 0.5 s to see whether process" in capsys.readouterr().out


def test_an_owner_that_lost_the_folder_ends(tmp_path, monkeypatch, capsys):
    statuses = []
    monkeypatch.setattr("os._exit", statuses.append)
    with hold(tmp_path):
        (tmp_path / ".lease").write_text(OTHER)
        wait_until(lambda: statuses)
    assert statuses[0] == 2
    assert "process 2 on b has taken over this folder" in capsys.readouterr().err


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b"{}"])
def test_a_damaged_lease_is_ignored(tmp_path, capsys, content):
    (tmp_path / ".lease").write_bytes(content)
    with hold(tmp_path, is_locked=False):
        assert capsys.readouterr().out == ""  # No owner was watched.


def refuse_hard_links(monkeypatch):
    """Makes the disk refuse hard links, so that a process must read its lease a second time."""

    def refuse(*_):
        raise OSError(errno.EPERM, "no hard links on this disk")

    monkeypatch.setattr("os.link", refuse)


def test_a_free_folder_is_owned_without_a_wait(tmp_path, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda _: pytest.fail("waited"))
    for is_locked in (True, False):
        with hold(tmp_path, is_locked):
            pass


@pytest.mark.parametrize("is_locked", [False, True])
def test_a_process_gives_up_if_another_process_replaces_its_lease(tmp_path, monkeypatch, is_locked):
    """The other process reads the lease before this process writes, and overwrites the lease later.

    A lock does not prevent this, because on some network disks each host has its own locks.
    """
    refuse_hard_links(monkeypatch)
    monkeypatch.setattr("time.sleep", lambda _: (tmp_path / ".lease").write_text(OTHER))
    with pytest.raises(BlockingIOError, match="process 2 on b is at work"):
        hold(tmp_path, is_locked).__enter__()
    assert (tmp_path / ".lease").read_text() == OTHER


def test_a_new_lease_after_a_dead_lease_is_not_replaced(tmp_path, monkeypatch):
    """Another process replaces the dead lease between our last look and our write."""
    leave_a_dead_lease(tmp_path)
    move_to_another_host(monkeypatch)

    def watch(*_):
        (tmp_path / ".lease").write_text(OTHER)

    monkeypatch.setattr(FolderLease, "_wait_until_dead", watch)
    with pytest.raises(BlockingIOError, match="process 2 on b is at work"):
        hold(tmp_path).__enter__()
    assert (tmp_path / ".lease").read_text() == OTHER


@pytest.mark.parametrize("has_hard_links", [True, False])
def test_only_one_of_two_hosts_that_find_a_folder_free_owns_the_folder(
    tmp_path, monkeypatch, has_hard_links
):
    """Both hosts hold a lock, because neither host knows the lock of the other host."""
    monkeypatch.setattr(lease, "SETTLE_SECONDS", 0.5)
    if not has_hard_links:
        refuse_hard_links(monkeypatch)
    both_have_read, owners, refusals = threading.Barrier(2), [], []

    class FirstReadTogether(LeaseFile):
        has_read = False

        def read(self):
            try:
                return super().read()
            finally:
                if not self.has_read:
                    self.has_read = True
                    both_have_read.wait(10)

    def work():
        try:
            with FolderLease(FirstReadTogether(tmp_path), is_locked=True):
                owners.append(1)
                wait_until(lambda: len(owners) + len(refusals) == 2)
        except BlockingIOError as error:
            refusals.append(error)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(owners), len(refusals)) == (1, 1)


def test_a_deleted_lease_is_written_again(tmp_path, monkeypatch):
    path = tmp_path / ".lease"
    with hold(tmp_path):
        owner = json.loads(path.read_text())["name"]
        path.unlink()
        wait_until(path.exists)
        assert json.loads(path.read_text())["name"] == owner
        move_to_another_host(monkeypatch)
        with pytest.raises(BlockingIOError, match="is at work"):
            hold(tmp_path).__enter__()
    assert list(tmp_path.iterdir()) == []


def test_a_deleted_folder_stays_deleted(tmp_path):
    folder = tmp_path / "run"
    with hold(folder):
        (folder / ".lease").unlink()
        folder.rmdir()
        time.sleep(0.3)  # several heartbeats
    assert not folder.exists()


def test_an_unreadable_lease_is_not_overwritten(tmp_path):
    class Unreadable(LeaseFile):
        def read(self):
            raise OSError("the line is cut")

    with pytest.raises(OSError, match="the line is cut"):
        FolderLease(Unreadable(tmp_path), is_locked=False).__enter__()
    assert not (tmp_path / ".lease").exists()
