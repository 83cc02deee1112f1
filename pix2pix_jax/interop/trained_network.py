"""A network of a run with its parameters, ready to export."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import flax.linen as nn
import jax
import numpy as np
from jax import Array
from pydantic import TypeAdapter

from pix2pix_jax import __version__
from pix2pix_jax.checkpoints.reader import read_network
from pix2pix_jax.config.initial_run import CheckpointStep
from pix2pix_jax.config.schema import Config, Data
from pix2pix_jax.evaluation.running_statistics import FoundStatistics
from pix2pix_jax.gan.networks import NetworkName, make_discriminator, make_generator
from pix2pix_jax.models.layers import Moments, network_variables
from pix2pix_jax.models.running_statistics import moments_of
from pix2pix_jax.runs.workdir import Workdir

# A function from images [b, h, w, c] in [-1, 1] to a network's outputs [b, height, width,
# channels].
Compute = Callable[[np.ndarray], np.ndarray | Array]


@dataclass(frozen=True)
class TrainedNetwork:
    """A network of a checkpoint, without dropout and in float32.

    Attributes:
      name: "generator" or "discriminator".
      config: the resolved config of the run.
      module: the Flax module.
      params: the parameters of the module.
      step: the number of training steps before the checkpoint.
      statistics: the running statistics of the norms; None: not known.
      uses_statistics: whether the network normalizes by these statistics; if not, each image has
        its own statistics.
    """

    name: NetworkName
    config: Config
    module: nn.Module
    params: dict
    step: int
    statistics: FoundStatistics | None = None
    uses_statistics: bool = False

    @classmethod
    def restore(
        cls,
        workdir: Workdir,
        config: Config,
        step: CheckpointStep,
        name: NetworkName,
    ) -> "TrainedNetwork":
        """Restores a network from a checkpoint of a run.

        Args:
          workdir: the workdir of the run.
          config: the resolved config of the run.
          step: the step of the checkpoint.
          name: the name of the network.

        Raises:
          UsageError: the run has no such checkpoint.
        """
        # Parameters are float32 with every train.dtype, and other programs compute in float32.
        config = replace(config, train=replace(config.train, dtype="float32"))
        network = read_network(workdir, config, step, name)
        make = make_generator if name == "generator" else make_discriminator
        return cls(name, config, make(config), network.params, network.step)

    @property
    def input_channels(self) -> int:
        """Number of channels that the first layer takes."""
        return next(iter(self.params.values()))["kernel"].shape[2]

    @property
    def moments(self) -> Moments | None:
        """The statistics by which all norms normalize; None: each image has its own statistics."""
        if self.statistics is None or not self.uses_statistics:
            return None
        return moments_of(self.statistics.values)

    def portable(self) -> "TrainedNetwork":
        """The same network with a module that can be compiled for the devices of other machines."""
        return replace(self, module=self.module.clone(portable=True))

    def batch_function(self) -> Callable[[Array | np.ndarray], Array]:
        """A function that runs the network on each image of a batch [b, h, w, c] on its own."""
        variables = network_variables(self.params, self.moments)
        return jax.vmap(lambda image: self.module.apply(variables, image[None])[0])

    def compile_with(self, params: dict) -> Compute:
        """Compiles the network with other parameters, such as the parameters in a file."""
        return jax.jit(replace(self, params=params).batch_function())

    def metadata(self) -> dict[str, str]:
        """Version, network, step and config as texts, for formats that have room for metadata.

        Paths of this machine are left out, because users give the files away.
        """
        data = replace(self.config.data, source=None, data_dir=Data().data_dir)
        config = TypeAdapter(Config).dump_json(replace(self.config, data=data)).decode()
        metadata = {
            "pix2pix_jax": __version__,
            "network": self.name,
            "step": str(self.step),
            "config": config,
        }
        if self.uses_statistics and self.statistics:
            metadata["normalization"] = self.statistics.source
        return metadata


def max_difference(network: TrainedNetwork, compute: Compute) -> float:
    """The largest difference between outputs of a file and of JAX, for two random images.

    Args:
      network: the network, which JAX computes.
      compute: the function that computes the network in the file.
    """
    shape = 2, *network.config.data.image_size, network.input_channels
    images = np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32)  # [2, h, w, c]
    expected = network.compile_with(network.params)(images)
    return float(np.abs(np.asarray(compute(images)) - np.asarray(expected)).max())
