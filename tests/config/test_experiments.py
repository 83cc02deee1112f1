"""Experiment files are loaded; every mistake in a file is one line that names the place."""

import errno
import os

import pytest
from helpers.command_line import ROOT
from helpers.refusals import refusal

from pix2pix_jax.config import Config, Data, experiments, resolve
from pix2pix_jax.config.experiments import load_experiment
from pix2pix_jax.config.files import write_config
from pix2pix_jax.errors import StoppedBySignal

IMPORTS = "from pix2pix_jax.config import *\n"


def test_an_experiment_may_take_an_argument(tmp_path):
    path = tmp_path / "experiment.py"
    path.write_text(IMPORTS + "def get_config(): return Config(seed=7)")
    assert load_experiment(str(path)) == Config(seed=7)
    path.write_text(IMPORTS + "def get_config(text): return Config(data=Data(source=text))")
    assert load_experiment(f"{path}:dir/c:d.tar").data.source == "dir/c:d.tar"
    assert load_experiment(str(path)).data.source is None


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("\ndef get_config(:", " line 2: invalid syntax"),
        ("", ": has no get_config(arg) function"),
        ("get_config = 3", ": has no get_config(arg) function"),
        ("def get_config(): return 3", ": get_config returned int, not a Config"),
        ("def get_config(): pass", ": get_config returned NoneType, not a Config"),
        (
            "def get_config(): return Config(sead=1)",
            " line 2: sead: unknown field; did you mean seed?",
        ),
        (
            "def get_config(): return Config(data=Data(batch_sise=4))",
            " line 2: data.batch_sise: unknown field; did you mean data.batch_size?",
        ),
        (
            "def get_config(): return Config(data=Data(batch_size='4.5'))",
            " line 2: data.batch_size: '4.5' is not a whole number; give a whole number",
        ),
        (
            "def get_config(): return Config(data=Data(4))",
            " line 2: Data takes no value without a name; give Data(FIELD=VALUE)",
        ),
        (
            "def get_config(): return Config(data=4)",
            " line 2: data: 4 is not a group of fields; give Data(FIELD=VALUE)",
        ),
        (
            "def get_config(): return Config(loss=Loss(l1_weight=float('nan')))",
            " line 2: loss.l1_weight: nan is not finite; give a finite number",
        ),
        (
            "from pydantic import BaseModel\nclass M(BaseModel):\n x: int\n"
            "def get_config(): return M()",
            " line 5: ValidationError: 1 validation error for M; correct this line",
        ),
        ("def get_config(): assert False", " line 2: AssertionError; correct this line"),
        (
            "import sys\ndef get_config(): sys.exit(0)",
            " line 3: ends the program by sys.exit; return a Config instead",
        ),
        (
            "class Odd(Exception):\n def __str__(self): raise ValueError\n"
            "def get_config(): raise Odd",
            " line 4: Odd; correct this line",
        ),
        ("def get_config(): return Config(seed=10**5000)", " line 2: seed: this int is too large"),
        ("x = '\0'", ": source code string cannot contain null bytes; correct this file"),
        (
            "from pix2pix_jax.config.schema import Configg",
            " line 2: ImportError: cannot import name 'Configg' from 'pix2pix_jax.config.schema'",
        ),
        ("def get_config(): return resolve(Config(data=Data(image_size=7)))", "data.image_size: 7"),
    ],
)
def test_a_bad_experiment_is_refused_in_one_line(tmp_path, text, problem):
    path = tmp_path / "experiment.py"
    path.write_text(text if text.startswith("\n") else IMPORTS + text)
    message = refusal(load_experiment, str(path))
    assert message.removeprefix(str(path)).startswith(problem)


