"""Running statistics: the averages by which PyTorch's batch norms normalize in eval mode.

A batch norm of PyTorch measures the mean and the variance of every batch in training, and keeps
running averages of both. In eval mode, the norm takes these averages instead of the statistics of
the image. Our modules keep no averages: `measure_statistics` measures a batch, and
`layers.network_variables` makes averages an input of a network.
"""

from typing import TypedDict

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jax import Array

from pix2pix_jax.models.arrays import at_least_float32
from pix2pix_jax.models.layers import Convolution, Moments
from pix2pix_jax.models.patchgan import Discriminator
from pix2pix_jax.models.unet import UNet

UNKNOWN = -1  # the number of batches in a file that does not have it


class NormStatistics(TypedDict):
    """The running statistics of one norm.

    Attributes:
      mean: the average of the means of the batches, [c].
      variance: the average of the unbiased variances of the batches, [c].
      num_batches: the number of batches, int64; PyTorch's `num_batches_tracked`. UNKNOWN if the
        file of the network does not have it: PyTorch counts batches since version 0.4.1.
    """

    mean: np.ndarray
    variance: np.ndarray
    num_batches: np.ndarray


Statistics = dict[str, NormStatistics]  # the running statistics of a network, by norm


def empty_statistics(channels: int) -> NormStatistics:
    """The running statistics that a batch norm of PyTorch has before its first step."""
    return NormStatistics(
        mean=np.zeros(channels, np.float32),
        variance=np.ones(channels, np.float32),
        num_batches=np.zeros((), np.int64),
    )


def moments_of(statistics: Statistics) -> Moments:
    """The means and variances alone, as `layers.network_variables` takes them."""
    return {
        norm: {"mean": jnp.asarray(values["mean"]), "variance": jnp.asarray(values["variance"])}
        for norm, values in statistics.items()
    }


def measure_statistics(
    module: UNet | Discriminator, params: dict, images: Array, *keys: Array | None
) -> tuple[Array, Moments]:
    """Runs a network, and measures the input of every norm over all images of the batch.

    Args:
      module: either network.
      params: its parameters.
      images: [b, h, w, c], the input of the network.
      *keys: the keys of the dropout of a generator, [b]; or None, for no dropout.

    Returns:
      The output of the network, and the mean and the unbiased variance of every norm's input.
    """

    def is_normalized(child: nn.Module, method: str) -> bool:
        return isinstance(child, Convolution) and child.layer.has_norm and method == "__call__"

    output, captured = module.apply(
        {"params": params},
        images,
        *keys,
        capture_intermediates=is_normalized,
        mutable=["intermediates"],
    )
    moments = {}
    for layer in module.layers:
        if layer.has_norm:
            [x] = captured["intermediates"][layer.name]["__call__"]  # [b, h, w, features]
            x = at_least_float32(jnp.asarray(x)).reshape(-1, layer.features)
            # PyTorch normalizes by the biased variance, but averages the unbiased variance.
            moments[layer.norm_name] = {"mean": x.mean(0), "variance": jnp.var(x, 0, ddof=1)}
    return output, moments


def is_usable(statistics: Statistics) -> bool:
    """Whether all values are finite, and no variance is negative."""
    return all(
        np.isfinite(values["mean"]).all()
        and np.isfinite(values["variance"]).all()
        and (values["variance"] >= 0).all()
        for values in statistics.values()
    )
