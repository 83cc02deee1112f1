"""Initial weights, dropout, and the types of parameters."""

import jax
import jax.numpy as jnp
import numpy as np

from pix2pix_jax.models import layers
from pix2pix_jax.models.layers import Norm, NormSettings
from pix2pix_jax.models.topology import Layer


def test_initial_weights_have_the_deviation_of_the_paper():
    module = layers.Convolution(Layer("conv", features=64, has_bias=True))
    params = module.init(jax.random.key(0), jnp.zeros((1, 8, 8, 64)))
    kernel = np.asarray(params["params"]["kernel"])
    assert abs(kernel.mean()) < 3e-4
    assert abs(kernel.std() - 0.02) < 3e-4
    assert not np.asarray(params["params"]["bias"]).any()
    scale = Norm(NormSettings("batch")).init(jax.random.key(0), jnp.zeros((1, 1, 1, 4096)))
    assert abs(scale["params"]["scale"].mean() - 1) < 2e-3
    assert abs(scale["params"]["scale"].std() - 0.02) < 2e-3


def test_dropout_zeroes_its_share_of_values_and_keeps_the_mean():
    x = jnp.ones((2, 64, 64, 8))
    y = np.asarray(layers.dropout(x, 0.5, jax.random.split(jax.random.key(0), 2), 1))
    assert set(np.unique(y)) == {0.0, 2.0}
    assert abs((y == 0).mean() - 0.5) < 0.01


def test_the_dropout_of_an_image_depends_only_on_its_key_and_the_layer():
    x, keys = jnp.ones((3, 8, 8, 4)), jax.random.split(jax.random.key(0), 3)
    together = layers.dropout(x, 0.5, keys, 1)
    np.testing.assert_array_equal(together[1:2], layers.dropout(x[:1], 0.5, keys[1:2], 1))
    assert (together != layers.dropout(x, 0.5, keys, 2)).any()
    assert (together[0] != together[1]).any()


def test_bfloat16_layers_keep_float32_parameters():
    x = jax.random.normal(jax.random.key(0), (1, 8, 8, 3))
    module = layers.Convolution(Layer("conv", features=4), dtype=jnp.bfloat16)
    y, variables = module.init_with_output(jax.random.key(0), x)
    assert y.dtype == jnp.bfloat16
    assert variables["params"]["kernel"].dtype == jnp.float32
    y, variables = Norm(NormSettings("batch")).init_with_output(jax.random.key(0), y)
    assert y.dtype == jnp.bfloat16
    assert variables["params"]["scale"].dtype == jnp.float32
