"""Norms and their gradients equal NumPy and double precision."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pix2pix_jax.models.layers import Norm, NormSettings
from pix2pix_jax.models.normalization import normalize


def normal(*shape):
    return jax.random.normal(jax.random.key(sum(shape)), shape)


@pytest.mark.parametrize(("kind", "axes"), [("batch", (0, 1, 2)), ("instance", (1, 2))])
def test_a_norm_equals_its_formula_in_numpy(kind, axes):
    x = 3 + 2 * normal(4, 5, 6, 7)
    params = {"scale": jnp.linspace(0.5, 2, 7), "bias": jnp.linspace(-1, 1, 7)}
    y = Norm(NormSettings(kind)).apply({"params": params}, x)
    x = np.asarray(x, np.float64)
    mean, variance = x.mean(axes, keepdims=True), x.var(axes, keepdims=True)
    expected = (x - mean) / np.sqrt(variance + 1e-5) * np.linspace(0.5, 2, 7)
    np.testing.assert_allclose(y, expected + np.linspace(-1, 1, 7), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("images", [1, 2, None])
def test_the_gradients_of_a_norm_equal_those_of_its_formula(affine, images):
    """JAX differentiates the formula in double precision."""
    x, weights = 3 + 2 * normal(4, 5, 6, 7), normal(4, 5, 6, 7)
    params = {"scale": jnp.linspace(0.5, 2, 7), "bias": jnp.linspace(-1, 1, 7)} if affine else {}

    def ours(x, params):
        norm = Norm(NormSettings("batch", affine=affine, images_per_mean=images))
        return (norm.apply({"params": params}, x) * weights).sum()

    def formula(x, params):
        y = x.reshape(-1, images or 4, *x.shape[1:])
        axes = (1, 2, 3)
        y = y - y.mean(axes, keepdims=True)
        y = y / jnp.sqrt(jnp.square(y).mean(axes, keepdims=True) + 1e-5)
        y = y.reshape(x.shape)
        if affine:
            y = y * params["scale"][None, None, None] + params["bias"][None, None, None]
        return (y * weights).sum()

    with jax.enable_x64(True):
        wide = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), (x, params))
        expected = jax.grad(formula, (0, 1))(*wide)
    for found, exact in zip(
        jax.tree.leaves(jax.grad(ours, (0, 1))(x, params)), jax.tree.leaves(expected), strict=True
    ):
        np.testing.assert_allclose(found, exact, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("mean", "spread"), [(0, 1), (30, 0), (30, 0.02), (1000, 1)])
def test_a_norm_in_bfloat16_equals_a_norm_in_double_precision(mean, spread):
    """Some channels hardly vary, so that E[x^2] - E[x]^2 would lose all digits."""
    x = (mean + spread * normal(2, 60, 50, 3)).astype(jnp.bfloat16)
    found = normalize(x, None, None, 1e-5)
    exact = np.asarray(x, np.float64)
    exact = exact - exact.mean((1, 2), keepdims=True)
    exact /= np.sqrt(np.square(exact).mean((1, 2), keepdims=True) + 1e-5)
    np.testing.assert_allclose(found.astype(np.float32), exact, rtol=2**-7, atol=1e-3)


def test_the_norm_none_has_no_parameters_and_changes_nothing():
    x = normal(1, 2, 2, 3)
    y, variables = Norm(NormSettings("none")).init_with_output(jax.random.key(0), x)
    assert not variables
    np.testing.assert_array_equal(x, y)


def test_batch_and_instance_norm_of_one_image_are_equal():
    x = normal(1, 5, 6, 7)
    variables = Norm(NormSettings("batch")).init(jax.random.key(0), x)
    batch, instance = (
        Norm(NormSettings(kind)).apply(variables, x) for kind in ("batch", "instance")
    )
    np.testing.assert_array_equal(batch, instance)


def test_a_norm_of_a_single_pixel_gives_zeros():
    x = normal(1, 1, 1, 16)
    y, variables = Norm(NormSettings("batch")).init_with_output(jax.random.key(0), x)
    np.testing.assert_array_equal(y, np.zeros_like(x))


def test_images_that_share_a_norm_are_normalized_apart_from_other_images():
    """A run of two images on each device may resume on one device, with four images."""
    x = np.random.default_rng(0).standard_normal((4, 5, 6, 3)).astype(np.float32)
    norm = Norm(NormSettings("batch"))
    params = norm.init(jax.random.key(0), x)
    for images in (1, 2, 4, 8, None):
        size = min(images or 4, 4)
        parts = [x[i : i + size] for i in range(0, 4, size)]
        expected = np.concatenate([norm.apply(params, part) for part in parts])
        found = Norm(NormSettings("batch", images_per_mean=images)).apply(params, x)
        np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("platform", ["cpu", "gpu"])
def test_a_gpu_sums_in_two_reductions(platform, monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: platform)
    text = jax.jit(lambda x: normalize(x, None, None, 1e-5)).lower(normal(1, 64, 64, 3)).as_text()
    # There is one sum for the mean, and one sum for the variance.
    assert text.count("stablehlo.reduce") == {"cpu": 2, "gpu": 4}[platform]


@pytest.mark.parametrize("platform", ["cpu", "gpu"])
def test_both_ways_to_sum_equal_the_formula_in_numpy(platform, monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: platform)
    x = 3 + 2 * normal(2, 3, 16, 8, 5)
    found = jax.jit(lambda x: normalize(x, None, None, 1e-5))(x)
    exact = np.asarray(x, np.float64)
    mean, variance = (f((1, 2, 3), keepdims=True) for f in (exact.mean, exact.var))
    np.testing.assert_allclose(found, (exact - mean) / np.sqrt(variance + 1e-5), atol=1e-5)
