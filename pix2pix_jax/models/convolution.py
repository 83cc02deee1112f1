"""Convolution and transposed convolution, each by the lowering that is fastest where it runs.

A lowering is a way to compute the same result from the same kernel: XLA's own convolution
(`native`), or one of the matrix products of `matmul_convolutions`. The platform and the shapes
decide; an exported network holds the lowerings of all platforms.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

from pix2pix_jax.models import matmul_convolutions as products

# Where one lowering becomes faster than another, measured on two CPU cores and on an H200.
# Pixels are counted over all images: of a convolution's output, of a transposed one's input.
FEW_CHANNELS = 16
WINOGRAD_MIN_PIXELS = 513  # CPU
TRANSPOSE_WINOGRAD_MIN_PIXELS = 1024  # CPU
PER_TAP_MAX_PIXELS_CPU, PER_TAP_MAX_PIXELS_GPU = 64, 256
NATIVE_MIN_IMAGES = 9  # GPU; real and generated images are both counted
Lowering = Callable[[Array, Array], Any]  # (x, kernel) -> result, an array


def conv(
    x: Array, kernel: Array, stride: int, padding: tuple[int, int], portable: bool = False
) -> Array:
    """Cross-correlation, as in every deep learning library.

    Args:
      x: [b, h, w, c].
      kernel: [k, k, c, o].
      stride: of both axes; it must divide k.
      padding: zeros before and after, on both axes.
      portable: whether to keep the lowerings of all platforms, for export.

    Returns:
      [b, (h + sum(padding) - k) // stride + 1, likewise for w, o].
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
    """The adjoint of a stride-2, padding-1 convolution: twice the height and width.

    Args:
      x: [b, h, w, c].
      kernel: [4, 4, c, o]; kernel[i, j] is what one pixel adds at (i - 1, j - 1) from its own
        place in the doubled image, as in PyTorch and Keras.
      portable: as in `conv`.

    Returns:
      [b, 2h, 2w, o].
    """
    cpu, gpu = conv_transpose_lowerings(x, kernel)
    return lowering_for_platform(cpu, gpu, conv_transpose_native, portable)(x, kernel)


def conv_transpose_lowerings(x: Array, kernel: Array) -> tuple[Lowering, Lowering]:
    """The fastest lowerings of `conv_transpose` on a CPU and on a GPU. Args as there."""
    if not is_static(x.shape[:3]):
        return products.conv_transpose_matmul, products.conv_transpose_matmul
    num_pixels, o = math.prod(x.shape[:3]), kernel.shape[-1]
    cpu, gpu = (
        products.conv_transpose_per_tap if num_pixels <= most else products.conv_transpose_matmul
        for most in (PER_TAP_MAX_PIXELS_CPU, PER_TAP_MAX_PIXELS_GPU)
    )
    if num_pixels >= TRANSPOSE_WINOGRAD_MIN_PIXELS and o > FEW_CHANNELS and is_full_precision(x):
        cpu = products.conv_transpose_winograd
    return cpu, gpu


def lowering_for_platform(
    cpu: Lowering, gpu: Lowering, other: Lowering, portable: bool
) -> Lowering:
    """The lowering for the platform on which JAX runs, or, if `portable`, a switch over all.

    A switch takes twice as long to trace.
    """
    if portable:
        return partial(lax.platform_dependent, cpu=cpu, cuda=gpu, rocm=gpu, default=other)
    return {"cpu": cpu, "gpu": gpu}.get(jax.default_backend(), other)


def is_static(shape: Sequence[int]) -> bool:
    """Whether all sizes are numbers; in an exported network some are symbols."""
    return all(isinstance(size, int) for size in shape)


def is_full_precision(x: Array) -> bool:
    """Whether Winograd may be used: its differences leave too few digits in bfloat16."""
    return x.dtype != jnp.bfloat16


def conv_native(x: Array, kernel: Array, stride: int, padding: tuple[int, int]) -> Array:
    """`conv` by XLA's own convolution."""
    return lax.conv_general_dilated(
        x, kernel, (stride, stride), (padding, padding), dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def conv_transpose_native(x: Array, kernel: Array) -> Array:
    """`conv_transpose` by XLA's own convolution."""
    return lax.conv_general_dilated(
        x,
        kernel[::-1, ::-1],
        window_strides=(1, 1),
        padding=((2, 2), (2, 2)),
        lhs_dilation=(2, 2),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )
