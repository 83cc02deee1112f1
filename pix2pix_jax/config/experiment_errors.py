"""Turns every error of a user's experiment file into one line that names the file and the line."""

import re
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import is_dataclass

from pydantic import ValidationError

from pix2pix_jax.config.schema import Config
from pix2pix_jax.config.validation_errors import first_error
from pix2pix_jax.errors import StoppedBySignal, UsageError, fix_of, reason_of
from pix2pix_jax.suggestions import closest_name

# The class names that Pydantic uses as the title of an error about a Config.
CONFIG_CLASSES = {
    type(part).__name__ for part in (Config(), *vars(Config()).values()) if is_dataclass(part)
}


@contextmanager
def explain_experiment_errors(path: str) -> Iterator[None]:
    """Turns every exception of an experiment file into a UsageError.

    The error names the file, and the line if it is known. A UsageError and a StoppedBySignal are
    raised again unchanged. The file is the user's program, so it can raise any exception, and it
    can call sys.exit. Put only calls of the file into the `with` block, because a bug of this
    project must keep its traceback.
    """
    try:
        yield
    except (UsageError, StoppedBySignal):
        raise
    except SyntaxError as error:  # The error may be in a module that the file imports.
        file, message = error.filename or path, error.msg
        if error.lineno is None:  # for example, if the file contains null bytes
            raise UsageError(f"{file}: {message}", "correct this file") from error
        raise UsageError(f"{file} line {error.lineno}: {message}", "correct this line") from error
    except (Exception, SystemExit) as error:
        raise _explain(error, path) from error


def _explain(error: BaseException, path: str) -> UsageError:
    """The UsageError for an exception of an experiment file."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == path]
    if isinstance(error, OSError) and error.filename == path and not lines:
        fix = fix_of(error) or "give another file"
        return UsageError(f"{path}: {error.strerror}", fix)
    line = f"{path} line {lines[-1]}" if lines else path
    if isinstance(error, SystemExit):
        return UsageError(f"{line}: ends the program by sys.exit", "return a Config instead")
    # An error with another title comes from a Pydantic model in the user's file.
    if isinstance(error, ValidationError) and error.title in CONFIG_CLASSES:
        problem, fix = first_error(error)
        return UsageError(f"{line}: {problem}", fix)
    kind, reason = type(error).__name__, reason_of(error)
    text = kind if reason == kind else f"{kind}: {reason}"
    fix = _import_fix(error) or f"correct this {'line' if lines else 'file'}"
    return UsageError(f"{line}: {text}", fix)


def _import_fix(error: BaseException) -> str:
    """The fix for an import that failed; "" for all other errors."""
    module = (error.name or "") if isinstance(error, ImportError) else ""
    if isinstance(error, ModuleNotFoundError) and module and not module.startswith("pix2pix_jax"):
        return f"correct this line, install {module}, or put its folder into PYTHONPATH"
    if module.partition(".")[0] != "pix2pix_jax":
        return ""
    match = re.match(r"cannot import name '(\w+)'", str(error))
    return _fix_of_wrong_name(match[1], module) if match else _fix_of_moved("load_experiment")


def _fix_of_wrong_name(name: str, module: str) -> str:
    """The fix for a name that a module of this package does not have; "" if no name is similar."""
    # `config` imports this module, so this module cannot import the names at its top.
    from pix2pix_jax import config

    near = closest_name(name, config.__all__, 0.8)
    if near == name and module != "pix2pix_jax.config":
        return _fix_of_moved(name)
    return f"did you mean {near}?" if near else ""


def _fix_of_moved(name: str) -> str:
    """The fix for an import from a module of an earlier version."""
    return (
        f"modules have moved: write `from pix2pix_jax.config import {name}`, and see the files in "
        "experiments/ for other imports"
    )
