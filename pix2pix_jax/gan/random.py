"""Random keys: everything random is a function of the seed, the purpose and the step."""

from typing import Literal, get_args

import jax
from jax import Array

from pix2pix_jax.config.schema import Config

Purpose = Literal["parameters", "steps", "samples", "evaluation", "translations"]


def step_key(config: Config, step: Array) -> Array:
    """All randomness of a training step is a function of the seed and the step."""
    return jax.random.fold_in(purpose_key(config, "steps"), step)


def purpose_key(config: Config, purpose: Purpose) -> Array:
    """Keeps apart what is drawn from one seed."""
    place = get_args(Purpose).index(purpose)
    return jax.random.fold_in(jax.random.key(config.seed), place)
