"""The discriminator: what a table of layers says, in Flax."""

from functools import partial

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

from pix2pix_jax.models.layers import Convolution, Norm
from pix2pix_jax.models.matmul_convolutions import at_least_float32
from pix2pix_jax.models.topology import Layer


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
