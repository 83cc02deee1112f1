"""Discriminators as tables of layers: how much each sees, and which images are large enough."""

from typing import NamedTuple


class Layer(NamedTuple):
    """One convolution."""

    width: int  # in multiples of model.discriminator_features; 0: the one logit
    kernel: int
    stride: int
    padding: tuple[int, int]


def _convolutions(*widths_and_strides: tuple[int, int]) -> tuple[Layer, ...]:
    """4x4 convolutions, zero-padded by one (appendix 6.1.2)."""
    return tuple(Layer(width, 4, stride, (1, 1)) for width, stride in widths_and_strides)


# Rows are (width, stride). Each next PatchGAN has one more stride-2 layer than the last.
TABLES: dict[str, tuple[Layer, ...]] = {
    "pixel": tuple(Layer(width, 1, 1, (0, 0)) for width in (1, 2, 0)),
    "patch16": _convolutions((1, 2), (2, 1), (0, 1)),
    "patch34": _convolutions((1, 2), (2, 2), (4, 1), (0, 1)),
    "patch70": _convolutions((1, 2), (2, 2), (4, 2), (8, 1), (0, 1)),
    "patch142": _convolutions((1, 2), (2, 2), (4, 2), (8, 2), (8, 1), (0, 1)),
    "image286": _convolutions((1, 2), (2, 2), (4, 2), (8, 2), (8, 2), (8, 1), (0, 1)),
    # The Keras tutorial's, with TensorFlow's 'same' padding: its text says 70, the table 142.
    "tutorial": _convolutions((1, 2), (2, 2), (4, 2), (8, 2))
    + (Layer(8, 4, 1, (1, 2)), Layer(0, 4, 1, (1, 2))),
}


def receptive_field(table: tuple[Layer, ...]) -> int:
    """Side, in pixels, of the square of input that one output of the last layer sees."""
    field = 1
    for layer in reversed(table):
        field = (field - 1) * layer.stride + layer.kernel
    return field


def is_large_enough(table: tuple[Layer, ...], height: int, width: int) -> bool:
    """Whether an image is large enough: a norm over a single place would leave only zeros."""
    grids = [output_grid(table[: n + 1], height, width) for n in range(len(table))]
    return min(grids[-1]) >= 1 and all(max(grid) > 1 for grid in grids[1:-1])


def output_grid(table: tuple[Layer, ...], height: int, width: int) -> tuple[int, int]:
    """How many outputs the last layer has down and across; not positive: the image is too small."""
    for layer in table:
        height, width = (
            (side + sum(layer.padding) - layer.kernel) // layer.stride + 1
            for side in (height, width)
        )
    return height, width
