"""One network of a run with its parameters, to be written to a file and compared with it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import flax.linen as nn
import jax
import numpy as np
from jax import Array
from pydantic import TypeAdapter

from pix2pix_jax import __version__
from pix2pix_jax.checkpoints.reader import read_network
from pix2pix_jax.config.schema import Config, Data
from pix2pix_jax.gan.networks import make_discriminator, make_generator
from pix2pix_jax.runs.workdir import Workdir

NetworkName = Literal["generator", "discriminator"]
# Computes a network: images [b, h, w, c] in [-1, 1] to outputs [b, height, width, channels].
Compute = Callable[[np.ndarray], np.ndarray | Array]


@dataclass(frozen=True)
class TrainedNetwork:
    """A network of a checkpoint, without dropout and in float32.

    Attributes:
      name: "generator" or "discriminator".
      config: config of the run, resolved.
      module: the Flax module.
      params: its parameters.
      step: number of completed updates in the checkpoint.
    """

    name: NetworkName
    config: Config
    module: nn.Module
    params: dict
    step: int

    @classmethod
    def restore(
        cls,
        workdir: Workdir,
        config: Config,
        step: int | Literal["best", "newest"],
        name: NetworkName,
    ) -> "TrainedNetwork":
        """Restores a network from a checkpoint of a run; raises UsageError if there is none."""
        # Parameters are float32 whatever the run computed in, and other programs compute in it.
        config = replace(config, train=replace(config.train, dtype="float32"))
        found_step, params, _ = read_network(workdir, config, step, name)
        make = make_generator if name == "generator" else make_discriminator
        return cls(name, config, make(config), params, found_step)

    @property
    def input_channels(self) -> int:
        """Number of channels that the first layer takes."""
        return next(iter(self.params.values()))["kernel"].shape[2]

    def portable(self) -> "TrainedNetwork":
        """The same network, whose program can be compiled for other devices than this machine's."""
        return replace(self, module=self.module.clone(portable=True))

    def compute_each(self) -> Callable[[Array | np.ndarray], Array]:
        """A function of a batch that computes every image on its own: [b, h, w, c] to outputs."""
        return jax.vmap(lambda image: self.module.apply({"params": self.params}, image[None])[0])

    def compute_with(self, params: dict) -> Compute:
        """The compiled network with other parameters, such as those read back from a file."""
        return jax.jit(replace(self, params=params).compute_each())

    def metadata(self) -> dict[str, str]:
        """Texts for formats that can hold some: version, network, step and config.

        Paths of this machine are left out, because the files are given away.
        """
        data = replace(self.config.data, source=None, data_dir=Data().data_dir)
        config = TypeAdapter(Config).dump_json(replace(self.config, data=data)).decode()
        return {
            "pix2pix_jax": __version__,
            "network": self.name,
            "step": str(self.step),
            "config": config,
        }


def max_difference(network: TrainedNetwork, compute: Compute) -> float:
    """The largest difference between the outputs of a file and of JAX, on two random images."""
    shape = 2, *network.config.data.image_size, network.input_channels
    images = np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32)  # [2, h, w, c]
    expected = network.compute_with(network.params)(images)
    return float(np.abs(np.asarray(compute(images)) - np.asarray(expected)).max())
