"""A command works if its standard streams are closed."""

import subprocess
import sys

import pytest
from helpers.command_line import ROOT

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
