"""Outputs that cannot be written wait; no output is lost, and each kind stays in order."""

import errno
import os

import pytest

from pix2pix_jax.runtime.retry_queue import RetryQueue


def test_an_output_that_cannot_be_written_delays_only_its_kind(capsys):
    room, done = {"samples"}, []

    def write(name):
        if name.partition(" ")[0] in room:
            raise OSError(28, "No space left on device", name)
        done.append(name)

    def run():
        with RetryQueue() as queue:
            for name in ("samples 1", "metrics 1", "samples 2", "metrics 2"):
                queue.put(name, lambda name=name: write(name))
            assert done == ["metrics 1", "metrics 2"]
            room.clear()
            queue.put("metrics 3", lambda: write("metrics 3"))
            assert done[2:] == ["samples 1", "samples 2", "metrics 3"]
            room.add("samples")
            for name in ("samples 3", "metrics 4"):
                queue.put(name, lambda name=name: write(name))

    with pytest.raises(OSError, match="No space left on device: 'samples 3'"):
        run()
    assert done[5:] == ["metrics 4"]
    out, err = capsys.readouterr()
    assert err.count("samples 1: NOT WRITTEN") == err.count("samples 3: NOT WRITTEN") == 1
    assert out.count("all delayed output is now written") == 1


def test_an_output_replaces_a_waiting_output_of_the_same_name():
    is_full, written = True, []

    def write(text):
        if is_full:
            raise OSError(28, "No space left on device")
        written.append(text)

    with RetryQueue() as queue:
        queue.put("report", lambda: write("first"))
        queue.put("report", lambda: write("second"))
        is_full = False
    assert written == ["second"]


def test_the_error_of_a_failed_with_block_is_raised():
    def write():
        raise OSError(28, "No space left on device")

    queue = RetryQueue()
    queue.put("report", write)
    with pytest.raises(ZeroDivisionError), queue:
        raise ZeroDivisionError


@pytest.mark.parametrize(
    ("number", "name", "fix"),
    [
        (errno.ENOSPC, "metrics.jsonl", "make room on the disk"),
        (errno.EACCES, "metrics.jsonl", "make {folder}/metrics.jsonl writable"),
        (errno.EACCES, "config.json", "make {folder} writable"),
        (errno.EROFS, ".", "make {folder} writable"),
        (errno.EEXIST, "samples", "move this file away, because a folder must be there"),
    ],
)
def test_the_warning_says_what_to_make_writable(tmp_path, capsys, number, name, fix):
    """A file that does not exist cannot be made writable, but its folder can."""
    (tmp_path / "metrics.jsonl").touch()

    def write():
        raise OSError(number, os.strerror(number), str(tmp_path / name))

    RetryQueue().put("output", write)
    reason = f"NOT WRITTEN ({os.strerror(number)}); {fix.format(folder=tmp_path)}; training"
    assert reason in capsys.readouterr().err
