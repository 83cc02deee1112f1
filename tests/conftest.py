"""Strict JAX for every test: four devices on one CPU, no silent rank promotion."""

import os
import tempfile

# What one test has compiled, in this process or in one it starts, the next need not.
CACHE = tempfile.TemporaryDirectory(prefix="pix2pix-compiled-")
os.environ["JAX_COMPILATION_CACHE_DIR"] = CACHE.name
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.2"
os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=4"

import jax
import pytest

from pix2pix_jax.config import Config, Data, Loss, Model, Train, UsageError, resolve

jax.config.update("jax_numpy_rank_promotion", "raise")


def refusal(call, *arguments) -> str:
    """The one line of the UsageError that a call raises."""
    with pytest.raises(UsageError) as caught:
        call(*arguments)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


@pytest.fixture
def small() -> Config:
    """The smallest config with every part of the paper's: jitter, dropout, both norms' places."""
    return resolve(
        Config(
            data=Data(image_size=(32, 32), direction="BtoA", synthetic_pairs=(6, 2, 2)),
            model=Model(features=8, depth=4, discriminator="patch16", discriminator_features=8),
            loss=Loss(),
            train=Train(steps=8, log_every=2, checkpoint_every=4, sample_every=8),
        )
    )
