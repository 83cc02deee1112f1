"""Reads configs from text: from the flags `--config.GROUP.FIELD=VALUE`, and from config.json."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from pix2pix_jax.config.parsing import first_error, suggest_field
from pix2pix_jax.config.schema import Config
from pix2pix_jax.errors import UsageError
from pix2pix_jax.runtime.storage.files import write_atomically

CONFIG = TypeAdapter(Config)  # checks the type and range of every field


def override(config: Config, fields: dict[str, str]) -> Config:
    """Replaces fields of a config with the values of flags.

    Args:
      config: the config to start from.
      fields: the values of the flags as text, {"data.batch_size": "4", ...}.

    Raises:
      UsageError: a field is unknown or has a wrong value. For an unknown field, the message names
        the most similar field, or else all fields.
    """
    tree = asdict(config)
    groups = {"seed": tree} | {  # by field: the dictionary that has its value
        f"{group}.{name}": values
        for group, values in tree.items()
        if isinstance(values, dict)
        for name in values
    }
    for field, value in fields.items():
        if field not in groups:
            hint = suggest_field(field, list(groups))
            raise UsageError(f"--config.{field}: unknown field; {hint}")
        groups[field][field.rpartition(".")[2]] = value
    return _validate(CONFIG.validate_python, tree, "--config.")


def read_config(path: Path) -> Config:
    """Reads a file that `write_config` wrote.

    Raises:
      UsageError: the file does not exist, or is not a config of this version.
    """
    if not path.is_file():
        raise UsageError(
            f"{path}: not found, so {path.parent} is not the workdir of a run; give the --workdir "
            "of a run, or start a run with `pix2pix train --config=FILE`"
        )
    return _validate(CONFIG.validate_json, path.read_bytes(), f"{path}: ")


def write_config(config: Config, path: Path) -> None:
    """Writes all fields of a config as JSON; a reader never sees half of the file."""
    write_atomically(path, CONFIG.dump_json(config, indent=2).decode() + "\n")


def _validate(validate: Callable[[Any], Config], content: Any, where: str) -> Config:
    """Checks a config with Pydantic; raises a UsageError that begins with `where`."""
    try:
        return validate(content)
    except ValidationError as error:
        raise UsageError(where + first_error(error)) from error
