"""Loads experiment files: Python files with a function get_config() that returns a Config.

On the command line, an experiment is FILE or FILE:ARG. ARG is the argument of get_config().
"""

import inspect
import runpy
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from pix2pix_jax.config.parsing import first_error
from pix2pix_jax.config.presets import PRESETS
from pix2pix_jax.config.schema import Config
from pix2pix_jax.errors import UsageError, reason_of
from pix2pix_jax.runtime.storage.files import local_path

# The names of Config and of its groups, by which Pydantic's errors name a class.
CONFIG_CLASSES = {
    type(part).__name__ for part in (Config(), *vars(Config()).values()) if is_dataclass(part)
}


class ExperimentNotFound(UsageError):
    """An experiment file does not exist.

    Attributes:
      others: the names, without ".py", of the Python files in the folder that was searched.
    """

    def __init__(self, path: Path):
        self.others = sorted(file.stem for file in path.parent.glob("*.py"))
        fix = "give the path of an experiment, such as experiments/facades.py"
        if self.others:
            files = ", ".join(f"{name}.py" for name in self.others)
            fix = f"give a file that exists; the same folder contains {files}"
        super().__init__(f"{path}: there is no such experiment file; {fix}")


def load_experiment(spec: str) -> Config:
    """Loads the Config of an experiment file.

    Args:
      spec: FILE to call get_config(), or FILE:ARG to call get_config(ARG).

    Raises:
      UsageError: the file does not exist, has no get_config, raises an error or does not take this
        argument, get_config does not return a Config, or a field has a wrong value.
    """
    path, arg = split_spec(spec)
    content = run_experiment_file(path)
    get_config = content.get("get_config")
    if not callable(get_config):
        fix = "define this function, as in experiments/folder.py"
        if "sweep" in content:
            fix = "give this file to `pix2pix sweep`"
        raise UsageError(f"{path}: has no get_config(arg) function; {fix}")
    parameters = function_parameters(path, get_config)
    if arg and not parameters:
        raise UsageError(f"{spec}: {path} takes no argument; leave out ':{arg}'")
    needs_arg = any(parameter.default is parameter.empty for parameter in parameters.values())
    with explain_experiment_errors(path), _name_argument(spec, arg):
        config = get_config(arg) if arg or needs_arg else get_config()
    if not isinstance(config, Config):
        kind = type(config).__name__
        raise UsageError(f"{path}: get_config returned {kind}, not a Config; return a Config")
    if arg in PRESETS and config.data.source == arg and not local_path(arg).exists():
        raise UsageError(
            f"{spec}: {path} takes no preset; after the colon, give a folder or tarball of pairs"
        )
    return config


@contextmanager
def _name_argument(spec: str, arg: str) -> Iterator[None]:
    """Puts FILE:ARG in front of a UsageError that get_config(ARG) raises in the `with` block."""
    try:
        yield
    except UsageError as error:
        if not arg:
            raise
        raise UsageError(f"{spec}: {error}") from error


def split_spec(spec: str) -> tuple[str, str]:
    """Splits FILE:ARG into the path and the argument, which is "" for FILE alone.

    Raises:
      UsageError: there is no such file, or the path is a folder.
    """
    path, _, arg = spec.partition(":")
    path = str(local_path(path))
    if Path(path).is_dir():
        raise UsageError(
            f"{path}: is a folder, not an experiment; to train on pairs in it, give "
            f"--config=experiments/folder.py:{path}"
        )
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


@contextmanager
def explain_experiment_errors(path: str) -> Iterator[None]:
    """Turns every exception of an experiment file into a UsageError.

    The error names the file, and the line if it is known. A UsageError is raised again unchanged.
    The file is the user's program, so it can raise any exception. Put only calls of the file into
    the `with` block, because a bug of this project must keep its traceback.
    """
    try:
        yield
    except UsageError:
        raise
    except SyntaxError as error:  # The error may be in a module that the file imports.
        raise UsageError(
            f"{error.filename or path} line {error.lineno}: {error.msg}; correct this line"
        ) from error
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)
        lines = [frame.lineno for frame in frames if frame.filename == path]
        line = f"{path} line {lines[-1]}" if lines else path
        # Other titles are those of models of the user's own, which have other fields.
        if isinstance(error, ValidationError) and error.title in CONFIG_CLASSES:
            raise UsageError(f"{line}: {first_error(error)}") from error
        text = f": {reason_of(error)}" if str(error) else ""
        fix = _moved_module_fix(error) or f"correct this {'line' if lines else 'file'}"
        raise UsageError(f"{line}: {type(error).__name__}{text}; {fix}") from error


def _moved_module_fix(error: Exception) -> str:
    """The fix for an import from a module that has moved; "" for all other errors."""
    module = (error.name or "") if isinstance(error, ImportError) else ""
    if not module.startswith("pix2pix_jax.") or module == "pix2pix_jax.config":
        return ""
    return (
        "modules have moved: write `from pix2pix_jax.config import load_experiment`, and see the "
        "files in experiments/ for other imports"
    )
