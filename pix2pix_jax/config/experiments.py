"""Loads experiments: Python files with a function get_config(), or the config.json of a run.

On the command line, an experiment is FILE or FILE:ARG. ARG is the argument of get_config().
"""

import inspect
import runpy
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from pix2pix_jax.config.experiment_errors import explain_experiment_errors
from pix2pix_jax.config.files import read_json_config
from pix2pix_jax.config.presets import PRESETS
from pix2pix_jax.config.schema import Config
from pix2pix_jax.errors import UsageError, prefix_errors
from pix2pix_jax.runtime.console import name_some
from pix2pix_jax.runtime.storage.files import CONFIG_NAME, local_path
from pix2pix_jax.suggestions import closest_name

EXAMPLE = "experiments/facades.py"
# The folder with experiments/, if the package is installed from a clone of the repository.
REPOSITORY = Path(__file__).parents[2]


class ExperimentNotFound(UsageError):
    """An experiment file does not exist.

    Attributes:
      others: the names, without ".py", of the Python files in the folder that was searched.
    """

    def __init__(self, path: Path):
        self.others = sorted(file.stem for file in path.parent.glob("*.py") if file.is_file())
        problem = f"{path}: there is no such experiment file"
        super().__init__(problem, _suggest_experiment(path, self.others))


def _suggest_experiment(path: Path, others: list[str]) -> str:
    """What to give instead of an experiment file that does not exist.

    Args:
      path: the path that was given.
      others: the names, without ".py", of the Python files in its folder.
    """
    if near := _find_similar_experiment(path):
        return f"did you mean {near}?"
    if elsewhere := _find_in_repository(path):
        return f"change to the folder {REPOSITORY}, or give the whole path {elsewhere}"
    if not others:
        example = REPOSITORY / EXAMPLE
        place = example if example.is_file() else f"{EXAMPLE} in a clone of the repository"
        return f"give the whole path of an experiment, such as {place}"
    files = name_some([f"{name}.py" for name in others])
    return f"give a file that exists; the same folder contains {files}"


def _find_similar_experiment(path: Path) -> Path | None:
    """The existing file whose name is most similar to a wrong path; None if no name is similar.

    The file is in the same folder, or in experiments/ in the current folder.
    """
    for folder in (path.parent, Path("experiments")):
        names = {file.stem: file for file in folder.glob("*.py") if file.is_file()}
        if near := closest_name(path.stem, names, 0.8):
            return names[near]
    return None


def _find_in_repository(path: Path) -> Path | None:
    """The experiment that a path means if the command runs in another folder than the repository.

    Args:
      path: the path that was given, made absolute. It may be misspelt.
    """
    if not path.is_relative_to(Path.cwd()):
        return None
    wanted = REPOSITORY / path.relative_to(Path.cwd())
    return wanted if wanted.is_file() else _find_similar_experiment(wanted)


def load_experiment(spec: str) -> Config:
    """Loads the Config of an experiment.

    Args:
      spec: FILE.py to call get_config(), FILE.py:ARG to call get_config(ARG), or FILE.json for a
        file in the format of the config.json in a workdir.

    Raises:
      UsageError: the file does not exist, is of another type, has no get_config, raises an error
        or does not take this argument, get_config does not return a Config, or a field has a wrong
        value.
    """
    path, arg = split_spec(spec)
    if is_json(path):
        return _load_json(path, arg)
    fix = f"give a Python file such as {EXAMPLE}, or a run's {CONFIG_NAME}"
    check_is_python(path, "an experiment", f"{fix}; --config.GROUP.FIELD=VALUE sets single fields")
    content = run_experiment_file(path)
    get_config = content.get("get_config")
    if not callable(get_config):
        fix = "define this function, as in experiments/folder.py"
        if "sweep" in content:
            fix = "give this file to `pix2pix sweep`"
        raise UsageError(f"{path}: has no get_config(arg) function", fix)
    parameters = function_parameters(path, get_config)
    if arg and not parameters:
        raise UsageError(f"{spec}: {path} takes no argument", f"leave out ':{arg}'")
    needs_arg = any(parameter.default is parameter.empty for parameter in parameters.values())
    with explain_experiment_errors(path), prefix_errors(spec) if arg else nullcontext():
        config = get_config(arg) if arg or needs_arg else get_config()
    if not isinstance(config, Config):
        kind = type(config).__name__
        raise UsageError(f"{path}: get_config returned {kind}, not a Config", "return a Config")
    if arg in PRESETS and config.data.source == arg and not local_path(arg).exists():
        raise UsageError(
            f"{spec}: {path} takes no preset", "after the colon, give a folder or archive of pairs"
        )
    return config


def is_json(path: str) -> bool:
    """Whether a path has the suffix of a config.json."""
    return Path(path).suffix.lower() == ".json"


def _load_json(path: str, arg: str) -> Config:
    """Loads a config from a JSON file; raises UsageError if an argument was given for it."""
    if arg:
        raise UsageError(f"{path}:{arg}: a JSON file takes no argument", f"leave out ':{arg}'")
    return read_json_config(Path(path), f"give the {CONFIG_NAME} of a run, or a Python file")


def check_is_python(path: str, role: str, fix: str) -> None:
    """Raises UsageError if the suffix of a file is not that of a Python file.

    A file without a suffix may be a Python script.

    Args:
      path: the path of the file.
      role: what the file should be, for the error.
      fix: what the user can give instead.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in (".py", ""):
        raise UsageError(f"{path}: is a {suffix} file, but {role} is a Python file, .py", fix)


def split_spec(spec: str) -> tuple[str, str]:
    """Splits FILE:ARG into the path and the argument, which is "" for FILE alone.

    Raises:
      UsageError: there is no such file, or the path is a folder.
    """
    path, _, arg = spec.partition(":")
    if arg.startswith("//"):
        raise UsageError(f"{spec}: is an address", "download the file, and give its path")
    path = str(local_path(path))
    if Path(path).is_dir():
        fix = f"to train on pairs in it, give --config=experiments/folder.py:{path}"
        config_file = Path(path) / CONFIG_NAME
        if config_file.is_file():
            fix = f"to take the config of this run, give --config={config_file}"
        raise UsageError(f"{path}: is a folder, not an experiment", fix)
    if not Path(path).is_file():
        raise ExperimentNotFound(Path(path).absolute())
    return path, arg


def run_experiment_file(path: str) -> dict[str, Any]:
    """Runs an experiment file, and returns its functions and variables by name.

    Raises:
      UsageError: the file raises an error. The message names the line, if it is known.
    """
    with explain_experiment_errors(path):
        return runpy.run_path(path)


def function_parameters(path: str, function: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """The parameters of a function of an experiment file, by name."""
    with explain_experiment_errors(path):  # Some builtin functions have no signature.
        return dict(inspect.signature(function).parameters)
