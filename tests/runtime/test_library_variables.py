"""An environment variable of a library stops no command, or is named in one line."""

import os
import subprocess
import sys
from importlib import import_module

import pytest
from helpers.command_line import ROOT

from pix2pix_jax.runtime import library_variables
from pix2pix_jax.runtime.library_variables import explain_failed_import

PIX2PIX = [sys.executable, "-m", "pix2pix_jax"]
DESCRIBE = [*PIX2PIX, "describe", "--config=experiments/quickstart.py"]
# A notebook sets the first variable. OpenCV aborts the process if a limit is not a number.
LOAD = """
from pix2pix_jax.runtime.library_variables import set_library_variables

set_library_variables()
import cv2, matplotlib.pyplot
import numpy as np

ok, data = cv2.imencode(".png", np.zeros((20, 20, 3), np.uint16))
print(cv2.imdecode(data, cv2.IMREAD_UNCHANGED).shape)
"""


def run_with(command, **variables):
    return subprocess.run(
        command, cwd=ROOT, env=os.environ | variables, capture_output=True, text=True
    )


@pytest.mark.parametrize(
    ("variable", "library", "value"),
    [("TQDM_MININTERVAL", "tqdm", "abc"), ("NUMPY_MADVISE_HUGEPAGE", "numpy", "abc")],
)
def test_a_variable_that_a_library_cannot_read_is_named(variable, library, value):
    done = run_with(DESCRIBE, **{variable: value})
    assert done.returncode == 2
    line = f"{variable}: {library} cannot be loaded with this environment variable ("
    assert done.stderr.startswith(line)
    assert done.stderr.endswith(f"'{value}'); correct or unset it\n")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("limit", ["100", "many"])
def test_variables_that_are_not_needed_are_replaced(limit):
    variables = {"MPLBACKEND": "module://missing_backend", "OPENCV_IO_MAX_IMAGE_PIXELS": limit}
    done = run_with([sys.executable, "-c", LOAD], **variables)
    assert done.stdout == "(20, 20, 3)\n", done.stderr


def load_and_call(name):
    import_module(name).call()


@pytest.fixture
def explain(tmp_path, monkeypatch):
    """Loads a library with a code, and explains its error."""
    names = iter(f"someimage{number}" for number in range(9))

    def explain(code):
        name = next(names)
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.setenv(f"{name.upper()}_LEVEL", "high")
        (tmp_path / f"{name}.py").write_text(code)
        with pytest.raises((ValueError, ImportError)) as caught:
            load_and_call(name)
        return str(explain_failed_import(caught.value)).replace(name, "NAME")

    return explain


def test_only_the_loading_of_a_library_is_explained(explain):
    """An error of a call keeps its traceback, as does a library that is not installed."""
    line = "NAME cannot be loaded with this environment variable (a level)"
    assert line in explain("raise ValueError('a level')")
    assert line in explain("def f(): raise ValueError('a level')\nf()")
    assert explain("def call(): raise ValueError('a level')") == "None"
    assert explain("import a_library_that_is_missing") == "None"


def test_an_error_without_a_variable_is_not_explained(explain, monkeypatch):
    monkeypatch.setattr(library_variables, "PREFIXES", {"someimage0": ("ANOTHER_NAME_",)})
    assert explain("raise ValueError('a level')") == "None"
