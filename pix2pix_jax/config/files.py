"""Configs from outside: experiment files, `--config.GROUP.FIELD=VALUE` and a run's config.json."""

import difflib
import inspect
import re
import runpy
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import FiniteFloat, TypeAdapter, ValidationError

from pix2pix_jax.config.schema import Config, Metric, first_error
from pix2pix_jax.errors import UsageError
from pix2pix_jax.runtime.files import local_path, write_atomically

# By row and metric.
PAPER = TypeAdapter(dict[str, dict[Metric, FiniteFloat]])


class Sweep(NamedTuple):
    """The variants of an experiment, to be compared."""

    title: str  # the first line of the file
    variants: list[tuple[str, Config]]  # names are ROW or ROW/REPEAT
    paper: dict[str, dict[str, float]]  # what the paper reports for a row, by metric


def load_experiment(spec: str) -> Config:
    """The Config of "FILE" or "FILE:ARG": what `get_config(ARG)` of that Python file returns.

    Raises:
      UsageError: no such file, no get_config in it, or a value that a field refuses.
    """
    path, arg = _file_and_argument(spec)
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
        needed = any(parameter.default is parameter.empty for parameter in parameters)
        config = get_config(arg) if arg or needed else get_config()
    if not isinstance(config, Config):
        raise UsageError(f"{path}: get_config returned {type(config).__name__}, not a Config")
    return config


def load_sweep(spec: str, seeds: int | None, fields: dict[str, str]) -> Sweep:
    """What `sweep(ARG, seeds)` of the Python file of "FILE" or "FILE:ARG" yields.

    A variant whose name is ROW/REPEAT is one of several, say seeds, of a row of the table. The
    file may say what the paper has for a row, PAPER: {ROW: {METRIC: VALUE}}.

    Args:
      spec: of the file.
      seeds: how many; None leaves it to the file.
      fields: values that replace those of all variants, as in `override`.

    Raises:
      UsageError: no such file, no sweep in it, names that are no folders, variants that are
        alike, or a value that a field refuses.
    """
    path, arg = _file_and_argument(spec)
    with _explain_experiment_errors(path):
        content = runpy.run_path(path)
        function = content.get("sweep")
        if not callable(function):
            raise UsageError(f"{path}: has no sweep(); see experiments/ablations")
        parameters = list(inspect.signature(function).parameters)
        arguments: dict[str, Any] = {}
        if arg:
            if not parameters or parameters[0] == "seeds":
                raise UsageError(f"{spec}: {path} takes no argument; leave out ':{arg}'")
            arguments[parameters[0]] = arg
        if seeds is not None:
            if "seeds" not in parameters:
                raise UsageError(
                    f"--seeds: sweep() in {path} takes no `seeds`; let it, or leave this out"
                )
            arguments["seeds"] = seeds
        variants = list(function(**arguments))
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
    return Sweep(title, variants, paper)


def _check_variants(path: str, variants: list[tuple[str, Config]]) -> None:
    """Raises UsageError where a variant is no Config, or cannot have the folder of its name."""
    if not variants:
        raise UsageError(f"{path}: sweep() yields nothing")
    for variant in variants:
        if not isinstance(variant, tuple) or [type(part) for part in variant] != [str, Config]:
            raise UsageError(f"{path}: sweep() yields {variant!r:.60}, not a name and a Config")
    for name, _ in variants:
        row, _, repeat = name.partition("/")
        taken = row in ("report", "results.json", "results.md")  # by the sweep itself
        beside = repeat and any(other == row for other, _ in variants)  # a run in another's folder
        if taken or beside or not re.fullmatch(r"\w[\w.+-]{0,99}(/\w[\w.+-]{0,99})?", name):
            raise UsageError(f"{path}: {name!r} of sweep() cannot be a folder; use ROW or ROW/SEED")


def _file_and_argument(spec: str) -> tuple[str, str]:
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
    """Raises UsageError, naming the line of the file, whatever it does."""
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
        line = max((frame.lineno for frame in frames if frame.filename == path), default=None)
        place = path if line is None else f"{path} line {line}"
        raise UsageError(f"{place}: {type(error).__name__}: {error}") from error


def override(config: Config, values: dict[str, str]) -> Config:
    """`config` with the fields of {"data.batch_size": "4", ...} replaced, types checked.

    Raises:
      UsageError: naming the unknown field and its nearest name, or the value refused.
    """
    tree = asdict(config)
    fields = {"seed": tree} | {
        f"{group}.{name}": tree[group]
        for group in tree
        if isinstance(tree[group], dict)
        for name in tree[group]
    }
    for field, value in values.items():
        if field not in fields:
            near = difflib.get_close_matches(field, fields, 1, 0.5)
            hint = f"did you mean {near[0]}?" if near else f"the fields: {', '.join(fields)}"
            raise UsageError(f"--config.{field}: unknown field; {hint}")
        fields[field][field.rpartition(".")[2]] = value
    return _validate(tree, "--config.")


def read_config(path: Path) -> Config:
    """The Config that `write_config` wrote.

    Raises:
      UsageError: no such file, or not a config of this version.
    """
    if not path.is_file():
        of_sweep = (path.parent / "results.json").exists()
        hint = "but of a sweep; give that of a variant in it" if of_sweep else "train makes one"
        raise UsageError(f"{path}: not found; {path.parent} is not the workdir of a run, {hint}")
    return _validate(path.read_bytes(), f"{path}: ")


def write_config(config: Config, path: Path) -> None:
    """Writes every field as JSON, whole or not at all."""
    write_atomically(path, TypeAdapter(Config).dump_json(config, indent=2).decode() + "\n")


def _validate(tree: dict | bytes, where: str) -> Config:
    adapter = TypeAdapter(Config)
    validate = adapter.validate_json if isinstance(tree, bytes) else adapter.validate_python
    try:
        return validate(tree)
    except ValidationError as error:
        raise UsageError(where + first_error(error)) from error
