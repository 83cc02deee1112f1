"""Random keys: everything random is a function of the seed, the stream and the step."""

from typing import Literal, get_args

import jax
from jax import Array

from pix2pix_jax.config.schema import Config

# The independent streams of random numbers of one seed. The position of a stream in this list
# determines its keys, so add new streams at the end.
RandomStream = Literal[
    "parameters", "steps", "samples", "evaluation", "translations", "running_statistics"
]


def stream_key(config: Config, stream: RandomStream) -> Array:
    """The key of a stream; the keys of two streams, or of two seeds, are independent."""
    position = get_args(RandomStream).index(stream)
    return jax.random.fold_in(jax.random.key(config.seed), position)


def step_key(config: Config, step: Array | int) -> Array:
    """The key of a training step, for its dropout and for the points of `gradient_penalty`."""
    return jax.random.fold_in(stream_key(config, "steps"), step)
