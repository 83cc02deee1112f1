"""Decides which fields may change when a run resumes, and whether two configs give equal runs."""

import hashlib
import json
from dataclasses import asdict, is_dataclass
from typing import get_type_hints

from pix2pix_jax.config.fields import changed_values, field_values
from pix2pix_jax.config.schema import ENDLESS_SCHEDULES, FREE, Config


def changed_fields(old: Config, new: Config) -> list[str]:
    """The fields, as "seed" or GROUP.FIELD, that differ but must not change when a run resumes."""
    free = free_fields(new)
    # The command `import` writes train.epochs unresolved, because it reads no pairs.
    if old.train.epochs is not None:
        free.add("train.steps")
    changed = changed_values(field_values(old), field_values(new))
    return [name for name in changed if name not in free]


def free_fields(config: Config) -> set[str]:
    """The fields, as GROUP.FIELD, that may change on resume.

    The numbers that a training step computes do not depend on these fields, except on data.source,
    data.form, model.norm_images and train.init. For these, other code ensures that a resumed run
    keeps its pairs, its number of images and its initial run: `CheckpointStore.restore_newest`,
    `resolve_norm_images` and `resolve_init`.
    """
    groups = {name: hint for name, hint in get_type_hints(Config).items() if is_dataclass(hint)}
    free = {
        f"{group}.{name}"
        for group, kind in groups.items()
        for name, hint in get_type_hints(kind, include_extras=True).items()
        if FREE in getattr(hint, "__metadata__", ())
    }
    # A decaying learning rate depends on train.steps. With train.epochs, the number of steps is not
    # known before the pairs are counted.
    if config.optimizer.schedule not in ENDLESS_SCHEDULES and config.train.epochs is None:
        free.remove("train.steps")
    return free


def identity(config: Config) -> str:
    """The SHA-256 of the fields of a resolved config that must not change when a run resumes.

    Fields of a group at their defaults are left out, so that the hash stays the same when a new
    version of this package adds fields. The seed is never left out.
    """
    groups, defaults = asdict(config), asdict(Config())
    for field in free_fields(config):
        group, name = field.split(".")
        del groups[group][name]
    for group, values in groups.items():
        if isinstance(values, dict):
            default = defaults[group]
            groups[group] = {n: value for n, value in values.items() if value != default[n]}
    return hashlib.sha256(json.dumps(groups, sort_keys=True).encode()).hexdigest()
