"""Lists the fields of a config by name, and replaces their values."""

from dataclasses import asdict, replace
from typing import Any

from pydantic import ValidationError

from pix2pix_jax.config.schema import Config
from pix2pix_jax.config.validation_errors import first_error
from pix2pix_jax.errors import UsageError


def field_values(config: Config) -> dict[str, Any]:
    """The values of all fields of a config, by "seed" and GROUP.FIELD."""
    values = {}
    for name, value in asdict(config).items():
        if isinstance(value, dict):  # a group of fields
            values |= {f"{name}.{field}": inner for field, inner in value.items()}
        else:
            values[name] = value
    return values


def changed_values(old: dict[str, Any], new: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """The old and the new value of every field that differs, by the name of the field."""
    return {name: (old[name], value) for name, value in new.items() if old[name] != value}


def format_value(value: Any) -> str:
    """Formats a value as text that its flag accepts."""
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def field_names() -> list[str]:
    """The names of all fields: "seed", and GROUP.FIELD for every other field."""
    return list(field_values(Config()))


def replace_fields(config: Config, changes: dict[str, dict[str, Any]]) -> Config:
    """Replaces fields of a config.

    Args:
      config: the config to start from.
      changes: the new values by group and name, {"data": {"flip": False}}.

    Raises:
      UsageError: a field is unknown or has a wrong value. The message names the field.
    """
    for group, fields in changes.items():
        try:
            config = replace(config, **{group: replace(getattr(config, group), **fields)})
        except ValidationError as error:
            raise UsageError(*first_error(error)) from error
    return config
