"""Resuming: which fields may change between two starts of a run, and the identity of a config."""

import hashlib
import json
from dataclasses import asdict, is_dataclass
from typing import get_type_hints

from pix2pix_jax.config.schema import FREE, Config


def changed_fields(old: Config, new: Config) -> list[str]:
    """Names of the fields that a resumed run may not change, but that differ, as GROUP.FIELD."""
    old_groups, new_groups, free = asdict(old), asdict(new), free_fields(new)
    names = ["seed"] if old.seed != new.seed else []
    for group, values in new_groups.items():
        if isinstance(values, dict):
            names += [
                f"{group}.{name}"
                for name, value in values.items()
                if (group, name) not in free and old_groups[group][name] != value
            ]
    return names


def free_fields(config: Config) -> set[tuple[str, str]]:
    """The fields, as (group, name), that may change without changing the numbers of a step."""
    groups = {name: hint for name, hint in get_type_hints(Config).items() if is_dataclass(hint)}
    free = {
        (group, name)
        for group, kind in groups.items()
        for name, hint in get_type_hints(kind, include_extras=True).items()
        if FREE in getattr(hint, "__metadata__", ())
    }
    if config.optimizer.schedule != "constant":
        free.remove(("train", "steps"))  # a decaying learning rate depends on it
    return free


def identity(config: Config) -> str:
    """SHA-256 of all fields of a resolved config that shape its numbers.

    Fields at their defaults are left out, so that the hash stays when a version adds fields.
    """
    groups, defaults = asdict(config), asdict(Config())
    for group, name in free_fields(config):
        del groups[group][name]
    for group, values in groups.items():
        if isinstance(values, dict):
            default = defaults[group]
            groups[group] = {n: value for n, value in values.items() if value != default[n]}
    return hashlib.sha256(json.dumps(groups, sort_keys=True).encode()).hexdigest()
