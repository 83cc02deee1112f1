"""The discriminator: a table of layers, from which everything about it follows."""

from functools import partial
from typing import NamedTuple

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

from pix2pix_jax.config import Config, UsageError
from pix2pix_jax.layers import Convolution, Norm, at_least_float32


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


def fits(table: tuple[Layer, ...], height: int, width: int) -> bool:
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


class Discriminator(nn.Module):
    """Judges every patch of an image on its own (section 3.2.2).

    No norm on the first layer, nor on the logits. `bias` is as in `config.Model`.
    """

    table: tuple[Layer, ...]
    features: int = 64
    norm: str = "batch"
    norm_epsilon: float = 1e-5
    norm_affine: bool = True
    norm_images: int | None = None
    bias: str = "paper"
    leaky_slope: float = 0.2
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Scores patches.

        Args:
          x: [b, h, w, c] in [-1, 1]: the image, after the input it is conditioned on.

        Returns:
          Logits [b, *output_grid, 1], float32: above 0 where the patch looks real.
        """
        norm = partial(Norm, self.norm, self.norm_epsilon, self.norm_affine, self.norm_images)
        for index, layer in enumerate(self.table, 1):
            logits = layer.width == 0
            normed = index > 1 and not logits and self.norm != "none"
            x = Convolution(
                features=1 if logits else layer.width * self.features,
                kernel=layer.kernel,
                stride=layer.stride,
                padding=layer.padding,
                bias={"paper": not normed, "last": logits, "all": True}[self.bias],
                dtype=self.dtype,
                name="logits" if logits else f"conv{index}",
            )(x)  # [b, h / stride, w / stride, features]
            if normed:
                x = norm(name=f"conv{index}_norm")(x)
            if not logits:
                x = nn.leaky_relu(x, self.leaky_slope)
        return at_least_float32(x)


def make_discriminator(config: Config) -> Discriminator:
    """The discriminator that a config describes.

    Raises:
      UsageError: the image is too small for it, naming those that fit.
    """
    model, size = config.model, config.data.image_size
    table = TABLES[model.discriminator]
    if not fits(table, *size):
        fitting = [name for name in TABLES if fits(TABLES[name], *size)]
        raise UsageError(
            f"model.discriminator: {model.discriminator} is too deep for data.image_size "
            f"{size[0]}x{size[1]}; those that fit: {', '.join(fitting)}"
        )
    return Discriminator(
        table=table,
        features=model.discriminator_features,
        norm=model.norm,
        norm_epsilon=model.norm_epsilon,
        norm_affine=model.norm_affine,
        norm_images=model.norm_images,
        bias=model.bias,
        leaky_slope=model.leaky_slope,
        dtype=jnp.dtype(config.train.dtype),
    )
