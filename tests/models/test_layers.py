from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pix2pix_jax.models import convolution, layers, normalization
from pix2pix_jax.models import matmul_convolutions as products
from pix2pix_jax.models.topology import Layer


def value_and_gradients(lower, x, kernel, *args):
    """The result, and the gradients of a sum with unequal weights."""

    def weighted(x, kernel):
        y = lower(x, kernel, *args)
        return (y * jnp.cos(jnp.arange(y.size)).reshape(y.shape)).sum(), y

    both = jax.jit(jax.value_and_grad(weighted, (0, 1), has_aux=True))
    (_, y), gradients = both(x, kernel)
    return [y, *gradients]


def normal(*shape):
    return jax.random.normal(jax.random.key(sum(shape)), shape)


@pytest.mark.parametrize(
    ("k", "stride", "padding"), [(4, 2, (1, 1)), (4, 1, (1, 1)), (4, 1, (1, 2)), (1, 1, (0, 0))]
)
@pytest.mark.parametrize("size", [(16, 16), (12, 20), (7, 9), (4, 4)])
def test_convolution_lowerings_agree(k, stride, padding, size):
    x, kernel = normal(2, *size, 3), normal(k, k, 3, 5)
    lowerings = [partial(products.conv_im2col, stride=stride, padding=padding)]
    lowerings += [partial(layers.conv, stride=stride, padding=padding)]
    if stride == 1:
        lowerings += [partial(products.conv_scatter, padding=padding)]
    if k == 4:
        lowerings += [partial(products.conv_winograd, stride=stride, padding=padding)]
    natives = value_and_gradients(convolution.conv_native, x, kernel, stride, padding)
    for lower in lowerings:
        for found, native in zip(value_and_gradients(lower, x, kernel), natives, strict=True):
            np.testing.assert_allclose(found, native, rtol=1e-5, atol=1e-4)


