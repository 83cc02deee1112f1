"""Experiments as frozen dataclasses: every field, its default and its rules.

Experiment files import from here.
"""

from pix2pix_jax.config.experiments import load_experiment
from pix2pix_jax.config.fields import replace_fields
from pix2pix_jax.config.presets import PRESETS, preset
from pix2pix_jax.config.resolve import resolve
from pix2pix_jax.config.schema import Config, Data, Loss, Model, Optimizer, Train

__all__ = [
    "PRESETS",
    "Config",
    "Data",
    "Loss",
    "Model",
    "Optimizer",
    "Train",
    "load_experiment",
    "preset",
    "replace_fields",
    "resolve",
]
