"""Reads configs from text: from the flags `--config.GROUP.FIELD=VALUE`, and from config.json."""

import json
from codecs import BOM_UTF8
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from pix2pix_jax.config.fields import field_names, replace_fields
from pix2pix_jax.config.parsing import parse_none
from pix2pix_jax.config.resolve import load_size
from pix2pix_jax.config.schema import Config, Data, Train
from pix2pix_jax.config.validation_errors import Language, first_error, suggest_field
from pix2pix_jax.errors import UsageError
from pix2pix_jax.runtime.storage.files import write_atomically

CONFIG = TypeAdapter(Config)  # checks the type and range of every field
# The fields of the group `model` that a config.json of earlier versions does not have. There,
# model.bias "paper" had the meaning that "unnormalized" has now.
NEW_MODEL_FIELDS = {"initializer", "initializer_gain"}


def override(config: Config, fields: dict[str, str]) -> Config:
    """Replaces fields of a config with the values of flags.

    Args:
      config: the config to start from.
      fields: the values of the flags as text, {"data.batch_size": "4", ...}.

    Raises:
      UsageError: a field is unknown or has a wrong value. For an unknown field, the message names
        the most similar field, or else all fields of its group.
    """
    tree, names = asdict(config), field_names()
    for field, value in fields.items():
        if field not in names:
            raise UsageError(f"--config.{field}: unknown field", suggest_field(field, names))
        group, _, name = field.rpartition(".")
        (tree[group] if group else tree)[name] = value
    _choose_length(tree["train"], fields)
    if _follows_image_size(config.data, fields):
        tree["data"]["load_size"] = None
    try:
        return CONFIG.validate_python(tree)
    except ValidationError as error:
        problem, fix = first_error(error, Language.FLAG)
        raise UsageError(f"--config.{problem}", fix) from error


def _follows_image_size(data: Data, fields: dict[str, str]) -> bool:
    """Whether data.load_size must be computed again for the flags.

    A run's config.json has the load_size that followed from its image_size and load_scale. If a
    flag changes one of these, load_size follows again, as it does in a new config.

    Args:
      data: the data of the config without the flags.
      fields: the values of the flags, as in `override`.
    """
    if "data.load_size" in fields or fields.keys().isdisjoint(
        {"data.image_size", "data.load_scale"}
    ):
        return False
    return data.load_size == load_size(replace(data, load_size=None))


def _choose_length(train: dict[str, Any], fields: dict[str, str]) -> None:
    """Lets a flag for train.steps replace the train.epochs of an experiment, and the reverse.

    Args:
      train: the values of the group `train`, with the values of the flags.
      fields: the values of the flags, as in `override`.

    Raises:
      UsageError: the flags give both fields.
    """
    has_epochs = parse_none(fields.get("train.epochs")) is not None
    if has_epochs and "train.steps" in fields:
        raise UsageError(
            "--config.train.epochs: is given together with --config.train.steps",
            "give only one of these two flags",
        )
    if has_epochs:
        train["steps"] = Train().steps
    elif "train.steps" in fields:
        train["epochs"] = None


def read_config(path: Path) -> Config:
    """Reads a config.json, which `write_config` wrote.

    Raises:
      UsageError: the file does not exist, or is not a config of this version.
    """
    if not path.is_file():
        raise UsageError(
            f"{path}: not found, so {path.parent} is not the workdir of a run",
            "give the --workdir of a run, or start a run with `pix2pix train --config=FILE`",
        )
    return read_json_config(path, "restore this file, or give another --workdir")


def read_json_config(path: Path, fix: str) -> Config:
    """Reads a config from an existing JSON file, whatever its name.

    Args:
      path: the path of the file.
      fix: what to do if the file as a whole is not a config.

    Raises:
      UsageError: the file is not a config of this version.
    """
    content = path.read_bytes().removeprefix(BOM_UTF8)  # Some editors write a byte order mark.
    if not content.strip(b"\0 \t\r\n"):
        raise UsageError(f"{path}: is empty", fix)
    try:
        config = parse_json_config(content)
        json.loads(content, object_pairs_hook=partial(_check_keys, path))
        return config
    except ValidationError as error:
        problem, field_fix = first_error(error, Language.JSON)
        is_about_field = bool(error.errors()[0]["loc"])
        raise UsageError(f"{path}: {problem}", field_fix if is_about_field else fix) from error


def parse_json_config(content: bytes | str) -> Config:
    """Parses a config in JSON. A config of an earlier version keeps its meaning.

    Raises:
      ValidationError: the content is not a config of this version.
    """
    config = CONFIG.validate_json(content)
    names = json.loads(content).get("model", {}).keys()
    # A file that was written by hand has a few fields, but a config.json has all.
    is_old = names == asdict(config.model).keys() - NEW_MODEL_FIELDS
    if is_old and (config.model.bias, config.model.norm) == ("paper", "none"):
        return replace_fields(config, {"model": {"bias": "unnormalized"}})
    return config


def _check_keys(path: Path, pairs: list[tuple[str, Any]]) -> None:
    """Raises UsageError if an object of a JSON file has a key twice: only one would count."""
    keys = [key for key, _ in pairs]
    for key in keys:
        if keys.count(key) > 1:
            raise UsageError(
                f"{path}: has {json.dumps(key)} {keys.count(key)} times in one group",
                "keep one of these lines",
            )


def write_config(config: Config, path: Path) -> None:
    """Writes all fields of a config as JSON; a reader never sees half of the file."""
    write_atomically(path, CONFIG.dump_json(config, indent=2).decode() + "\n")
