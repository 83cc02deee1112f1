"""The commands and pages work if the wheel is installed into a new environment."""

import json
import os
import subprocess
import sys
import urllib.request

import pytest
from helpers.command_line import ROOT, TINY
from helpers.shared_folders import make_once

pytestmark = pytest.mark.slow


def call(command, **options):
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, check=True, **options
    ).stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The folder of a new environment's programs, and an empty folder to run them in."""
    folder = make_once(tmp_path_factory, "wheel", install_wheel)
    return folder / "venv" / "bin", folder / "elsewhere"


def install_wheel(folder):
    pip = "-m", "pip", "--quiet", "--disable-pip-version-check"
    call([sys.executable, *pip, "wheel", "--no-deps", f"--wheel-dir={folder}", str(ROOT)])
    [wheel] = folder.glob("*.whl")
    call([sys.executable, "-m", "venv", str(folder / "venv")])
    python = folder / "venv" / "bin" / "python"
    versions = f"--constraint={ROOT / 'requirements.txt'}"
    call([python, *pip, "install", "--no-compile", versions, wheel])
    (folder / "elsewhere").mkdir()


def test_python_imports_the_installed_package(installed):
    programs, folder = installed
    code = "import pix2pix_jax; print(pix2pix_jax.__file__)"
    assert str(programs.parent) in call([programs / "python", "-c", code], cwd=folder)


def test_describe_names_the_papers_networks(installed):
    programs, folder = installed
    (folder / "paper.py").write_text(
        "from pix2pix_jax.config import Config\ndef get_config(): return Config()\n"
    )
    command = [programs / "pix2pix", "describe", "--config=paper.py", "--format=json"]
    summary = json.loads(call(command, cwd=folder))
    assert summary["generator"]["parameters"] == 54_413_955


def test_a_run_is_trained_reported_and_served(installed):
    """Templates, styles and the demo's page are in the wheel."""
    programs, folder = installed
    experiment = ROOT / "experiments" / "quickstart.py"
    flags = (f"--config={experiment}", "--workdir=run", f"--config.data.data_dir={folder}/data")
    call([programs / "pix2pix", "train", *flags, *TINY, "--config.train.steps=4"], cwd=folder)
    assert "<svg" in (folder / "run" / "report" / "index.html").read_text()
    command = [programs / "pix2pix", "demo", "--workdir=run", "--port=0"]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True) as demo:
        try:
            line = next(line for line in demo.stdout if "http://" in line)
            address = line[line.index("http://") :].split()[0].rstrip(",;")
            with urllib.request.urlopen(address, timeout=60) as answer:
                assert b"<html" in answer.read()
        finally:
            demo.terminate()
