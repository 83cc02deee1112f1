"""Convolutions as matrix products, for backends where XLA's own convolutions are slow.

Large matrix products run near the peak speed of a machine. The functions differ in how much memory
they copy before and after the product, so each of them is the fastest for some shapes.
"""

from typing import cast

import jax
import jax.numpy as jnp
from jax import Array, lax

from pix2pix_jax.models.arrays import at_least_float32

Padding = tuple[int, int]  # zeros before and after, on both axes


def conv_im2col(x: Array, kernel: Array, stride: int, padding: Padding) -> Array:
    """Convolves by im2col: one product of all patches of the images with the kernel.

    The patches are gathered in the order of the kernel's values, so the kernel is not copied.

    Args:
      x: [b, h, w, c].
      kernel: [k, k, c, o].
      stride: the stride of both axes; it must divide k.
      padding: the padding of x.

    Returns:
      [b, h', w', o], with h' = (h + sum(padding) - k) // stride + 1, and w' likewise.
    """
    b, _, _, c = x.shape
    k, _, _, o = kernel.shape
    height, width = output_size(x, k, stride, padding)
    rows, columns = height + k // stride - 1, width + k // stride - 1
    wide = at_least_float32(pad(x, padding[0], rows * stride, columns * stride))
    # The stride gets axes of its own, so that strided slices become plain slices.
    wide = wide.reshape(b, rows, stride, columns, stride, c)
    patches = [
        wide[:, i // stride :, i % stride, j // stride :, j % stride][:, :height, :width]
        for i in range(k)
        for j in range(k)
    ]
    return matmul(jnp.concatenate(patches, -1).astype(x.dtype), kernel.reshape(k * k * c, o))


def conv_scatter(x: Array, kernel: Array, padding: Padding) -> Array:
    """Convolves with stride 1: one product gives k * k images, which are shifted and added.

    This function is the fastest for few output channels. Args and Returns as in `conv_im2col`.
    """
    b, h, w, c = x.shape
    k, _, _, o = kernel.shape
    height, width = output_size(x, k, 1, padding)
    y = matmul(x, kernel.transpose(2, 0, 1, 3).reshape(c, k * k * o))
    y = pad(y, padding[0], h + sum(padding), w + sum(padding))
    y = at_least_float32(y.reshape(*y.shape[:3], k, k, o))
    shifts = [(i, j) for i in range(k) for j in range(k)]
    total = cast(Array, sum(y[:, i : i + height, j : j + width, i, j] for i, j in shifts))
    return total.astype(x.dtype)


def conv_winograd(x: Array, kernel: Array, stride: int, padding: Padding) -> Array:
    """Convolves by Winograd's algorithm, with 9 multiplications instead of 16.

    This function is the fastest for many pixels. A 4x4 kernel of stride 1 or 2 is rewritten as a
    2x2 kernel on four times as many channels. Winograd's algorithm F(2x2, 2x2) then computes four
    outputs with 9 multiplications; all its other operations are sums of two values (Winograd,
    "Arithmetic Complexity of Computations", 1980; for convolutional networks arXiv 1509.09308). In
    one dimension, with inputs x, kernel k and outputs y:

      y[0] = x[0] k[0] + x[1] k[1] = (x[0] - x[1]) k[0] + x[1] (k[0] + k[1])
      y[1] = x[1] k[0] + x[2] k[1] = (x[2] - x[1]) k[1] + x[1] (k[0] + k[1])

    Args and Returns as in `conv_im2col`; the kernel is 4x4, and the stride is 1 or 2.
    """
    b, _, _, c = x.shape
    o = kernel.shape[-1]
    height, width = output_size(x, 4, stride, padding)
    rows, columns = _winograd_input_size(height), _winograd_input_size(width)
    if stride == 2:  # each of the four 2x2 kernels sees every other pixel
        x = pad(x, padding[0], 2 * rows, 2 * columns)
        x = x.reshape(b, rows, 2, columns, 2, c).transpose(0, 1, 3, 2, 4, 5)
        kernel = kernel.reshape(2, 2, 2, 2, c, o).transpose(0, 2, 1, 3, 4, 5)
    else:  # each of the four 2x2 kernels sees the image shifted by two pixels
        x = pad(x, padding[0], rows + 2, columns + 2)
        shifts = [x[:, i : i + rows, j : j + columns] for i in (0, 2) for j in (0, 2)]
        x = jnp.stack(shifts, 3)
        kernel = kernel.reshape(2, 2, 2, 2, c, o).transpose(1, 3, 0, 2, 4, 5)
    y = _winograd_2x2(x.reshape(b, rows, columns, 4 * c), kernel.reshape(2, 2, 4 * c, o))
    return y[:, :height, :width]


def _winograd_input_size(size: int) -> int:
    """The input height or width for which `_winograd_2x2` gives at least `size` outputs."""
    return (size + 1) // 2 * 2 + 2


def _winograd_2x2(x: Array, kernel: Array) -> Array:
    """Convolves with a 2x2 kernel by Winograd's algorithm F(2x2, 2x2).

    Args:
      x: [b, rows, columns, c]; rows and columns are even.
      kernel: [2, 2, c, o].

    Returns:
      [b, rows - 2, columns - 2, o].
    """
    b, rows, columns, c = x.shape
    x = x.reshape(b, rows // 2, 2, columns // 2, 2, c)
    weights = [weight for row in _winograd_kernel(kernel) for weight in _winograd_kernel(row)]
    inputs = [part for row in _winograd_input(x, 1) for part in _winograd_input(row, 2)]
    products = [matmul(part, weight) for part, weight in zip(inputs, weights, strict=True)]
    rows_of_y = [_winograd_output(*products[3 * i : 3 * i + 3], axis=3) for i in range(3)]
    y = _winograd_output(*rows_of_y, axis=2)  # [b, rows / 2 - 1, 2, columns / 2 - 1, 2, o]
    return y.reshape(b, rows - 2, columns - 2, -1)


def _winograd_kernel(kernel: Array) -> tuple[Array, Array, Array]:
    """The factors from the kernel, one for each of the three products: see `conv_winograd`."""
    return kernel[0], kernel[0] + kernel[1], kernel[1]


def _winograd_input(x: Array, axis: int) -> tuple[Array, Array, Array]:
    """The factors from the input, one for each of the three products: see `conv_winograd`.

    Args:
      x: pixels in pairs: `axis` counts the pairs, and axis + 1 has the two pixels of a pair.
      axis: the axis of the pairs. The results do not have axis + 1.
    """
    first, second = (lax.index_in_dim(x, i, axis + 1, keepdims=False) for i in range(2))
    count = x.shape[axis] - 1
    first, third = (lax.slice_in_dim(first, i, i + count, axis=axis) for i in range(2))
    second = lax.slice_in_dim(second, 0, count, axis=axis)
    return first - second, second, third - second


def _winograd_output(left: Array, both: Array, right: Array, axis: int) -> Array:
    """Adds up the three products to two outputs, and stacks the outputs: see `conv_winograd`."""
    return jnp.stack([left + both, both + right], axis)


def conv_transpose_matmul(x: Array, kernel: Array) -> Array:
    """Applies a transposed convolution of stride 2 and padding 1: a product, then an overlap-add.

    Args:
      x: [b, h, w, c].
      kernel: [4, 4, c, o].

    Returns:
      [b, 2h, 2w, o].
    """
    c, o = kernel.shape[2:]
    y = matmul(x, kernel.transpose(2, 0, 1, 3).reshape(c, 16 * o))
    y = y.reshape(*x.shape[:3], 2, 2, 2, 2, o).transpose(3, 5, 0, 1, 4, 2, 6, 7)
    return _overlap_add(y)


def conv_transpose_per_tap(x: Array, kernel: Array) -> Array:
    """Applies a transposed convolution by 16 products, one for each of the kernel's 4x4 taps.

    This function is the fastest for few pixels, because the kernel is not copied. Args and Returns
    as in `conv_transpose_matmul`.
    """
    b, h, w, c = x.shape
    o = kernel.shape[-1]
    wide = jnp.broadcast_to(at_least_float32(x.reshape(-1, c)), (16, b * h * w, c))
    y = wide.astype(x.dtype) @ kernel.reshape(16, c, o)
    return _overlap_add(y.reshape(2, 2, 2, 2, b, h, w, o).transpose(0, 2, 4, 5, 1, 6, 3, 7))


def conv_transpose_winograd(x: Array, kernel: Array) -> Array:
    """Applies a transposed convolution by Winograd's algorithm, as in `conv_winograd`.

    This function is the fastest for many pixels. Every 2x2 block of outputs is a 2x2 convolution of
    the four pixels around the middle of the block. Args and Returns as in `conv_transpose_matmul`.
    """
    b, h, w, c = x.shape
    o = kernel.shape[-1]
    kernel = kernel.reshape(2, 2, 2, 2, c, o).transpose(0, 2, 4, 1, 3, 5)[::-1, ::-1]
    y = _winograd_2x2(
        pad(x, 1, _winograd_input_size(h + 1), _winograd_input_size(w + 1)),
        kernel.reshape(2, 2, c, 4 * o),
    )
    y = y[:, : h + 1, : w + 1].reshape(b, h + 1, w + 1, 2, 2, o).transpose(0, 1, 3, 2, 4, 5)
    return y.reshape(b, 2 * h + 2, 2 * w + 2, o)[:, 1:-1, 1:-1]


def _overlap_add(y: Array) -> Array:
    """Adds up the 4x4 outputs of all pixels; the outputs of neighbouring pixels overlap.

    Args:
      y: [2, 2, b, h, 2, w, 2, o], the 4x4 outputs as 2x2 blocks of 2x2 values: row and column of
        the block, image, row of the pixel, row in the block, column of the pixel, column in the
        block, channel.

    Returns:
      [b, 2h, 2w, o].
    """
    _, _, b, h, _, w, _, o = y.shape
    wide, zero = at_least_float32(y), (0, 0)
    padded = (
        jnp.pad(wide[i, j], (zero, (i, 1 - i), zero, (j, 1 - j), zero, zero))
        for i in range(2)
        for j in range(2)
    )
    total = cast(Array, sum(padded))  # [b, h + 1, 2, w + 1, 2, o]
    return total.reshape(b, 2 * h + 2, 2 * w + 2, o)[:, 1:-1, 1:-1].astype(y.dtype)


@jax.custom_vjp
def matmul(x: Array, kernel: Array) -> Array:
    """Computes `x @ kernel`, with gradients that are fast on a CPU.

    The gradient with respect to the kernel is a product with the transposed x. JAX's own
    derivative contracts the first axes of both factors instead, which is slower on a CPU.

    Args:
      x: [..., c].
      kernel: [c, o].

    Returns:
      [..., o].
    """
    return x @ kernel


def _matmul(x: Array, kernel: Array) -> tuple[Array, tuple[Array, Array]]:
    return x @ kernel, (x, kernel)


def _gradients(factors: tuple[Array, Array], gradient: Array) -> tuple[Array, Array]:
    x, kernel = factors
    columns = x.reshape(-1, x.shape[-1]).T
    return gradient @ kernel.T, columns @ gradient.reshape(-1, gradient.shape[-1])


matmul.defvjp(_matmul, _gradients)


def output_size(x: Array, k: int, stride: int, padding: Padding) -> tuple[int, int]:
    """Height and width of the output of a convolution of x [b, h, w, c] with a k x k kernel."""
    height, width = ((side + sum(padding) - k) // stride + 1 for side in x.shape[1:3])
    return height, width


def pad(x: Array, before: int, rows: int, columns: int) -> Array:
    """Pads or crops images to a number of rows and columns.

    Args:
      x: [b, h, w, c].
      before: the number of zeros to add above and to the left.
      rows, columns: the size of the result; zeros are added, or pixels cropped, below and to the
        right.

    Returns:
      [b, rows, columns, c].
    """
    _, h, w, _ = x.shape
    down, across = ((before, size - before - side, 0) for size, side in ((rows, h), (columns, w)))
    return lax.pad(x, jnp.zeros((), x.dtype), ((0, 0, 0), down, across, (0, 0, 0)))
