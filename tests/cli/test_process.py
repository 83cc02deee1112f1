"""A command works if its standard streams are closed."""

import signal
import subprocess
import sys

import pytest
from helpers.command_line import ROOT

from pix2pix_jax.cli import sweep
from pix2pix_jax.cli.main import run_command
from pix2pix_jax.errors import StoppedBySignal

COMMAND = f"{sys.executable} -m pix2pix_jax"


def run_in_shell(command):
    """Runs a line of the shell in the folder of the repository."""
    return subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, text=True)


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_command_works_with_closed_streams(closed):
    found = run_in_shell(f"{COMMAND} describe --config=experiments/quickstart.py {closed}")
    assert (found.returncode, found.stderr) == (0, "")


def test_a_usage_error_is_printed_with_status_2_if_stdout_is_closed():
    found = run_in_shell(f"{COMMAND} train >&-")
    assert found.returncode == 2
    assert found.stderr.startswith("--config: is missing")
    assert len(found.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("flags", "expected"), [(["--list"], "stopped"), ([], "stopped; the same command resumes")]
)
def test_a_stopped_list_promises_no_resume(flags, expected, monkeypatch, capfd):
    """A list changes no run."""
    monkeypatch.setattr(sweep, "run", lambda options, fields: signal.raise_signal(signal.SIGTERM))
    old = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with pytest.raises(StoppedBySignal):
            run_command(["sweep", *flags])
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
    assert capfd.readouterr().out == f"\n{expected}\n"
