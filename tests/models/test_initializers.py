"""Kernels are drawn as `torch.nn.init` draws them; the default keeps its bits."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

pytest.importorskip("torch", reason="needs PyTorch: pip install -e '.[parity]'")

import torch

from pix2pix_jax.config import Config, Model
from pix2pix_jax.gan.networks import make_discriminator, make_generator
from pix2pix_jax.models.initializers import Initialization, kernel_initializer
from pix2pix_jax.models.topology import Layer

CONV = Layer("conv", features=96)
TRANSPOSED = Layer("up", features=24, transposed=True)
SHAPES = {"conv": (4, 4, 32, 96), "up": (4, 4, 32, 24)}  # [k, k, in, out]
IN_TORCH = {
    "normal": lambda w, gain: torch.nn.init.normal_(w, 0.0, gain),
    "xavier": lambda w, gain: torch.nn.init.xavier_normal_(w, gain),
    "kaiming": lambda w, gain: torch.nn.init.kaiming_normal_(w, a=0, mode="fan_in"),
    "orthogonal": lambda w, gain: torch.nn.init.orthogonal_(w, gain),
}


def draw(kind, gain, layer):
    """A kernel in the shape of PyTorch: [out, in, k, k], or [in, out, k, k] if transposed."""
    initializer = kernel_initializer(Initialization(kind, gain), layer)
    kernel = np.asarray(initializer(jax.random.key(1), SHAPES[layer.name]), np.float64)
    return kernel.transpose((2, 3, 0, 1) if layer.transposed else (3, 2, 0, 1))


@pytest.mark.parametrize("layer", [CONV, TRANSPOSED], ids=["conv", "transposed"])
@pytest.mark.parametrize("kind", IN_TORCH)
def test_kernels_have_the_moments_of_pytorchs(kind, layer):
    """The error of a standard deviation of n draws is std / sqrt(2n); the bound is 5 errors."""
    found = draw(kind, 0.5, layer)
    torch.manual_seed(0)
    expected = IN_TORCH[kind](torch.empty(found.shape), 0.5).double().numpy()
    std, n = expected.std(), found.size
    assert abs(found.std() - std) < 5 * np.sqrt(2) * std / np.sqrt(2 * n)
    assert abs(found.mean()) < 5 * std / np.sqrt(n)
    if kind != "orthogonal":  # A normal distribution has the fourth moment 3 std^4, with error 96.
        assert abs((found**4).mean() / std**4 - 3) < 5 * np.sqrt(96 / n) + 0.1


def test_the_fans_of_a_transposed_convolution_are_those_of_its_shape_in_pytorch():
    """PyTorch's fan_in of [in, out, 4, 4] is out * 16, so the deviation is sqrt(2 / (24 * 16))."""
    assert abs(draw("kaiming", 1.0, TRANSPOSED).std() / np.sqrt(2 / (24 * 16)) - 1) < 0.02
    assert abs(draw("kaiming", 1.0, CONV).std() / np.sqrt(2 / (32 * 16)) - 1) < 0.02


@pytest.mark.parametrize("layer", [CONV, TRANSPOSED], ids=["conv", "transposed"])
def test_orthogonal_kernels_are_orthogonal_in_the_shape_of_pytorch(layer):
    kernel = draw("orthogonal", 0.5, layer)
    matrix = kernel.reshape(kernel.shape[0], -1)  # [rows, columns], with fewer rows
    np.testing.assert_allclose(matrix @ matrix.T, 0.25 * np.eye(len(matrix)), atol=1e-5)


@pytest.mark.parametrize("kind", IN_TORCH)
def test_both_networks_of_a_config_draw_their_kernels_and_norms_so(kind):
    model = Model(initializer=kind, initializer_gain=0.3, features=32, discriminator_features=32)
    config = Config(model=model)
    image = jnp.zeros((1, 64, 64, 3))
    for module, x in (
        (make_generator(config).clone(depth=4), image),
        (make_discriminator(config), jnp.concatenate([image, image], -1)),
    ):
        params = jax.jit(module.init)(jax.random.key(0), x)["params"]
        for layer in module.layers:
            kernel = np.asarray(params[layer.name]["kernel"])
            shape = kernel.transpose((2, 3, 0, 1) if layer.transposed else (3, 2, 0, 1)).shape
            torch.manual_seed(0)
            expected = IN_TORCH[kind](torch.empty(shape), 0.3).std().item()
            n = kernel.size
            assert abs(kernel.std() / expected - 1) < 5 * np.sqrt(2) / np.sqrt(2 * n), layer.name
            if layer.has_norm:
                scale = np.asarray(params[layer.norm_name]["scale"])
                assert abs(scale.std() - 0.3) < 5 * 0.3 / np.sqrt(2 * len(scale))
                assert abs(scale.mean() - 1) < 5 * 0.3 / np.sqrt(len(scale))


def test_the_default_draws_the_paper_s_kernels():
    key, shape = jax.random.key(7), (4, 4, 3, 8)
    found = kernel_initializer(Initialization(), CONV)(key, shape)
    expected = 0.02 * jax.random.normal(key, (4 * 4 * 3 * 8,)).reshape(shape)
    np.testing.assert_array_equal(found, expected)
