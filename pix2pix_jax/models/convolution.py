"""Convolution and transposed convolution, by the lowering that is fastest for a platform and shape.

A lowering is a way to compute a convolution. All lowerings take the same kernel and give the same
result up to rounding. They are XLA's own convolution (`conv_native`), and the matrix products
of `matmul_convolutions`. An exported network can contain the lowerings of all platforms.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

from pix2pix_jax.models import matmul_convolutions as products
from pix2pix_jax.models.arrays import is_static

# The sizes at which one lowering becomes faster than another, measured on two CPU cores and on an
# NVIDIA H200 GPU. The limits of pixels are for all images of a batch together. They count pixels of
# the output of a convolution, and pixels of the input of a transposed convolution.
FEW_CHANNELS = 16
WINOGRAD_MIN_PIXELS = 513  # CPU
TRANSPOSE_WINOGRAD_MIN_PIXELS = 1024  # CPU
PER_TAP_MAX_PIXELS_CPU, PER_TAP_MAX_PIXELS_GPU = 64, 256
NATIVE_MIN_IMAGES = 9  # GPU; the discriminator gets real and generated images
Lowering = Callable[[Array, Array], Any]  # (x, kernel) -> result, an array


def conv(
    x: Array, kernel: Array, stride: int, padding: tuple[int, int], portable: bool = False
) -> Array:
    """Convolves images as deep learning does: by cross-correlation, without a flip of the kernel.

    Args:
      x: [b, h, w, c].
      kernel: [k, k, c, o].
      stride: the stride of both axes; it must divide k.
      padding: zeros before and after, on both axes.
      portable: whether to keep the lowerings of all platforms, for export.

    Returns:
      [b, h', w', o], with h' = (h + sum(padding) - k) // stride + 1, and w' likewise.
    """
    native = partial(conv_native, stride=stride, padding=padding)
    cpu, gpu = conv_lowerings(x, kernel, stride, padding)
    return lowering_for_platform(cpu, gpu, native, portable)(x, kernel)


def conv_lowerings(
    x: Array, kernel: Array, stride: int, padding: tuple[int, int]
) -> tuple[Lowering, Lowering]:
    """The fastest lowerings of `conv` on a CPU and on a GPU. Args as in `conv`."""
    k, _, c, o = kernel.shape
    if stride == 1 and k > 1 and o < FEW_CHANNELS:
        scatter = partial(products.conv_scatter, padding=padding)
        return scatter, scatter
    cpu = gpu = partial(products.conv_im2col, stride=stride, padding=padding)
    output = (x.shape[0], *products.output_size(x, k, stride, padding))
    if k == 4 and c > FEW_CHANNELS and is_static(output):
        if math.prod(output) >= WINOGRAD_MIN_PIXELS and is_full_precision(x):
            cpu = partial(products.conv_winograd, stride=stride, padding=padding)
        if x.shape[0] >= NATIVE_MIN_IMAGES:
            gpu = partial(conv_native, stride=stride, padding=padding)
    return cpu, gpu


def conv_transpose(x: Array, kernel: Array, portable: bool = False) -> Array:
    """Applies a transposed convolution, which doubles height and width.

    The transposed convolution is the adjoint of a convolution with stride 2 and padding 1: the
    gradient of that convolution with respect to its input.

    Args:
      x: [b, h, w, c].
      kernel: [4, 4, c, o]. The pixel (y, x) adds its product with kernel[i, j] to the output at
        (2 * y + i - 1, 2 * x + j - 1), as in PyTorch and Keras.
      portable: as in `conv`.

    Returns:
      [b, 2h, 2w, o].
    """
    cpu, gpu = conv_transpose_lowerings(x, kernel)
    return lowering_for_platform(cpu, gpu, conv_transpose_native, portable)(x, kernel)


def conv_transpose_lowerings(x: Array, kernel: Array) -> tuple[Lowering, Lowering]:
    """The fastest lowerings of `conv_transpose` on a CPU and on a GPU.

    Args as in `conv_transpose`.
    """
    if not is_static(x.shape[:3]):
        return products.conv_transpose_matmul, products.conv_transpose_matmul
    num_pixels, o = math.prod(x.shape[:3]), kernel.shape[-1]
    cpu, gpu = (
        products.conv_transpose_per_tap if num_pixels <= limit else products.conv_transpose_matmul
        for limit in (PER_TAP_MAX_PIXELS_CPU, PER_TAP_MAX_PIXELS_GPU)
    )
    if num_pixels >= TRANSPOSE_WINOGRAD_MIN_PIXELS and o > FEW_CHANNELS and is_full_precision(x):
        cpu = products.conv_transpose_winograd
    return cpu, gpu


def lowering_for_platform(
    cpu: Lowering, gpu: Lowering, other: Lowering, portable: bool
) -> Lowering:
    """The lowering for the platform on which JAX runs.

    Args:
      cpu, gpu: the fastest lowering on each of these platforms.
      other: the lowering on all other platforms.
      portable: whether to return a switch over all platforms instead. A switch takes twice as long
        to trace.
    """
    if portable:
        return partial(lax.platform_dependent, cpu=cpu, cuda=gpu, rocm=gpu, default=other)
    return {"cpu": cpu, "gpu": gpu}.get(jax.default_backend(), other)


def is_full_precision(x: Array) -> bool:
    """Whether x has enough digits for Winograd's algorithm, which subtracts; bfloat16 has not."""
    return x.dtype != jnp.bfloat16


def conv_native(x: Array, kernel: Array, stride: int, padding: tuple[int, int]) -> Array:
    """Computes `conv` with XLA's own convolution."""
    return lax.conv_general_dilated(
        x, kernel, (stride, stride), (padding, padding), dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def conv_transpose_native(x: Array, kernel: Array) -> Array:
    """Computes `conv_transpose` with XLA's own convolution."""
    return lax.conv_general_dilated(
        x,
        kernel[::-1, ::-1],
        window_strides=(1, 1),
        padding=((2, 2), (2, 2)),
        lhs_dilation=(2, 2),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )
