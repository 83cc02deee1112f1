"""The generator: a U-Net, or the same without its skips, an encoder-decoder (section 6.1.1)."""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from pix2pix_jax.models.layers import Convolution, Norm, dropout
from pix2pix_jax.models.matmul_convolutions import at_least_float32


class UNet(nn.Module):
    """Halves the image `depth` times, then doubles it back, seeing each level it left.

    At depth 8 the encoder is C64-C128-C256-C512-C512-C512-C512-C512 and the decoder
    CD512-CD512-CD512-C512-C256-C128-C64, each level joined with the encoder's of its size.
    No norm on the first layer, nor, but for `bottleneck_norm`, on the bottleneck.
    """

    channels: int  # of the image that comes out
    depth: int = 8
    features: int = 64
    skips: bool = True
    norm: str = "batch"
    norm_epsilon: float = 1e-5
    norm_affine: bool = True
    norm_images: int | None = None
    bottleneck_norm: bool = False
    bias: bool = False  # on every convolution; on the last one always
    leaky_slope: float = 0.2
    skip_slope: float = 0.0
    dropout: float = 0.5
    dropout_blocks: str = "first_three"
    tanh: bool = True  # False: logits, of a segmenter
    portable: bool = False  # for all platforms, to be exported
    dtype: jnp.dtype = jnp.float32

    @property
    def noisy_levels(self) -> range:
        """Levels of the decoder that have dropout, never the last."""
        if self.dropout_blocks == "middle":
            return range(2, max(2, self.depth - 3))
        return range(1, min(4, self.depth))

    @nn.compact
    def __call__(self, x: Array, keys: Array | None = None) -> Array:
        """Translates images.

        Args:
          x: [b, h, w, c] in [-1, 1]; h and w multiples of 2 ** depth.
          keys: [b] PRNG keys of the dropout; None: no dropout.

        Returns:
          [b, h, w, channels], float32, with tanh in [-1, 1].
        """
        convolution = partial(Convolution, portable=self.portable, dtype=self.dtype)
        norm = partial(Norm, self.norm, self.norm_epsilon, self.norm_affine, self.norm_images)
        widths = [self.features * min(2**level, 8) for level in range(self.depth)]
        skips = []
        for level, width in enumerate(widths, 1):
            if level > 1:
                x = nn.leaky_relu(x, self.leaky_slope)
            x = convolution(width, bias=self.bias, name=f"down{level}")(x)  # [b, h/2, w/2, width]
            if 1 < level < self.depth or (level == self.depth > 1 and self.bottleneck_norm):
                x = norm(name=f"down{level}_norm")(x)
            skips.append(nn.leaky_relu(x, self.skip_slope))
        x = skips.pop()
        for level, width in enumerate(reversed(widths[:-1]), 1):
            x = convolution(width, bias=self.bias, transposed=True, name=f"up{level}")(x)
            x = norm(name=f"up{level}_norm")(x)  # [b, 2h, 2w, width]
            if level in self.noisy_levels and self.dropout and keys is not None:
                x = dropout(x, self.dropout, keys, level)
            x = nn.relu(x)
            if self.skips:
                x = jnp.concatenate([skips.pop(), x], -1)  # [b, h, w, 2 * width]
        x = convolution(self.channels, bias=True, transposed=True, name=f"up{self.depth}")(x)
        x = at_least_float32(x)
        return jnp.tanh(x) if self.tanh else x


def translate(generator: UNet, params: dict, images: Array, keys: Array | None) -> Array:
    """Translates images one by one, so that none depends on its neighbours.

    Args:
      generator: the module.
      params: its parameters.
      images: [b, h, w, c] in [-1, 1].
      keys: [b] PRNG keys of the dropout; None: no dropout.

    Returns:
      [b, h, w, channels] in [-1, 1].
    """

    def one(image: Array, key: Array | None) -> Array:
        key = None if key is None else key[None]
        return generator.apply({"params": params}, image[None], key)[0]

    return jax.vmap(one, in_axes=(0, None if keys is None else 0))(images, keys)
