"""Errors that the user can fix become one line; bugs keep their traceback."""

import errno
import os
import subprocess
import sys

import pytest
from helpers.command_line import ROOT

from pix2pix_jax.cli import describe
from pix2pix_jax.cli.main import run_command
from pix2pix_jax.errors import UsageError, explain_error

COMMAND = ["describe", "--config=experiments/quickstart.py"]


def disk_error(number, path=None):
    return OSError(number, os.strerror(number), path)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (UsageError("data.flip: maybe"), "data.flip: maybe"),
        (
            disk_error(errno.ENOSPC, "run/config.json"),
            "run/config.json: No space left on device; make room on the disk",
        ),
        (
            disk_error(errno.ENOSPC),
            "--workdir, --output or data.data_dir: No space left on device; make room on the disk",
        ),
        (
            disk_error(errno.EACCES, b"run"),
            "run: Permission denied; change the permissions, or use another path",
        ),
        (
            disk_error(errno.ENOENT, "a\x1b[2Jb"),
            "a\\x1b[2Jb: No such file or directory; correct the path",
        ),
    ],
)
def test_an_error_that_the_user_can_fix_is_one_line(error, expected):
    assert explain_error(error) == expected


@pytest.mark.parametrize(
    "error",
    [
        TypeError("2 arguments"),
        KeyError("gan"),
        AssertionError(),
        disk_error(errno.EBADF),
        disk_error(errno.EINVAL, "run"),
        disk_error(errno.ENOENT),  # without a path
        disk_error(errno.EACCES, 7),  # with a file descriptor instead of a path
        OSError("cannot identify image file"),
        ValueError("run/config.json"),
    ],
)
def test_a_bug_has_no_error_line(error):
    assert explain_error(error) is None


def fail_with(monkeypatch, error):
    def run(options, fields):
        raise error

    monkeypatch.setattr(describe, "run", run)
    monkeypatch.setattr("signal.signal", lambda *_: None)


@pytest.mark.parametrize("error", [KeyError("gan"), OSError(errno.EBADF, "bad"), TypeError("2")])
def test_a_command_does_not_catch_a_bug(monkeypatch, error):
    fail_with(monkeypatch, error)
    with pytest.raises(type(error)):
        run_command(COMMAND)


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (UsageError("data.flip: maybe"), "data.flip: maybe"),
        (
            PermissionError(errno.EACCES, "Permission denied", "run"),
            "run: Permission denied; change the permissions, or use another path",
        ),
    ],
)
def test_debugging_shows_the_traceback_above_the_error_line(monkeypatch, capsys, error, line):
    fail_with(monkeypatch, error)
    for value, has_traceback in (("", False), ("0", False), ("1", True)):
        monkeypatch.setenv("PIX2PIX_DEBUG", value)
        assert run_command(COMMAND) == 2
        _, err = capsys.readouterr()
        *above, last = err.splitlines()
        assert last == line
        if has_traceback:
            assert above[0].startswith("Traceback")
        else:
            assert not above


def test_help_imports_no_library_that_takes_long():
    script = """if True:
        import sys
        from pix2pix_jax.cli.main import main
        try:
            main(["--help"])
        finally:
            slow = {"jax", "numpy", "pydantic", "absl", "tqdm", "PIL"} & set(sys.modules)
            assert not slow, slow
        """
    process = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True
    )
    assert (process.returncode, process.stderr) == (0, "")
    assert "PIX2PIX_DEBUG=1" in process.stdout
