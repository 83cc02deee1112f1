"""Convolution and transposed convolution, each in the lowering that is fastest on the platform."""

import math
from collections.abc import Callable, Sequence
from functools import partial

import jax
import jax.numpy as jnp
from jax import Array, lax

from pix2pix_jax.models import matmul_convolutions as products

# Where one lowering becomes faster than another, as timed on two CPU cores and on an H200. Places
# are those of all images: outputs of a convolution, inputs of a transposed one.
FEW_CHANNELS = 16
WINOGRAD_MIN_PIXELS = 513  # from so many places on, on a CPU
TRANSPOSE_WINOGRAD_MIN_PIXELS = 1024  # from so many places on, on a CPU
PER_TAP_MAX_PIXELS_CPU, PER_TAP_MAX_PIXELS_GPU = 64, 256  # up to so many places
NATIVE_MIN_IMAGES = 9  # from so many images on, real and generated ones, on a GPU
Lowering = Callable[[Array, Array], Array]  # of x and kernel


def conv(
    x: Array, kernel: Array, stride: int, padding: tuple[int, int], portable: bool = False
) -> Array:
    """Cross-correlation, as in every deep learning library.

    Args:
      x: [b, h, w, c].
      kernel: [k, k, c, o].
      stride: of both axes; it must divide k.
      padding: zeros before and after, on both axes.
      portable: for all platforms, and not for that alone on which JAX runs.

    Returns:
      [b, (h + sum(padding) - k) // stride + 1, likewise for w, o].
    """
    native = partial(conv_native, stride=stride, padding=padding)
    cpu, gpu = conv_lowerings(x, kernel, stride, padding)
    return lowering_for_platform(cpu, gpu, native, portable)(x, kernel)


def conv_lowerings(
    x: Array, kernel: Array, stride: int, padding: tuple[int, int]
) -> tuple[Lowering, Lowering]:
    """The best of `conv` on a CPU and on a GPU; its arguments."""
    k, _, c, o = kernel.shape
    if stride == 1 and k > 1 and o < FEW_CHANNELS:
        return (partial(products.conv_scatter, padding=padding),) * 2
    cpu = gpu = partial(products.conv_im2col, stride=stride, padding=padding)
    places = (x.shape[0], *products.output_size(x, k, stride, padding))
    if k == 4 and c > FEW_CHANNELS and is_static(places):
        if math.prod(places) >= WINOGRAD_MIN_PIXELS and is_full_precision(x):
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
    """The best of `conv_transpose` on a CPU and on a GPU; its arguments."""
    if not is_static(x.shape[:3]):
        return products.conv_transpose_matmul, products.conv_transpose_matmul
    places, o = math.prod(x.shape[:3]), kernel.shape[-1]
    cpu, gpu = (
        products.conv_transpose_per_tap if places <= few else products.conv_transpose_matmul
        for few in (PER_TAP_MAX_PIXELS_CPU, PER_TAP_MAX_PIXELS_GPU)
    )
    if places >= TRANSPOSE_WINOGRAD_MIN_PIXELS and o > FEW_CHANNELS and is_full_precision(x):
        cpu = products.conv_transpose_winograd
    return cpu, gpu


def lowering_for_platform(
    cpu: Lowering, gpu: Lowering, other: Lowering, portable: bool
) -> Lowering:
    """That of the platform on which JAX runs; or all, which take twice as long to be traced."""
    if portable:
        return partial(lax.platform_dependent, cpu=cpu, cuda=gpu, rocm=gpu, default=other)
    return {"cpu": cpu, "gpu": gpu}.get(jax.default_backend(), other)


def is_static(shape: Sequence[int]) -> bool:
    """Whether sizes are numbers, as they are but in an exported network."""
    return all(isinstance(size, int) for size in shape)


def is_full_precision(x: Array) -> bool:
    """Whether differences of values may be taken: of bfloat16 too few digits would be left."""
    return x.dtype != jnp.bfloat16


def conv_native(x: Array, kernel: Array, stride: int, padding: tuple[int, int]) -> Array:
    """`conv` by XLA's own."""
    return lax.conv_general_dilated(
        x, kernel, (stride, stride), (padding, padding), dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def conv_transpose_native(x: Array, kernel: Array) -> Array:
    """`conv_transpose` by XLA's own."""
    return lax.conv_general_dilated(
        x,
        kernel[::-1, ::-1],
        window_strides=(1, 1),
        padding=((2, 2), (2, 2)),
        lhs_dilation=(2, 2),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )
