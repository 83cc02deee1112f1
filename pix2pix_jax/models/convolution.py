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
FEWEST_MINIMAL = 513  # from so many places on, on a CPU
FEWEST_MINIMAL_TRANSPOSED = 1024  # from so many places on, on a CPU
MOST_BY_TAP_CPU, MOST_BY_TAP_GPU = 64, 256  # up to so many places
FEWEST_NATIVE = 9  # from so many images on, real and generated ones, on a GPU
Lowering = Callable[[Array, Array], Array]  # of x and kernel


def convolution(
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
    native = partial(convolution_native, stride=stride, padding=padding)
    cpu, gpu = convolution_lowerings(x, kernel, stride, padding)
    return of_platform(cpu, gpu, native, portable)(x, kernel)


def convolution_lowerings(
    x: Array, kernel: Array, stride: int, padding: tuple[int, int]
) -> tuple[Lowering, Lowering]:
    """The best of `convolution` on a CPU and on a GPU; its arguments."""
    k, _, c, o = kernel.shape
    if stride == 1 and k > 1 and o < FEW_CHANNELS:
        return (partial(products.scattered, padding=padding),) * 2
    cpu = gpu = partial(products.gathered, stride=stride, padding=padding)
    places = (x.shape[0], *products.output_size(x, k, stride, padding))
    if k == 4 and c > FEW_CHANNELS and known(places):
        if math.prod(places) >= FEWEST_MINIMAL and exact(x):
            cpu = partial(products.minimal, stride=stride, padding=padding)
        if x.shape[0] >= FEWEST_NATIVE:
            gpu = partial(convolution_native, stride=stride, padding=padding)
    return cpu, gpu


def transposed_convolution(x: Array, kernel: Array, portable: bool = False) -> Array:
    """The adjoint of a stride-2, padding-1 convolution: twice the height and width.

    Args:
      x: [b, h, w, c].
      kernel: [4, 4, c, o]; kernel[i, j] is what one pixel adds at (i - 1, j - 1) from its own
        place in the doubled image, as in PyTorch and Keras.
      portable: as in `convolution`.

    Returns:
      [b, 2h, 2w, o].
    """
    cpu, gpu = transposed_lowerings(x, kernel)
    return of_platform(cpu, gpu, transposed_native, portable)(x, kernel)


def transposed_lowerings(x: Array, kernel: Array) -> tuple[Lowering, Lowering]:
    """The best of `transposed_convolution` on a CPU and on a GPU; its arguments."""
    if not known(x.shape[:3]):
        return products.transposed, products.transposed
    places, o = math.prod(x.shape[:3]), kernel.shape[-1]
    cpu, gpu = (
        products.transposed_by_tap if places <= few else products.transposed
        for few in (MOST_BY_TAP_CPU, MOST_BY_TAP_GPU)
    )
    if places >= FEWEST_MINIMAL_TRANSPOSED and o > FEW_CHANNELS and exact(x):
        cpu = products.transposed_minimal
    return cpu, gpu


def of_platform(cpu: Lowering, gpu: Lowering, other: Lowering, portable: bool) -> Lowering:
    """That of the platform on which JAX runs; or all, which take twice as long to be traced."""
    if portable:
        return partial(lax.platform_dependent, cpu=cpu, cuda=gpu, rocm=gpu, default=other)
    return {"cpu": cpu, "gpu": gpu}.get(jax.default_backend(), other)


def known(shape: Sequence[int]) -> bool:
    """Whether sizes are numbers, as they are but in an exported network."""
    return all(isinstance(size, int) for size in shape)


def exact(x: Array) -> bool:
    """Whether differences of values may be taken: of bfloat16 too few digits would be left."""
    return x.dtype != jnp.bfloat16


def convolution_native(x: Array, kernel: Array, stride: int, padding: tuple[int, int]) -> Array:
    """`convolution` by XLA's own."""
    return lax.conv_general_dilated(
        x, kernel, (stride, stride), (padding, padding), dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def transposed_native(x: Array, kernel: Array) -> Array:
    """`transposed_convolution` by XLA's own."""
    return lax.conv_general_dilated(
        x,
        kernel[::-1, ::-1],
        window_strides=(1, 1),
        padding=((2, 2), (2, 2)),
        lhs_dilation=(2, 2),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )
