"""The weights of one network from a file of `export` or of the authors' PyTorch code."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from pix2pix_jax.config.resolve import resolve
from pix2pix_jax.config.schema import Config, Model
from pix2pix_jax.errors import UsageError
from pix2pix_jax.gan.networks import NetworkName, make_generator
from pix2pix_jax.interop.pytorch.fields import (
    Fields,
    discriminator_fields_from_tensors,
    generator_fields_from_tensors,
)
from pix2pix_jax.interop.pytorch.names import Tensors, discriminator_names, generator_names
from pix2pix_jax.interop.pytorch.tensors import from_torch, is_statistic, statistics_from_torch
from pix2pix_jax.models.running_statistics import Statistics


@dataclass(frozen=True)
class WeightFile:
    """The weights of one network.

    Attributes:
      path: the path of the file.
      network: "generator" or "discriminator".
      tensors: arrays by name.
      config: the config of the exported run; None for a file of the PyTorch code.
      notes: sentences to print about how the network was found in the file.
      discriminators: the places of the discriminators in the file of a generator.
    """

    path: Path
    network: NetworkName
    tensors: Tensors
    config: Config | None
    notes: tuple[str, ...] = ()
    discriminators: tuple[str, ...] = ()

    def generator_fields(self) -> Fields:
        """The fields of a config that this generator determines.

        Raises:
          UsageError: the file does not contain a U-Net.
        """
        if self.config is None:
            return generator_fields_from_tensors(self.tensors)
        data, model = self.config.data, self.config.model
        # Whether there is a norm at the bottleneck can depend on the size of the images.
        bottleneck_norm = make_generator(resolve(self.config)).bottleneck_norm
        return {
            "data": {
                "input_channels": data.input_channels,
                "target_channels": data.target_channels,
            },
            "model": asdict(model) | {"bottleneck_norm": bottleneck_norm},
        }

    def discriminator_fields(self, config: Config) -> Fields:
        """The fields of a config that this discriminator determines.

        Args:
          config: the config of the generator.

        Raises:
          UsageError: the file does not contain a discriminator, or the discriminator cannot train
            with this generator.
        """
        if self.config is None:
            return discriminator_fields_from_tensors(self.tensors, config)
        model = self.config.model
        for name in ("norm", "norm_epsilon", "norm_affine", "bias", "leaky_slope"):
            value, expected = getattr(model, name), getattr(config.model, name)
            # All values of model.bias but `all` give the same generator.
            gives_same_generator = name == "bias" and "all" not in (value, expected)
            if value != expected and not gives_same_generator:
                raise UsageError(
                    f"was trained with model.{name} {value}, but the generator was trained with "
                    f"{expected}",
                    "give the generator and the discriminator of the same run",
                )
        return {
            "model": {
                "discriminator": model.discriminator,
                "discriminator_features": model.discriminator_features,
                "bias": model.bias,
            },
            "loss": {"conditional": self.config.loss.conditional},
        }

    def statistics(self, template: dict, model: Model) -> Statistics | None:
        """The running statistics of the batch norms; None if the file has none.

        Args:
          template: parameters of the network, or their shapes.
          model: the model of the network's config.

        Raises:
          UsageError: the running statistics of a norm are missing or have another shape.
        """
        if model.norm != "batch":
            return None
        names = {layer: layer for layer in template}
        if self.config is None:
            names = torch_names(self.network, model)
        return statistics_from_torch(self.tensors, names, template)

    def fit_to(self, template: dict, model: Model) -> dict:
        """Converts the tensors to parameters of a network.

        Args:
          template: parameters of the network, or their shapes.
          model: the model of the network's config.

        Raises:
          UsageError: a tensor is missing, has another shape, belongs to no layer, or is not finite.
        """
        if self.config is None:
            params = from_torch(self.tensors, torch_names(self.network, model), template, model)
        else:
            params = _fit_exported(self.tensors, template)
        for name, value in self.tensors.items():
            if not is_statistic(name) and not np.isfinite(np.asarray(value, np.float32)).all():
                raise UsageError(
                    f"has values that are not finite in {name}", "give weights of an earlier step"
                )
        return params


def _fit_exported(tensors: Tensors, template: dict) -> dict:
    """Converts tensors of `export` to parameters; raises UsageError if a tensor does not fit."""
    leaves: dict[str, Any] = flatten_dict(template, sep=".")
    shapes = {name: leaf.shape for name, leaf in leaves.items()}
    tensors = {name: value for name, value in tensors.items() if not is_statistic(name)}
    for name in sorted(shapes | tensors):
        if name not in tensors:
            raise UsageError(f"has no tensor {name}", "export the file again")
        if name not in shapes:
            raise UsageError(
                f"contains {name}, which the network does not have", "export the file again"
            )
        shape, expected = tensors[name].shape, shapes[name]
        if shape != expected:
            raise UsageError(
                f"has {name} of shape {shape}, but the network needs {expected}",
                "export the file again",
            )
    params = {name: np.asarray(value, np.float32) for name, value in tensors.items()}
    return unflatten_dict(params, sep=".")


def torch_names(network: NetworkName, model: Model) -> dict[str, str]:
    """The PyTorch code's names of the layers of a network, by our names."""
    if network == "generator":
        assert model.depth is not None  # the config is resolved
        return generator_names(model.depth)
    return discriminator_names(model.discriminator)
