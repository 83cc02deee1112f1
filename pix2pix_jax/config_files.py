"""Configs from outside: experiment files, `--config.GROUP.FIELD=VALUE` and a run's config.json."""

import difflib
import inspect
import runpy
import traceback
from dataclasses import asdict
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from pix2pix_jax.config import Config, UsageError
from pix2pix_jax.files import write_whole


def load_experiment(spec: str) -> Config:
    """The Config of "FILE" or "FILE:ARG": what `get_config(ARG)` of that Python file returns.

    Raises:
      UsageError: no such file, no get_config in it, or a value that a field refuses.
    """
    path, _, arg = spec.partition(":")
    path = str(Path(path).expanduser())
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
    try:
        get_config = runpy.run_path(path).get("get_config")
        if not callable(get_config):
            raise UsageError(f"{path}: has no get_config(arg) function; see experiments/folder.py")
        takes_arg = bool(inspect.signature(get_config).parameters)
        if arg and not takes_arg:
            raise UsageError(f"{spec}: {path} takes no argument; leave out ':{arg}'")
        config = get_config(arg) if takes_arg else get_config()
    except UsageError:
        raise
    except ValidationError as error:
        raise UsageError(f"{path}: {_first_line(error)}") from error
    except SyntaxError as error:
        raise UsageError(f"{path} line {error.lineno}: {error.msg}") from error
    except Exception as error:  # whatever else the file does
        frames = traceback.extract_tb(error.__traceback__)
        line = max((frame.lineno for frame in frames if frame.filename == path), default="?")
        raise UsageError(f"{path} line {line}: {type(error).__name__}: {error}") from error
    if not isinstance(config, Config):
        raise UsageError(f"{path}: get_config returned {type(config).__name__}, not a Config")
    return config


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
    return _validated(tree, "--config.")


def read_config(path: Path) -> Config:
    """The Config that `write_config` wrote.

    Raises:
      UsageError: no such file, or not a config of this version.
    """
    if not path.is_file():
        raise UsageError(f"{path}: not found; {path.parent} is not the workdir of a run")
    return _validated(path.read_bytes(), f"{path}: ")


def write_config(config: Config, path: Path) -> None:
    """Writes every field as JSON, whole or not at all."""
    write_whole(path, TypeAdapter(Config).dump_json(config, indent=2).decode() + "\n")


def _validated(tree: dict | bytes, where: str) -> Config:
    adapter = TypeAdapter(Config)
    validate = adapter.validate_json if isinstance(tree, bytes) else adapter.validate_python
    try:
        return validate(tree)
    except ValidationError as error:
        raise UsageError(where + _first_line(error)) from error


def _first_line(error: ValidationError) -> str:
    """Pydantic's first complaint as `data.batch_size: input should be ..., not 'four'`."""
    first = error.errors()[0]
    complaint = first["msg"][0].lower() + first["msg"][1:]
    field = ".".join(part for part in first["loc"] if isinstance(part, str))
    # Without a field it is the whole file that is meant, too long to quote.
    return f"{field}: {complaint}, not {first['input']!r}" if field else complaint