def test_the_error_for_a_missing_experiment_file_names_the_file(tmp_path):
    message = refusal(load_experiment, f"{tmp_path}/nowhere.py:arg")
    assert message.startswith(f"{tmp_path}/nowhere.py: there is no such experiment file; ")
    example = f"{ROOT}/experiments/facades.py"
    assert message.endswith(f"; give the whole path of an experiment, such as {example}")
    (tmp_path / "maps.py").touch()
    for name in ("map.py", "maps", "Maps.py"):
        assert refusal(load_experiment, f"{tmp_path}/{name}").endswith(
            f"did you mean {tmp_path / 'maps.py'}?"
        )
    assert "give a file that exists; the same folder contains maps.py" in refusal(
        load_experiment, f"{tmp_path}/zzz.py"
    )
    for index in range(6):
        (tmp_path / f"b{index}.py").touch()
    message = refusal(load_experiment, f"{tmp_path}/zzz.py")
    assert message.endswith("contains b0.py, b1.py, b2.py, b3.py, b4.py and 2 more")
    assert f"experiments/folder.py:{tmp_path}" in refusal(load_experiment, str(tmp_path))


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("experiments/quickstart.py", "experiments/quickstart.py"),
        ("experiments/quikstart.py:my_pairs", "experiments/quickstart.py"),
        ("experiments/ablations/objective.py", "experiments/ablations/objective.py"),
    ],
)
def test_in_another_folder_the_error_names_the_folder_of_the_repository(
    tmp_path, monkeypatch, given, meant
):
    monkeypatch.chdir(tmp_path)
    message = refusal(load_experiment, given)
    assert message.startswith(f"{tmp_path}/{given.partition(':')[0]}: there is no such experiment")
    assert message.endswith(f"; change to the folder {ROOT}, or give the whole path {ROOT}/{meant}")
    monkeypatch.chdir(ROOT)
    assert refusal(load_experiment, "experiments/zzz.py").partition("; ")[2].startswith("give a")


@pytest.mark.parametrize(
    "line",
    [
        "from pix2pix_jax.config_files import load_experiment",
        "from pix2pix_jax.config.files import load_experiment",
        "import pix2pix_jax.receptive_field",
    ],
)
def test_an_import_from_a_moved_module_is_refused_with_the_new_import(tmp_path, line):
    path = tmp_path / "experiment.py"
    path.write_text(f"import math\n{line}\n")
    message = refusal(load_experiment, str(path))
    assert message.startswith(f"{path} line 2: ")
    assert "`from pix2pix_jax.config import load_experiment`" in message
    assert "experiments/" in message


@pytest.mark.parametrize(
    ("line", "fix"),
    [
        ("import pix2pix_jux", "install pix2pix_jux, or put its folder into PYTHONPATH"),
        ("from pix2pix_jax.config import Confg", "did you mean Config?"),
        ("from pix2pix_jax.config.schema import Configg", "did you mean Config?"),
        ("from pix2pix_jax.config.schema import zzz", "correct this line"),
    ],
)
def test_an_import_that_fails_for_another_reason_has_no_hint_about_moved_modules(
    tmp_path, line, fix
):
    path = tmp_path / "experiment.py"
    path.write_text(line)
    message = refusal(load_experiment, str(path))
    assert message.startswith(f"{path} line 1: ")
    assert message.endswith(fix)
    assert "moved" not in message


def test_an_error_line_has_a_limited_length(tmp_path):
    path = tmp_path / "experiment.py"
    path.write_text(IMPORTS + "def get_config(): preset('x' * 1_000_000, Config())")
    message = refusal(load_experiment, str(path))
    assert message.startswith("there is no preset xxx")
    assert len(message) < 2_500
    assert message.endswith("experiments/folder.py:FOLDER_OR_ARCHIVE")


def test_an_experiment_that_may_not_be_read_is_refused_with_its_permissions(tmp_path, monkeypatch):
    path = tmp_path / "experiment.py"
    path.touch()

    def refuse(path):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)

    monkeypatch.setattr(experiments.runpy, "run_path", refuse)  # root may read every file
    message = refusal(load_experiment, str(path))
    assert message.startswith(f"{path}: Permission denied; change the permissions")


def test_a_signal_while_an_experiment_runs_stops_the_command(tmp_path):
    path = tmp_path / "experiment.py"
    path.write_text(
        "from pix2pix_jax.errors import StoppedBySignal\n"
        "def get_config(): raise StoppedBySignal(143)\n"
    )
    with pytest.raises(StoppedBySignal):
        load_experiment(str(path))


