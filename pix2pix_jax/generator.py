"""The generator: a U-Net, or the same without its skips, an encoder-decoder (section 6.1.1)."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from pix2pix_jax.config import Config
from pix2pix_jax.layers import Convolution, Norm, dropout


class UNet(nn.Module):
    """Halves the image `depth` times, then doubles it back, seeing each level it left.

    At depth 8 the encoder is C64-C128-C256-C512-C512-C512-C512-C512 and the decoder
    CD512-CD512-CD512-C512-C256-C128-C64, each level joined with the encoder's of its size.
    No norm on the first layer, nor on a bottleneck of 1x1, where it would leave only zeros.
    """

    channels: int  # of the image that comes out
    depth: int = 8
    features: int = 64
    skips: bool = True
    norm: str = "batch"
    bottleneck_norm: bool = False
    dropout: float = 0.5
    tanh: bool = True  # False: logits, of a segmenter
    dtype: jnp.dtype = jnp.float32

    @property
    def noisy_levels(self) -> range:
        """Levels of the decoder that have dropout: the first three, never the last."""
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
        widths = [self.features * min(2**level, 8) for level in range(self.depth)]
        skips = []
        for level, width in enumerate(widths, 1):
            if level > 1:
                x = nn.leaky_relu(x, 0.2)
            x = Convolution(width, dtype=self.dtype, name=f"down{level}")(x)  # [b, h/2, w/2, width]
            if 1 < level < self.depth or (level == self.depth > 1 and self.bottleneck_norm):
                x = Norm(self.norm, name=f"down{level}_norm")(x)
            skips.append(x)
        skips.pop()
        for level, width in enumerate(reversed(widths[:-1]), 1):
            x = Convolution(width, transposed=True, dtype=self.dtype, name=f"up{level}")(nn.relu(x))
            x = Norm(self.norm, name=f"up{level}_norm")(x)  # [b, 2h, 2w, width]
            if level in self.noisy_levels and self.dropout and keys is not None:
                x = dropout(x, self.dropout, keys, level)
            if self.skips:
                x = jnp.concatenate([skips.pop(), x], -1)  # [b, h, w, 2 * width]
        last = Convolution(
            self.channels, transposed=True, bias=True, dtype=self.dtype, name=f"up{self.depth}"
        )
        x = last(nn.relu(x)).astype(jnp.float32)
        return jnp.tanh(x) if self.tanh else x


def make_generator(config: Config) -> UNet:
    """The U-Net that a resolved config describes."""
    model, data = config.model, config.data
    return UNet(
        channels=data.target_channels,
        depth=model.depth,
        features=model.features,
        skips=model.generator == "unet",
        norm=model.norm,
        bottleneck_norm=max(data.image_size) > 2**model.depth,
        dropout=model.dropout,
        dtype=jnp.dtype(config.train.dtype),
    )


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
