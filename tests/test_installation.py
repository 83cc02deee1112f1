"""A Python that cannot run the package gets one line that says what to do."""

import ast
import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions

import pytest
from helpers.command_line import ROOT

from pix2pix_jax import installation

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def call(*command, **environment):
    # The flags of `make test` are not for the make of a test.
    own = {name: value for name, value in os.environ.items() if not name.startswith("M")}
    done = subprocess.run(command, cwd=ROOT, env=own | environment, capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr


def without_dependencies(*arguments):
    """Runs this Python without the folder of installed packages."""
    return call(sys.executable, "-S", *arguments, PYTHONPATH=str(ROOT))


def test_all_dependencies_and_the_oldest_python_are_those_of_the_project():
    distributions = packages_distributions()
    found = {distributions[module][0] for module in installation.MODULES}
    declared = {re.split(r"[<>=]", text)[0] for text in PROJECT["dependencies"]}
    assert {name.lower().replace("-", "_") for name in found} == {
        name.lower().replace("-", "_") for name in declared
    }
    oldest = ".".join(map(str, installation.OLDEST_PYTHON))
    assert PROJECT["requires-python"] == f">={oldest}"
    [jax_range] = [text for text in PROJECT["dependencies"] if text.startswith("jax>")]
    assert jax_range.startswith("jax>={}.{},".format(*installation.OLDEST_JAX))


@pytest.mark.parametrize("name", ["__init__", "__main__", "installation"])
def test_old_versions_of_python_can_read_the_first_files(name):
    ast.parse((ROOT / "pix2pix_jax" / f"{name}.py").read_text(), feature_version=(3, 6))


@pytest.mark.parametrize("arguments", [(), ("--help",), ("train", "--workdir=run")])
def test_a_command_without_dependencies_is_one_line(arguments):
    status, out, err = without_dependencies("-m", "pix2pix_jax", *arguments)
    assert (status, out) == (2, "")
    assert f"does not have {installation.MODULES[0]}, " in err
    assert "/bin/activate`" in err
    assert len(err.splitlines()) == 1


def test_a_program_without_dependencies_says_what_to_do():
    status, _, err = without_dependencies("-c", "from pix2pix_jax.config import Config")
    assert status == 1
    assert err.splitlines()[-1].startswith(f"ImportError: {sys.executable} (Python ")


def test_an_old_python_is_named(monkeypatch):
    monkeypatch.setattr(sys, "version_info", (3, 10, 13, "final", 0))
    problem = installation.find_problem()
    assert problem.startswith("pix2pix_jax needs Python 3.11.4 or newer, but this is ")
    assert "(Python 3.10.13); " in problem


@pytest.mark.parametrize(
    ("files", "is_active", "fix"),
    [
        (("Makefile", ".venv/bin/python"), False, "first run `. ROOT/.venv/bin/activate`"),
        (("Makefile", ".venv/bin/python"), True, "run `make clean setup` in ROOT"),
        (("Makefile",), False, "run `make setup` in ROOT, and then "),
        ((), False, "install it again from its repository, as README.md explains"),
    ],
)
def test_the_fix_depends_on_what_is_there(tmp_path, monkeypatch, files, is_active, fix):
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.setattr(installation, "REPOSITORY", str(tmp_path))
    if is_active:
        monkeypatch.setattr(sys, "prefix", str(tmp_path / ".venv"))
    assert installation.find_fix().startswith(fix.replace("ROOT", str(tmp_path)))


OLD_PYTHON = """#!/bin/sh
case "$*" in
    --version) echo Python 3.10.13;;
    *%d.%d*) echo 3.10;;
    *) exit 1;;
esac
"""


def make_setup(folder, python):
    """Runs `make setup` for an environment in a folder."""
    return call("make", "setup", f"PYTHON={python}", f"VENV={folder}/venv")


def test_make_names_an_old_python_before_it_calls_pip(tmp_path):
    python = tmp_path / "python3"
    python.write_text(OLD_PYTHON)
    python.chmod(0o755)
    status, out, _ = make_setup(tmp_path, python)
    assert status == 2
    line = f"PYTHON: {python} is Python 3.10.13, but pix2pix_jax needs 3.11.4 or newer; "
    assert out == f"{line}give another interpreter, e.g. make PYTHON=python3.12\n"
    assert not (tmp_path / "venv").exists()


def test_make_without_python_is_one_line(tmp_path):
    status, out, _ = make_setup(tmp_path, "python3.99")
    assert status == 2
    assert out.startswith("PYTHON: cannot run python3.99; give another interpreter")
    assert len(out.splitlines()) == 1


def test_make_builds_an_environment_again_whose_python_is_gone(tmp_path):
    """`make -n` prints the commands that it would run."""
    bin_folder = tmp_path / "venv" / "bin"
    bin_folder.mkdir(parents=True)
    version = "{}.{}".format(*sys.version_info)
    (tmp_path / "venv" / f"installed-{version}").touch()
    arguments = "setup", f"PYTHON={sys.executable}", f"VENV={tmp_path}/venv"
    for target, builds in ((sys.executable, False), ("/removed/python", True)):
        (bin_folder / "python").unlink(missing_ok=True)
        (bin_folder / "python").symlink_to(target)
        status, out, _ = call("make", "-n", *arguments)
        assert status == 0
        assert ("-m venv --clear" in out) == builds
