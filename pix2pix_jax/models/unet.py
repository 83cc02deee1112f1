"""The generator as a Flax module: a U-Net, or an encoder-decoder (sections 3.2.1 and 6.1.1)."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from pix2pix_jax.models.arrays import at_least_float32
from pix2pix_jax.models.initializers import Initialization
from pix2pix_jax.models.layers import (
    Convolution,
    Norm,
    NormSettings,
    dropout,
)
from pix2pix_jax.models.topology import Layer, unet_layers


class UNet(nn.Module):
    """Translates images: an encoder halves their size `depth` times, then a decoder restores it.

    With skip connections, each decoder layer after the first also gets the output of the encoder
    layer of the same size (arXiv 1505.04597).

    Attributes:
      channels: the channels of the output image.
      depth, features, skips, bottleneck_norm, all_biases, dropout_blocks: as in
        `topology.unet_layers`.
      norm: the settings of all norms.
      leaky_slope: slope of the encoder's LeakyReLUs below zero.
      skip_slope: slope below zero of the activation before the decoder and on skip connections; 0
        means ReLU.
      dropout_rate: the probability that dropout sets a value to zero.
      tanh: whether the output is an image in [-1, 1], from a tanh; without the tanh, the output is
        logits, as in a segmentation network.
      initialization: how kernels are drawn.
      portable: whether the module can be exported for platforms other than this one.
      dtype: the dtype of the convolutions.
    """

    channels: int
    depth: int = 8
    features: int = 64
    skips: bool = True
    norm: NormSettings = NormSettings()
    bottleneck_norm: bool = False
    all_biases: bool = False
    leaky_slope: float = 0.2
    skip_slope: float = 0.0
    dropout_rate: float = 0.5
    dropout_blocks: str = "first_three"
    tanh: bool = True
    initialization: Initialization = Initialization()
    portable: bool = False
    dtype: jnp.dtype = jnp.dtype("float32")

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The layers in the order in which data flows through them: encoder, then decoder."""
        return unet_layers(
            self.channels,
            self.depth,
            self.features,
            skips=self.skips,
            norm_kind=self.norm.kind,
            bottleneck_norm=self.bottleneck_norm,
            all_biases=self.all_biases,
            dropout_blocks=self.dropout_blocks,
        )

    @nn.compact
    def __call__(self, x: Array, keys: Array | None = None) -> Array:
        """Translates images.

        Args:
          x: [b, h, w, c] in [-1, 1]; h and w are multiples of 2 ** depth.
          keys: [b] PRNG keys of the dropout; None: no dropout.

        Returns:
          [b, h, w, channels], float32; in [-1, 1] if `tanh` is set.
        """

        def convolve(layer: Layer, x: Array) -> Array:
            x = Convolution(layer, self.initialization, self.portable, self.dtype, name=layer.name)(
                x
            )
            return Norm(self.norm, name=layer.norm_name)(x) if layer.has_norm else x

        encoder, decoder = self.layers[: self.depth], self.layers[self.depth :]
        encoded = {}
        for level, layer in enumerate(encoder, 1):
            if level > 1:
                x = nn.leaky_relu(x, self.leaky_slope)
            x = convolve(layer, x)  # [b, h / 2, w / 2, features]
            encoded[layer.name] = nn.leaky_relu(x, self.skip_slope)
        x = encoded[encoder[-1].name]
        for level, layer in enumerate(decoder, 1):
            if layer.skip:
                x = jnp.concatenate([encoded[layer.skip], x], -1)  # [b, h, w, skip + features]
            x = convolve(layer, x)  # [b, 2h, 2w, features]
            if layer.has_dropout and self.dropout_rate and keys is not None:
                x = dropout(x, self.dropout_rate, keys, level)
            if level < self.depth:
                x = nn.relu(x)
        x = at_least_float32(x)
        return jnp.tanh(x) if self.tanh else x


def translate_each(
    generator: UNet, variables: dict[str, dict], images: Array, keys: Array | None
) -> Array:
    """Translates each image of a batch on its own, so that norms do not mix images.

    Args:
      generator: the module.
      variables: the variables of the generator, as `layers.network_variables` makes them.
      images: [b, h, w, c] in [-1, 1].
      keys: [b] PRNG keys of the dropout; None: no dropout.

    Returns:
      [b, h, w, channels] in [-1, 1].
    """

    def translate_one(image: Array, key: Array | None) -> Array:
        key = None if key is None else key[None]
        output = generator.apply(variables, image[None], key)
        return output[0]  # [h, w, channels]

    return jax.vmap(translate_one, in_axes=(0, None if keys is None else 0))(images, keys)
