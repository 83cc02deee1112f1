"""The layers of both networks: convolution, norm and dropout."""

from dataclasses import dataclass
from typing import cast

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from pix2pix_jax.models.convolution import conv, conv_transpose
from pix2pix_jax.models.initializers import (
    Initialization,
    kernel_initializer,
    normal_initializer,
)
from pix2pix_jax.models.normalization import normalize, normalize_with
from pix2pix_jax.models.topology import Layer

# The collection of Flax with the running statistics of the norms: an input of a network, which the
# network never changes.
RUNNING = "running_statistics"
Moments = dict[str, dict[str, Array]]  # `mean` and `variance` [c], by norm


class Convolution(nn.Module):
    """Applies a convolution or a transposed convolution with learnt weights.

    Attributes:
      layer: the row of a table in `topology`: kernel size, stride, padding, features and bias.
      initialization: how the kernel is drawn.
      portable: whether the module can be exported for platforms other than this one.
      dtype: the dtype of the computation; parameters are float32.
    """

    layer: Layer
    initialization: Initialization = Initialization()
    portable: bool = False
    dtype: jnp.dtype = jnp.dtype("float32")

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Convolves x [b, h, w, c] to [b, h', w', features]; if transposed, h' = 2h and w' = 2w."""
        layer = self.layer
        shape = (layer.kernel, layer.kernel, x.shape[-1], layer.features)
        kernel = self.param("kernel", kernel_initializer(self.initialization, layer), shape)
        x, kernel = x.astype(self.dtype), kernel.astype(self.dtype)
        if layer.transposed:
            x = conv_transpose(x, kernel, self.portable)  # [b, 2h, 2w, features]
        else:
            x = conv(x, kernel, layer.stride, layer.padding, self.portable)
        if layer.has_bias:
            bias = self.param("bias", nn.initializers.zeros, (layer.features,))
            x = x + bias.astype(self.dtype)[None, None, None]
        return x


def network_variables(params: dict, moments: Moments | None) -> dict[str, dict]:
    """The variables for `apply` of a network.

    Args:
      params: the parameters of the network.
      moments: the running statistics of all its norms; None: the norms take the statistics of the
        images.
    """
    return {"params": params} if moments is None else {"params": params, RUNNING: moments}


@dataclass(frozen=True)
class NormSettings:
    """The settings of all norms of a network.

    Attributes:
      kind: "batch" has one mean for each channel, over height, width and several images (arXiv
        1502.03167); "instance" has one mean for each channel of each image (arXiv 1607.08022);
        "none" returns its input unchanged.
      epsilon: added to the variance.
      affine: whether a norm has a learnt scale and shift.
      images_per_mean: if `kind` is "batch", the number of images that share a mean and a variance;
        None: all images of a batch.
      initial_deviation: the standard deviation of the initial scales.
    """

    kind: str = "batch"
    epsilon: float = 1e-5
    affine: bool = True
    images_per_mean: int | None = None
    initial_deviation: float = 0.02


class Norm(nn.Module):
    """Normalizes channels to zero mean and unit variance; may then apply a learnt scale and shift.

    `NormSettings` describes the variants. Mean and variance are computed from the images in x,
    at test time too, as in the paper (section 3.3). The variance is biased. If the variables of
    `apply` have the collection RUNNING, with `mean` and `variance` [c], a norm of kind "batch"
    takes these instead, as PyTorch does in eval mode. The initial scale is drawn from a normal
    distribution with mean 1. bfloat16 inputs are normalized in float32.
    """

    settings: NormSettings

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Normalizes x [b, h, w, c]; the shape stays the same."""
        settings, b = self.settings, x.shape[0]
        if settings.kind == "none":
            return x
        scale, bias = None, None
        if settings.affine:
            initializer = normal_initializer(1.0, settings.initial_deviation)
            scale = self.param("scale", initializer, x.shape[-1:])
            bias = self.param("bias", nn.initializers.zeros, x.shape[-1:])
        if settings.kind == "batch" and self.has_variable(RUNNING, "mean"):
            mean = self.get_variable(RUNNING, "mean")
            variance = self.get_variable(RUNNING, "variance")
            return normalize_with(x, (mean, variance), scale, bias, settings.epsilon)
        images = min(settings.images_per_mean or b, b) if settings.kind == "batch" else 1
        groups = x.reshape(b // images, images, *x.shape[1:])  # [groups, images, h, w, c]
        normalized = cast(Array, normalize(groups, scale, bias, settings.epsilon))
        return normalized.reshape(x.shape)  # [b, h, w, c]


def dropout(x: Array, rate: float, keys: Array, layer: int) -> Array:
    """Sets values to zero at random and divides all other values by 1 - rate (section 3.1).

    Every image has its own key. The noise of an image is therefore the same in any batch and on
    any number of devices.

    Args:
      x: [b, h, w, c].
      rate: the probability that a value becomes zero, from 0 up to, but not including, 1.
      keys: [b] PRNG keys.
      layer: the number of the layer; layers with different numbers draw different noise.

    Returns:
      [b, h, w, c].
    """

    def draw_mask(key: Array) -> Array:
        layer_key = jax.random.fold_in(key, layer)
        # A flat draw compiles faster, as in `normal_initializer`.
        mask = jax.random.bernoulli(layer_key, 1 - rate, (x[0].size,))
        return mask.reshape(x.shape[1:])  # [h, w, c]

    return jnp.where(jax.vmap(draw_mask)(keys), x / (1 - rate), 0).astype(x.dtype)
