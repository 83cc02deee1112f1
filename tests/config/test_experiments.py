"""Experiment files are loaded; every mistake in a file is one line that names the place."""

import pytest
from helpers.refusals import refusal

from pix2pix_jax.config import Config, experiments
from pix2pix_jax.config.experiments import load_experiment

IMPORTS = "from pix2pix_jax.config import *\n"


def test_an_experiment_may_take_an_argument(tmp_path):
    path = tmp_path / "experiment.py"
    path.write_text(IMPORTS + "def get_config(): return Config(seed=7)")
    assert load_experiment(str(path)) == Config(seed=7)
    path.write_text(IMPORTS + "def get_config(text): return Config(data=Data(source=text))")
    assert load_experiment(f"{path}:dir/c:d.tar").data.source == "dir/c:d.tar"
    assert load_experiment(str(path)).data.source is None


@pytest.mark.parametrize(
    ("text", "complaint"),
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
        ("def get_config(): return resolve(Config(data=Data(image_size=7)))", "data.image_size: 7"),
    ],
)
def test_a_bad_experiment_is_refused_in_one_line(tmp_path, text, complaint):
    path = tmp_path / "experiment.py"
    path.write_text(text if text.startswith("\n") else IMPORTS + text)
    message = refusal(load_experiment, str(path))
    assert message.removeprefix(str(path)).startswith(complaint)


def test_the_error_for_a_missing_experiment_file_names_the_file(tmp_path):
    message = refusal(load_experiment, f"{tmp_path}/nowhere.py:arg")
    assert message.startswith(f"{tmp_path}/nowhere.py: there is no such experiment file; give ")
    (tmp_path / "maps.py").touch()
    assert "give a file that exists; the same folder contains maps.py" in refusal(
        load_experiment, f"{tmp_path}/map.py"
    )
    assert f"experiments/folder.py:{tmp_path}" in refusal(load_experiment, str(tmp_path))


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


@pytest.mark.parametrize("line", ["import pix2pix_jux", "from pix2pix_jax.config import Confg"])
def test_an_import_that_fails_for_another_reason_has_no_hint_about_moved_modules(tmp_path, line):
    path = tmp_path / "experiment.py"
    path.write_text(line)
    message = refusal(load_experiment, str(path))
    assert message.startswith(f"{path} line 1: ")
    assert "moved" not in message


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
