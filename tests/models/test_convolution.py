"""Every lowering of a convolution gives the same result; each shape gets its fastest lowering."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pix2pix_jax.models import convolution
from pix2pix_jax.models import matmul_convolutions as products


def value_and_gradients(lower, x, kernel, *args):
    """The result of a lowering, and gradients of a weighted sum of the result for x and kernel."""

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
def test_all_lowerings_of_a_convolution_agree(k, stride, padding, size):
    x, kernel = normal(2, *size, 3), normal(k, k, 3, 5)
    lowerings = [partial(products.conv_im2col, stride=stride, padding=padding)]
    lowerings += [partial(convolution.conv, stride=stride, padding=padding)]
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
def test_all_lowerings_of_a_transposed_convolution_agree(size, lower):
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


def test_transposed_convolution_is_the_adjoint_of_the_convolution():
    x, y, kernel = normal(1, 8, 8, 3), normal(1, 4, 4, 5), normal(4, 4, 3, 5)
    forward = jnp.vdot(convolution.conv(x, kernel, 2, (1, 1)), y)
    backward = jnp.vdot(x, convolution.conv_transpose(y, kernel.swapaxes(2, 3)))
    np.testing.assert_allclose(forward, backward, rtol=1e-4)


NATIVE_STRIDE_1 = partial(convolution.conv_native, stride=1, padding=(1, 2))
NATIVE_STRIDE_2 = partial(convolution.conv_native, stride=2, padding=(1, 1))


@pytest.mark.parametrize(
    ("lower", "native", "kernel"),
    [
        (partial(products.conv_im2col, stride=1, padding=(1, 2)), NATIVE_STRIDE_1, (24, 8)),
        (partial(products.conv_im2col, stride=2, padding=(1, 1)), NATIVE_STRIDE_2, (24, 8)),
        (partial(products.conv_scatter, padding=(1, 2)), NATIVE_STRIDE_1, (24, 2)),
        (products.conv_transpose_matmul, convolution.conv_transpose_native, (24, 8)),
        (products.conv_transpose_per_tap, convolution.conv_transpose_native, (24, 8)),
    ],
)
def test_matrix_products_in_bfloat16_are_about_as_exact_as_native_convolutions(
    lower, native, kernel
):
    """Errors are measured against double precision. Sums must not be rounded at every addition."""
    x, kernel = (a.astype(jnp.bfloat16) for a in (normal(2, 16, 16, 24), normal(4, 4, *kernel)))
    change = normal(*lower(x, kernel).shape).astype(jnp.bfloat16)

    def result_and_gradients(lower, x, kernel, change):
        y, pull_back = jax.vjp(lower, x, kernel)
        return [np.asarray(values, np.float64) for values in (y, *pull_back(change))]

    with jax.enable_x64(True):
        wide = (np.asarray(a, np.float64) for a in (x, kernel, change))
        exact = result_and_gradients(native, *wide)
    both = (result_and_gradients(lowering, x, kernel, change) for lowering in (lower, native))
    for ours, of_native, expected in zip(*both, exact, strict=True):
        error, native_error = (np.square(y - expected).mean() for y in (ours, of_native))
        assert error < 1.5**2 * native_error


LARGE = (1, 128, 128, 64), (4, 4, 64, 128)  # x and kernel of down2
IM2COL, WINOGRAD, NATIVE = products.conv_im2col, products.conv_winograd, convolution.conv_native


@pytest.mark.parametrize(
    ("x", "kernel", "stride", "expected"),
    [
        (*LARGE, 2, (WINOGRAD, IM2COL)),
        ((16, *LARGE[0][1:]), LARGE[1], 2, (WINOGRAD, NATIVE)),
        ((1, 256, 256, 3), (4, 4, 3, 64), 2, (IM2COL, IM2COL)),  # down1
        ((1, 4, 4, 512), (4, 4, 512, 512), 2, (IM2COL, IM2COL)),  # down7
        ((1, 31, 31, 512), (4, 4, 512, 1), 1, (products.conv_scatter,) * 2),  # logits
        ((16, 256, 256, 6), (1, 1, 6, 64), 1, (IM2COL, IM2COL)),  # PixelGAN
    ],
)
def test_the_papers_convolutions_get_their_fastest_lowerings(x, kernel, stride, expected):
    padding = (0, 0) if kernel[0] == 1 else (1, 1)
    shapes = (jax.ShapeDtypeStruct(shape, jnp.float32) for shape in (x, kernel))
    found = convolution.conv_lowerings(*shapes, stride, padding)
    assert tuple(lowering.func for lowering in found) == expected


PER_TAP, MATMUL = products.conv_transpose_per_tap, products.conv_transpose_matmul


@pytest.mark.parametrize(
    ("x", "outputs", "expected"),
    [
        ((1, 1, 1, 512), 512, (PER_TAP, PER_TAP)),
        ((1, 16, 16, 1024), 256, (MATMUL, PER_TAP)),
        ((1, 32, 32, 512), 128, (products.conv_transpose_winograd, MATMUL)),
        ((1, 128, 128, 128), 3, (MATMUL, MATMUL)),
    ],
)
def test_the_papers_transposed_convolutions_get_their_fastest_lowerings(x, outputs, expected):
    kernel = jax.ShapeDtypeStruct((4, 4, x[-1], outputs), jnp.float32)
    assert (
        convolution.conv_transpose_lowerings(jax.ShapeDtypeStruct(x, jnp.float32), kernel)
        == expected
    )


def test_bfloat16_does_not_use_winograd():
    x, kernel = (jax.ShapeDtypeStruct(shape, jnp.bfloat16) for shape in LARGE)
    assert convolution.conv_lowerings(x, kernel, 2, (1, 1))[0].func is IM2COL
    assert convolution.conv_transpose_lowerings(x, kernel)[0] is MATMUL


@pytest.mark.parametrize("stride", [1, 2])
def test_the_lowerings_for_many_pixels_agree_with_native_convolutions(stride):
    x, kernel = normal(1, 48, 48, 24), normal(4, 4, 24, 32)
    chosen = partial(convolution.conv, stride=stride, padding=(1, 1))
    natives = value_and_gradients(convolution.conv_native, x, kernel, stride, (1, 1))
    for found, native in zip(value_and_gradients(chosen, x, kernel), natives, strict=True):
        np.testing.assert_allclose(found, native, rtol=1e-5, atol=1e-5 * np.abs(native).max())
    natives = value_and_gradients(convolution.conv_transpose_native, x, kernel)
    chosen = value_and_gradients(convolution.conv_transpose, x, kernel)
    for found, native in zip(chosen, natives, strict=True):
        np.testing.assert_allclose(found, native, rtol=1e-5, atol=1e-5 * np.abs(native).max())


@pytest.mark.parametrize("platform", ["cpu", "gpu", "tpu"])
def test_the_platform_decides_the_lowering(platform, monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: platform)
    assert convolution.lowering_for_platform("cpu", "gpu", "tpu", portable=False) == platform


def test_a_portable_convolution_has_the_lowerings_of_all_platforms():
    x, kernel = (jax.ShapeDtypeStruct(shape, jnp.float32) for shape in LARGE)

    def operations(portable, platforms):
        lower = partial(convolution.conv, stride=2, padding=(1, 1), portable=portable)
        text = jax.jit(lower).trace(x, kernel).lower(lowering_platforms=platforms).as_text()
        return text.count("stablehlo.convolution"), text.count("stablehlo.dot_general")

    assert operations(True, ("tpu",)) == (1, 0)
    assert operations(True, ("cuda",)) == (0, 1)
    assert operations(False, ("cpu",)) == operations(True, ("cpu",)) == (0, 9)  # Winograd