TRANSPOSED = (
    products.conv_transpose_matmul,
    products.conv_transpose_per_tap,
    products.conv_transpose_winograd,
)


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (8, 8)])
@pytest.mark.parametrize("lower", TRANSPOSED)
def test_transposed_lowerings_agree(size, lower):
    x, kernel = normal(2, *size, 3), normal(4, 4, 3, 5)
    natives = value_and_gradients(convolution.conv_transpose_native, x, kernel)
    for found, native in zip(value_and_gradients(lower, x, kernel), natives, strict=True):
        np.testing.assert_allclose(found, native, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("lower", [*TRANSPOSED, convolution.conv_transpose_native])
def test_transposed_convolution_adds_the_kernel_around_each_pixel(lower):
    x, kernel = normal(1, 2, 3, 2), normal(4, 4, 2, 5)
    expected = np.zeros((1, 6, 8, 5))
    for i in range(2):
        for j in range(3):
            patch = np.einsum("c,hwco->hwo", x[0, i, j], kernel)
            expected[0, 2 * i : 2 * i + 4, 2 * j : 2 * j + 4] += patch
    np.testing.assert_allclose(lower(x, kernel), expected[:, 1:-1, 1:-1], rtol=1e-5, atol=1e-5)


BY_ONE = partial(convolution.conv_native, stride=1, padding=(1, 2))
BY_TWO = partial(convolution.conv_native, stride=2, padding=(1, 1))


@pytest.mark.parametrize(
    ("lower", "native", "kernel"),
    [
        (partial(products.conv_im2col, stride=1, padding=(1, 2)), BY_ONE, (24, 8)),
        (partial(products.conv_im2col, stride=2, padding=(1, 1)), BY_TWO, (24, 8)),
        (partial(products.conv_scatter, padding=(1, 2)), BY_ONE, (24, 2)),
        (products.conv_transpose_matmul, convolution.conv_transpose_native, (24, 8)),
        (products.conv_transpose_per_tap, convolution.conv_transpose_native, (24, 8)),
    ],
)
def test_bfloat16_loses_little_more_than_by_natives(lower, native, kernel):
    """Against double precision, forward and backward; sums are not rounded often."""
    x, kernel = (a.astype(jnp.bfloat16) for a in (normal(2, 16, 16, 24), normal(4, 4, *kernel)))
    change = normal(*lower(x, kernel).shape).astype(jnp.bfloat16)

    def all_of(lower, x, kernel, change):
        y, pull_back = jax.vjp(lower, x, kernel)
        return [np.asarray(values, np.float64) for values in (y, *pull_back(change))]

    with jax.enable_x64(True):
        wide = (np.asarray(a, np.float64) for a in (x, kernel, change))
        exact = all_of(native, *wide)
    both = (all_of(lowering, x, kernel, change) for lowering in (lower, native))
    for ours, others, values in zip(*both, exact, strict=True):
        error, of_native = (np.square(found - values).mean() for found in (ours, others))
        assert error < 1.5**2 * of_native


LARGE = (1, 128, 128, 64), (4, 4, 64, 128)  # x and kernel of down2
GATHERED, MINIMAL, NATIVE = products.conv_im2col, products.conv_winograd, convolution.conv_native


@pytest.mark.parametrize(
    ("x", "kernel", "stride", "expected"),
    [
        (*LARGE, 2, (MINIMAL, GATHERED)),
        ((16, *LARGE[0][1:]), LARGE[1], 2, (MINIMAL, NATIVE)),
        ((1, 256, 256, 3), (4, 4, 3, 64), 2, (GATHERED, GATHERED)),  # down1
        ((1, 4, 4, 512), (4, 4, 512, 512), 2, (GATHERED, GATHERED)),  # down7
        ((1, 31, 31, 512), (4, 4, 512, 1), 1, (products.conv_scatter,) * 2),  # logits
        ((16, 256, 256, 6), (1, 1, 6, 64), 1, (GATHERED, GATHERED)),  # PixelGAN
    ],
)
def test_lowerings_of_the_papers_convolutions(x, kernel, stride, expected):
    padding = (0, 0) if kernel[0] == 1 else (1, 1)
    shapes = (jax.ShapeDtypeStruct(shape, jnp.float32) for shape in (x, kernel))
    found = convolution.conv_lowerings(*shapes, stride, padding)
    assert tuple(lowering.func for lowering in found) == expected


BY_TAP, WHOLE = products.conv_transpose_per_tap, products.conv_transpose_matmul


@pytest.mark.parametrize(
    ("x", "outputs", "expected"),
    [
        ((1, 1, 1, 512), 512, (BY_TAP, BY_TAP)),
        ((1, 16, 16, 1024), 256, (WHOLE, BY_TAP)),
        ((1, 32, 32, 512), 128, (products.conv_transpose_winograd, WHOLE)),
        ((1, 128, 128, 128), 3, (WHOLE, WHOLE)),
    ],
)
def test_lowerings_of_the_papers_transposed_convolutions(x, outputs, expected):
    kernel = jax.ShapeDtypeStruct((4, 4, x[-1], outputs), jnp.float32)
    assert (
        convolution.conv_transpose_lowerings(jax.ShapeDtypeStruct(x, jnp.float32), kernel)
        == expected
    )


def test_bfloat16_is_not_taken_apart_by_differences():
    x, kernel = (jax.ShapeDtypeStruct(shape, jnp.bfloat16) for shape in LARGE)
    assert convolution.conv_lowerings(x, kernel, 2, (1, 1))[0].func is GATHERED
    assert convolution.conv_transpose_lowerings(x, kernel)[0] is WHOLE


@pytest.mark.parametrize("stride", [1, 2])
def test_what_is_chosen_for_many_places_agrees(stride):
    x, kernel = normal(1, 48, 48, 24), normal(4, 4, 24, 32)
    chosen = partial(layers.conv, stride=stride, padding=(1, 1))
    natives = value_and_gradients(convolution.conv_native, x, kernel, stride, (1, 1))
    for found, native in zip(value_and_gradients(chosen, x, kernel), natives, strict=True):
        np.testing.assert_allclose(found, native, rtol=1e-5, atol=1e-5 * np.abs(native).max())
    natives = value_and_gradients(convolution.conv_transpose_native, x, kernel)
    chosen = value_and_gradients(layers.conv_transpose, x, kernel)
    for found, native in zip(chosen, natives, strict=True):
        np.testing.assert_allclose(found, native, rtol=1e-5, atol=1e-5 * np.abs(native).max())


@pytest.mark.parametrize("platform", ["cpu", "gpu", "tpu"])
def test_a_lowering_is_that_of_the_platform(platform, monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: platform)
    assert convolution.lowering_for_platform("cpu", "gpu", "tpu", portable=False) == platform


def test_what_is_portable_has_the_lowerings_of_all_platforms():
    x, kernel = (jax.ShapeDtypeStruct(shape, jnp.float32) for shape in LARGE)

    def operations(portable, platforms):
        lower = partial(layers.conv, stride=2, padding=(1, 1), portable=portable)
        text = jax.jit(lower).trace(x, kernel).lower(lowering_platforms=platforms).as_text()
        return text.count("stablehlo.convolution"), text.count("stablehlo.dot_general")

    assert operations(True, ("tpu",)) == (1, 0)
    assert operations(True, ("cuda",)) == (0, 1)
    assert operations(False, ("cpu",)) == operations(True, ("cpu",)) == (0, 9)  # minimal ones


@pytest.mark.parametrize("platform", ["cpu", "gpu"])
def test_a_norms_sums_are_of_parts_on_a_gpu(platform, monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: platform)
    text = (
        jax.jit(lambda x: normalization._channel_sum(x)).lower(jnp.zeros((1, 64, 64, 3))).as_text()
    )
    assert text.count("stablehlo.reduce") == {"cpu": 1, "gpu": 2}[platform]


def test_transposed_convolution_is_the_adjoint_of_the_convolution():
    x, y, kernel = normal(1, 8, 8, 3), normal(1, 4, 4, 5), normal(4, 4, 3, 5)
    forward = jnp.vdot(layers.conv(x, kernel, 2, (1, 1)), y)
    backward = jnp.vdot(x, layers.conv_transpose(y, kernel.swapaxes(2, 3)))
    np.testing.assert_allclose(forward, backward, rtol=1e-4)


def test_weights_start_at_the_papers_deviation():
    module = layers.Convolution(Layer("conv", features=64, bias=True))
    params = module.init(jax.random.key(0), jnp.zeros((1, 8, 8, 64)))
    kernel = np.asarray(params["params"]["kernel"])
    assert abs(kernel.mean()) < 3e-4
    assert abs(kernel.std() - 0.02) < 3e-4
    assert not np.asarray(params["params"]["bias"]).any()
    scale = layers.Norm("batch").init(jax.random.key(0), jnp.zeros((1, 1, 1, 4096)))
    assert abs(scale["params"]["scale"].mean() - 1) < 2e-3
    assert abs(scale["params"]["scale"].std() - 0.02) < 2e-3


@pytest.mark.parametrize(("kind", "axes"), [("batch", (0, 1, 2)), ("instance", (1, 2))])
def test_norm_against_numpy(kind, axes):
    x = 3 + 2 * normal(4, 5, 6, 7)
    params = {"scale": jnp.linspace(0.5, 2, 7), "bias": jnp.linspace(-1, 1, 7)}
    y = layers.Norm(kind).apply({"params": params}, x)
    x = np.asarray(x, np.float64)
    mean, variance = x.mean(axes, keepdims=True), x.var(axes, keepdims=True)
    expected = (x - mean) / np.sqrt(variance + 1e-5) * np.linspace(0.5, 2, 7)
    np.testing.assert_allclose(y, expected + np.linspace(-1, 1, 7), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("images", [1, 2, None])
def test_gradients_of_a_norm_are_those_of_its_formula(affine, images):
    """Of the formula as JAX differentiates it, in double precision."""
    x, weights = 3 + 2 * normal(4, 5, 6, 7), normal(4, 5, 6, 7)
    params = {"scale": jnp.linspace(0.5, 2, 7), "bias": jnp.linspace(-1, 1, 7)} if affine else {}

    def ours(x, params):
        norm = layers.Norm("batch", affine=affine, images=images)
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
def test_norm_in_bfloat16_against_double_precision(mean, spread):
    """Also of channels that hardly vary, whose variance is less than what a square can tell."""
    x = (mean + spread * normal(2, 60, 50, 3)).astype(jnp.bfloat16)
    found = layers.normalize(x, None, None, 1e-5)
    exact = np.asarray(x, np.float64)
    exact = exact - exact.mean((1, 2), keepdims=True)
    exact /= np.sqrt(np.square(exact).mean((1, 2), keepdims=True) + 1e-5)
    np.testing.assert_allclose(found.astype(np.float32), exact, rtol=2**-7, atol=1e-3)


def test_sums_of_parts_are_the_same():
    """As a GPU takes them, where a channel has enough values."""
    x = normal(2, 3, 16, 8, 5)
    found, whole = normalization._sum_in_parts(x, 128), normalization._sum(x)
    assert found.shape == whole.shape == (2, 1, 1, 1, 5)
    np.testing.assert_allclose(found, np.asarray(x).sum((1, 2, 3), keepdims=True), atol=1e-4)
    np.testing.assert_allclose(whole, found, atol=1e-4)


def test_norm_none_has_no_parameters_and_does_nothing():
    x = normal(1, 2, 2, 3)
    y, variables = layers.Norm("none").init_with_output(jax.random.key(0), x)
    assert not variables
    np.testing.assert_array_equal(x, y)


def test_norms_of_one_image_are_the_same():
    x = normal(1, 5, 6, 7)
    variables = layers.Norm("batch").init(jax.random.key(0), x)
    batch, instance = (layers.Norm(kind).apply(variables, x) for kind in ("batch", "instance"))
    np.testing.assert_array_equal(batch, instance)


def test_norm_would_zero_a_bottleneck_of_one_pixel():
    x = normal(1, 1, 1, 16)
    y, variables = layers.Norm("batch").init_with_output(jax.random.key(0), x)
    np.testing.assert_array_equal(y, np.zeros_like(x))


def test_dropout_keeps_its_share_and_its_mean():
    x = jnp.ones((2, 64, 64, 8))
    y = np.asarray(layers.dropout(x, 0.5, jax.random.split(jax.random.key(0), 2), 1))
    assert set(np.unique(y)) == {0.0, 2.0}
    assert abs((y == 0).mean() - 0.5) < 0.01


def test_dropout_of_an_image_depends_on_its_key_and_layer_alone():
    x, keys = jnp.ones((3, 8, 8, 4)), jax.random.split(jax.random.key(0), 3)
    together = layers.dropout(x, 0.5, keys, 1)
    np.testing.assert_array_equal(together[1:2], layers.dropout(x[:1], 0.5, keys[1:2], 1))
    assert (together != layers.dropout(x, 0.5, keys, 2)).any()
    assert (together[0] != together[1]).any()


def test_bfloat16_layers_keep_float32_parameters():
    x = normal(1, 8, 8, 3)
    module = layers.Convolution(Layer("conv", features=4), dtype=jnp.bfloat16)
    y, variables = module.init_with_output(jax.random.key(0), x)
    assert y.dtype == jnp.bfloat16
    assert variables["params"]["kernel"].dtype == jnp.float32
    y, variables = layers.Norm("batch").init_with_output(jax.random.key(0), y)
    assert y.dtype == jnp.bfloat16
    assert variables["params"]["scale"].dtype == jnp.float32


def test_a_norm_of_some_images_takes_the_statistics_of_those():
    """As one device that holds four, where two devices held two each."""
    x = np.random.default_rng(0).standard_normal((4, 5, 6, 3)).astype(np.float32)
    params = layers.Norm("batch").init(jax.random.key(0), x)
    for images in (1, 2, 4, 8, None):
        size = min(images or 4, 4)
        parts = [x[i : i + size] for i in range(0, 4, size)]
        expected = np.concatenate([layers.Norm("batch").apply(params, part) for part in parts])
        found = layers.Norm("batch", images=images).apply(params, x)
        np.testing.assert_allclose(found, expected, atol=1e-6)
