"""Random keys: everything random is a function of the seed, the purpose and the step."""

from typing import Literal, get_args

import jax
from jax import Array

from pix2pix_jax.config.schema import Config

RandomStream = Literal["parameters", "steps", "samples", "evaluation", "translations"]


def step_key(config: Config, step: Array) -> Array:
    """All randomness of a training step is a function of the seed and the step."""
    return jax.random.fold_in(stream_key(config, "steps"), step)


def stream_key(config: Config, purpose: RandomStream) -> Array:
    """Keeps apart what is drawn from one seed."""
    place = get_args(RandomStream).index(purpose)
    return jax.random.fold_in(jax.random.key(config.seed), place)