@pytest.mark.parametrize("name", ["config.json", "MINE.JSON"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_the_config_of_a_run_is_an_experiment(tmp_path, name, mark):
    config = resolve(Config(data=Data(image_size=(64, 128)), seed=7))
    write_config(config, tmp_path / name)
    text = (tmp_path / name).read_text(encoding="utf-8")
    (tmp_path / name).write_text(mark + text, encoding="utf-8")
    assert load_experiment(str(tmp_path / name)) == config


def test_a_bad_json_config_is_refused_with_what_to_do(tmp_path):
    path = tmp_path / "config.json"
    path.write_text('{"seed": 1,}')
    fix = "give the config.json of a run, or a Python file"
    message = refusal(load_experiment, str(path))
    assert message == f"{path}: is not a config (not valid JSON at line 1 column 12); {fix}"
    assert "takes no argument" in refusal(load_experiment, f"{path}:big")
    path.write_text('{"data": {"batch_size": "four"}}')
    assert refusal(load_experiment, str(path)) == (
        f'{path}: data.batch_size: "four" is not a whole number; give a whole number'
    )


@pytest.mark.parametrize(
    "name",
    [
        "c.yaml", "c.yml", "c.toml", "c.json5", "c.jsonl", "c.ini", "c.cfg", "c.txt", "c.ipynb",
        "c.sh", "config.json.bak", "c.py.txt",
    ],
)  # fmt: skip
def test_a_file_of_another_type_is_refused_by_name(tmp_path, name):
    path = tmp_path / name
    path.write_text("raise SystemExit")  # The file must not be run.
    message = refusal(load_experiment, f"{path}:arg")
    assert message.startswith(
        f"{path}: is a {path.suffix} file, but an experiment is a Python file, .py; give "
    )
    assert "or a run's config.json" in message


def test_a_python_script_needs_no_suffix(tmp_path):
    path = tmp_path / "script"
    path.write_text(IMPORTS + "def get_config(): return Config(seed=4)")
    assert load_experiment(str(path)).seed == 4


@pytest.mark.parametrize("spec", ["https://host/facades.py", "gs://bucket/run/config.json"])
def test_an_address_is_refused_as_such(spec):
    message = refusal(load_experiment, spec)
    assert message == f"{spec}: is an address; download the file, and give its path"


def test_the_folder_of_a_run_is_refused_with_its_config(tmp_path):
    write_config(Config(), tmp_path / "config.json")
    message = refusal(load_experiment, str(tmp_path))
    assert message.endswith(f"give --config={tmp_path / 'config.json'}")


def test_an_argument_for_a_function_without_parameters_is_refused(tmp_path):
    path = tmp_path / "experiment.py"
    path.write_text(IMPORTS + "def get_config(): return Config()")
    assert f"{path} takes no argument" in refusal(load_experiment, f"{path}:big")


def test_an_error_names_the_line_of_the_file_that_raised_the_error(tmp_path):
    path = tmp_path / "experiment.py"
    path.write_text("def divide():\n    return 1 / 0\n\n\ndef get_config():\n    return divide()\n")
    expected = f"{path} line 2: ZeroDivisionError: division by zero; correct this line"
    assert refusal(load_experiment, str(path)) == expected


def test_a_syntax_error_names_the_file_that_has_it(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "broken_helper.py").write_text("\n\nx = (\n")
    path = tmp_path / "experiment.py"
    path.write_text("import broken_helper\n")
    message = refusal(load_experiment, str(path))
    assert message.startswith(f"{tmp_path / 'broken_helper.py'} line 3: ")


def test_a_bug_is_not_taken_for_an_error_of_the_file(tmp_path, monkeypatch):
    def fail(*_):
        raise TypeError("a bug")

    path = tmp_path / "experiment.py"
    path.write_text(IMPORTS + "def get_config(): return Config()")
    monkeypatch.setattr(experiments, "function_parameters", fail)
    with pytest.raises(TypeError, match="a bug"):
        load_experiment(str(path))
