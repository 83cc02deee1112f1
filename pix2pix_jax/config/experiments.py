"""Experiment files: Python files whose get_config() returns a Config, or whose sweep() yields some.

An experiment is named FILE or FILE:ARG on the command line; ARG is passed to its function.
"""

import inspect
import re
import runpy
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import FiniteFloat, TypeAdapter, ValidationError

from pix2pix_jax.config.files import override
from pix2pix_jax.config.metrics import MetricName
from pix2pix_jax.config.schema import Config, first_error
from pix2pix_jax.errors import UsageError
from pix2pix_jax.runtime.files import local_path

PAPER = TypeAdapter(dict[str, dict[MetricName, FiniteFloat]])  # scores by row and metric
# A sweep writes files and folders of these names itself.
RESERVED_ROWS = ("report", "results.json", "results.md")
VARIANT_NAME = r"\w[\w.+-]{0,99}(/\w[\w.+-]{0,99})?"  # ROW or ROW/REPEAT


class Sweep(NamedTuple):
    """The variants of an experiment that are to be compared."""

    title: str  # the first line of the file
    variants: list[tuple[str, Config]]  # by name: ROW or ROW/REPEAT
    paper: dict[str, dict[str, float]]  # the scores that the paper reports, by row and metric


def load_experiment(spec: str) -> Config:
    """Loads the Config of an experiment file.

    Args:
      spec: FILE, whose get_config() is called; or FILE:ARG, whose get_config(ARG) is called.

    Raises:
      UsageError: the file does not exist or has no get_config, or a field refuses its value.
    """
    path, arg = _split_spec(spec)
    with _explain_experiment_errors(path):
        content = runpy.run_path(path)
        get_config = content.get("get_config")
        if not callable(get_config):
            hint = (
                "it is for the sweep command" if "sweep" in content else "see experiments/folder.py"
            )
            raise UsageError(f"{path}: has no get_config(arg) function; {hint}")
        parameters = inspect.signature(get_config).parameters.values()
        if arg and not parameters:
            raise UsageError(f"{spec}: {path} takes no argument; leave out ':{arg}'")
        needs_arg = any(parameter.default is parameter.empty for parameter in parameters)
        config = get_config(arg) if arg or needs_arg else get_config()
    if not isinstance(config, Config):
        raise UsageError(f"{path}: get_config returned {type(config).__name__}, not a Config")
    return config


def load_sweep(spec: str, seeds: int | None, fields: dict[str, str]) -> Sweep:
    """Loads the variants that sweep(ARG, seeds) of an experiment file yields.

    Variants named ROW/REPEAT are repeats, usually with different seeds, of one row of the table.
    The file may give the paper's scores for the rows as PAPER: {ROW: {METRIC: VALUE}}.

    Args:
      spec: FILE or FILE:ARG.
      seeds: the number of seeds of each row; None leaves the number to the file.
      fields: values that replace those of every variant, as in `override`.

    Raises:
      UsageError: the file does not exist or has no sweep, a variant's name cannot be a folder,
        two variants are equal, or a field refuses its value.
    """
    path, arg = _split_spec(spec)
    with _explain_experiment_errors(path):
        content = runpy.run_path(path)
        sweep: Callable[..., Any] | None = content.get("sweep")
        if not callable(sweep):
            raise UsageError(f"{path}: has no sweep(); see experiments/ablations")
        variants = list(sweep(**_sweep_arguments(sweep, path, arg, seeds)))
        paper = PAPER.validate_python(content.get("PAPER", {}))
    _check_variants(path, variants)
    variants = [(name, override(config, fields)) for name, config in variants]
    for (name, config), (other, same) in combinations(variants, 2):
        if name == other or config == same:
            raise UsageError(
                f"{path}: {name} and {other} of sweep() are alike; they must differ, and "
                "--config fields are the same for all"
            )
    title = (content["__doc__"] or path).strip().partition("\n")[0].rstrip(".")
    return Sweep(title, variants, {row: {**scores} for row, scores in paper.items()})


def _sweep_arguments(
    sweep: Callable[..., Any], path: str, arg: str, seeds: int | None
) -> dict[str, Any]:
    """The arguments to call a sweep function with, by name; UsageError if it does not take them."""
    parameters = list(inspect.signature(sweep).parameters)
    arguments: dict[str, Any] = {}
    if arg:
        if not parameters or parameters[0] == "seeds":
            raise UsageError(f"{path}:{arg}: {path} takes no argument; leave out ':{arg}'")
        arguments[parameters[0]] = arg
    if seeds is not None:
        if "seeds" not in parameters:
            raise UsageError(
                f"--seeds: sweep() in {path} has no parameter `seeds`; add it, or leave out --seeds"
            )
        arguments["seeds"] = seeds
    return arguments


def _check_variants(path: str, variants: list[Any]) -> None:
    """Raises UsageError if a variant is not a name and a Config, or its name cannot be a folder."""
    if not variants:
        raise UsageError(f"{path}: sweep() yields nothing")
    for variant in variants:
        if not isinstance(variant, tuple) or [type(part) for part in variant] != [str, Config]:
            raise UsageError(f"{path}: sweep() yields {variant!r:.60}, not a name and a Config")
    names = [name for name, _ in variants]
    for name in names:
        row, _, repeat = name.partition("/")
        # A run in the folder ROW would have the runs ROW/REPEAT inside its own folder.
        inside_a_run = repeat and row in names
        if row in RESERVED_ROWS or inside_a_run or not re.fullmatch(VARIANT_NAME, name):
            raise UsageError(f"{path}: {name!r} of sweep() cannot be a folder; use ROW or ROW/SEED")


def _split_spec(spec: str) -> tuple[str, str]:
    """The path and the argument of FILE:ARG; UsageError if there is no such file."""
    path, _, arg = spec.partition(":")
    path = str(local_path(path))
    if Path(path).is_dir():
        raise UsageError(
            f"{path}: is a folder, not an experiment; to train on pairs in it, give "
            f"--config=experiments/folder.py:{path}"
        )
    if not Path(path).is_file():
        there = sorted(file.stem for file in Path(path).absolute().parent.glob("*.py"))
        raise UsageError(
            f"{Path(path).absolute()}: no such experiment file; "
            + (f"there are {', '.join(there)}" if there else "go to the folder that was cloned")
        )
    return path, arg


@contextmanager
def _explain_experiment_errors(path: str) -> Iterator[None]:
    """Turns every exception of an experiment file into a UsageError that names the line.

    The file is the user's program, so it can raise anything.
    """
    try:
        yield
    except UsageError:
        raise
    except ValidationError as error:
        raise UsageError(f"{path}: {first_error(error)}") from error
    except SyntaxError as error:
        raise UsageError(f"{path} line {error.lineno}: {error.msg}") from error
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)
        lines = [frame.lineno or 0 for frame in frames if frame.filename == path]
        place = f"{path} line {max(lines)}" if lines else path
        hint = _moved_module_hint(error)
        raise UsageError(f"{place}: {type(error).__name__}: {error}{hint}") from error


def _moved_module_hint(error: Exception) -> str:
    """What to import instead, if the error is an import from a module of ours that has moved."""
    module = (error.name or "") if isinstance(error, ImportError) else ""
    if not module.startswith("pix2pix_jax.") or module == "pix2pix_jax.config":
        return ""
    return (
        "; modules have moved: write `from pix2pix_jax.config import load_experiment`, and see the "
        "files in experiments/ for other imports"
    )
