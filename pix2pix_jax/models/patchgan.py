"""The discriminator as a Flax module: PixelGAN, PatchGAN or ImageGAN (section 3.2.2)."""

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

from pix2pix_jax.models.arrays import at_least_float32
from pix2pix_jax.models.initializers import Initialization
from pix2pix_jax.models.layers import Convolution, Norm, NormSettings
from pix2pix_jax.models.topology import Layer, PatchLayer, discriminator_layers


class Discriminator(nn.Module):
    """Scores every patch of an image: a high score means real, a low score means generated.

    Attributes:
      table: a value of `topology.DISCRIMINATORS`; its layers determine the size of a patch.
      features: channels of the first layer.
      norm: the settings of all norms.
      bias_layers: the layers that have a bias, as in `topology.discriminator_layers`.
      leaky_slope: slope of the LeakyReLUs below zero.
      initialization: how kernels are drawn.
      dtype: the dtype of the convolutions.
    """

    table: tuple[PatchLayer, ...]
    features: int = 64
    norm: NormSettings = NormSettings()
    bias_layers: str = "paper"
    leaky_slope: float = 0.2
    initialization: Initialization = Initialization()
    dtype: jnp.dtype = jnp.dtype("float32")

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The layers, in the order in which data flows through them."""
        return discriminator_layers(self.table, self.features, self.norm.kind, self.bias_layers)

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Scores every patch of every image.

        Args:
          x: [b, h, w, c] in [-1, 1]: the input image and the image to score, joined along the
            channels; or only the image to score.

        Returns:
          Logits [b, h', w', 1], float32, one for each patch, above 0 if the patch looks real;
          `topology.output_grid` gives h' and w'.
        """
        for layer in self.layers:
            x = Convolution(layer, self.initialization, dtype=self.dtype, name=layer.name)(x)
            if layer.has_norm:
                x = Norm(self.norm, name=layer.norm_name)(x)
            if layer.name != "logits":
                x = nn.leaky_relu(x, self.leaky_slope)
        return at_least_float32(x)
