"""Resuming: which fields may change between two starts of a run, and the identity of a config."""

import hashlib
import json
from dataclasses import asdict

from pix2pix_jax.config.schema import Config

# What a resumed run may change without changing the numbers it computes.
FREE_ON_RESUME = {
    ("data", "source"),
    ("data", "data_dir"),
    ("data", "resident_mib"),
    ("model", "norm_images"),  # but what it was is kept; see runs.compatibility
    ("train", "steps"),
    ("train", "log_every"),
    ("train", "checkpoint_every"),
    ("train", "sample_every"),
    ("train", "evaluate_every"),
    ("train", "best_metric"),
    ("train", "keep"),
    ("train", "max_failed_saves"),
    ("train", "steps_per_call"),
}


def changed_fields(old: Config, new: Config) -> list[str]:
    """Names of the fields that a resumed run may not change, but did."""
    old_groups, new_groups = asdict(old), asdict(new)
    fields = ["seed"] if old.seed != new.seed else []
    for group in ("data", "model", "loss", "optimizer", "train"):
        for name, value in new_groups[group].items():
            if (group, name) not in free_fields(new) and old_groups[group][name] != value:
                fields.append(f"{group}.{name}")
    return fields


def free_fields(config: Config) -> set[tuple[str, str]]:
    """What may change without changing the numbers that a config computes."""
    if config.optimizer.schedule == "constant":
        return FREE_ON_RESUME
    return FREE_ON_RESUME - {("train", "steps")}  # on which every learning rate depends


def identity(config: Config) -> str:
    """SHA-256 of all fields of a resolved config that shape its numbers.

    But for those at their defaults, so that it stays when there are more of them.
    """
    groups, defaults = asdict(config), asdict(Config())
    for group, name in free_fields(config):
        del groups[group][name]
    for group, fields in groups.items():
        if isinstance(fields, dict):
            default = defaults[group]
            groups[group] = {n: value for n, value in fields.items() if value != default[n]}
    return hashlib.sha256(json.dumps(groups, sort_keys=True).encode()).hexdigest()
