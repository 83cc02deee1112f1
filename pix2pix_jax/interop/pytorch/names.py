"""Converts parameters between our names and the names in the authors' PyTorch code.

"The PyTorch code" is github.com/junyanz/pytorch-CycleGAN-and-pix2pix. There, a U-Net of n levels is
n nested blocks, and a discriminator is a list of layers. Kernels are [out, in, h, w]; kernels of
transposed convolutions are [in, out, h, w].
"""

import re
from collections.abc import Iterator
from typing import Any, Literal

import numpy as np

from pix2pix_jax.config.resolve import generator_depth
from pix2pix_jax.config.schema import Config, Model
from pix2pix_jax.errors import UsageError
from pix2pix_jax.gan.networks import make_generator
from pix2pix_jax.models.running_statistics import NormStatistics, Statistics
from pix2pix_jax.models.topology import DISCRIMINATORS, discriminator_layers, unet_layers

Tensors = dict[str, np.ndarray]  # the tensors of a state dict, by name
NUM_BATCHES = "num_batches_tracked"
# The PyTorch code's names of the running averages of a batch norm, by the keys of NormStatistics.
STATISTICS: dict[Literal["mean", "variance", "num_batches"], str] = {
    "mean": "running_mean",
    "variance": "running_var",
    "num_batches": NUM_BATCHES,
}
# Fields of our model that no option of the PyTorch code changes.
FIXED_FIELDS = {"generator": "unet", "leaky_slope": 0.2, "skip_slope": 0.0, "norm_epsilon": 1e-5}
# Our names of the PyTorch code's discriminators with n_layers of 1 to 5.
PATCH_GANS = ("patch16", "patch34", "patch70", "patch142", "image286")
PIXEL_GAN = "pixel"


def generator_names(depth: int) -> dict[str, str]:
    """The PyTorch code's names of the layers of a U-Net, by our names.

    Every level is a block. A block begins with a layer of the encoder, ends with the layer of the
    decoder that has the same size, and contains the block of the next level in between.

    Args:
      depth: the number of levels, 2 or more.
    """
    layers = unet_layers(channels=1, depth=depth)
    encoder, decoder = layers[:depth], layers[depth:]
    names = {}
    for level, (down, up) in enumerate(zip(encoder, reversed(decoder), strict=True), 1):
        # Each comment lists the modules of a block in their order. The number in a PyTorch name is
        # the position of a module in this list, counted from 0.
        if level == 1:  # convolution, inner block, activation, convolution
            names |= {down.name: "model.model.0", up.name: "model.model.3"}
        elif level == depth:  # activation, convolution, activation, convolution, norm
            block = block_name(level)
            names |= {
                down.name: f"{block}.1",
                up.name: f"{block}.3",
                up.norm_name: f"{block}.4",
            }
        else:  # activation, convolution, norm, inner block, activation, convolution, norm
            block = block_name(level)
            names |= {
                down.name: f"{block}.1",
                down.norm_name: f"{block}.2",
                up.name: f"{block}.5",
                up.norm_name: f"{block}.6",
            }
    return names


def block_name(level: int) -> str:
    """The PyTorch code's name of the block of a level, 2 or more."""
    return "model.model.1." + "model.3." * (level - 2) + "model"


def discriminator_names(name: str) -> dict[str, str]:
    """The PyTorch code's names of the layers of a discriminator, by our names.

    Args:
      name: a key of DISCRIMINATORS.
    """
    layers = discriminator_layers(
        DISCRIMINATORS[name], features=1, norm_kind="batch", bias_layers="paper"
    )
    root, index, names = "net" if name == PIXEL_GAN else "model", 0, {}
    for layer in layers:
        names[layer.name] = f"{root}.{index}"
        if layer.has_norm:
            index += 1
            names[layer.norm_name] = f"{root}.{index}"
        index += 2  # the activation is between this layer and the next convolution
    return names


def transposed_layers() -> set[str]:
    """The PyTorch code's names of the layers of U-Nets that are transposed convolutions."""
    names = {
        name: layer for depth in range(2, 17) for layer, name in generator_names(depth).items()
    }
    return {name for name, layer in names.items() if re.fullmatch(r"up\d+", layer)}


def from_torch(tensors: Tensors, names: dict[str, str], template: dict, model: Model) -> dict:
    """Converts tensors of the PyTorch code to our parameters.

    A bias that the PyTorch code does not have becomes zero.

    Args:
      tensors: the tensors of one network.
      names: the PyTorch code's names of the layers, by our names.
      template: our parameters, or their shapes.
      model: the model of our config.

    Raises:
      UsageError: a tensor is missing, has another shape, or belongs to no layer.
    """
    remaining, params = dict(tensors), {}
    for layer, parameter, value in _iterate_parameters(template):
        if layer not in names:
            raise UsageError(f"has no layer {layer}", "leave out --config.model.bottleneck_norm")
        name = _torch_tensor_name(names[layer], parameter)
        lacks_bias = parameter == "bias" and not has_torch_bias(layer, model)
        if lacks_bias and name not in remaining:
            params.setdefault(layer, {})[parameter] = np.zeros(value.shape, np.float32)
            continue
        if name not in remaining:
            raise UsageError(f"has no tensor {name}", "save the state dict of the whole network")
        array = np.asarray(remaining.pop(name), np.float32)
        if parameter == "kernel" and array.ndim == 4:
            array = array.transpose(_axes_from_torch(layer))
        if array.shape != value.shape:
            raise UsageError(
                f"has {name} of shape {array.shape}, but the network needs {value.shape}",
                "save the state dict of the whole network",
            )
        params.setdefault(layer, {})[parameter] = np.ascontiguousarray(array)
    unknown = [name for name in remaining if not is_statistic(name)]
    if unknown:
        raise UsageError(
            f"contains {unknown[0]}, which the network does not have",
            "save the state dict of one network of the PyTorch code",
        )
    return params


def statistics_from_torch(
    tensors: Tensors, names: dict[str, str], template: dict
) -> Statistics | None:
    """Converts the running averages of the PyTorch code's batch norms to our running statistics.

    Args: as in `from_torch`.

    Returns:
      The running statistics of all norms of a network; None if the tensors have no averages.

    Raises:
      UsageError: a running average is missing or has another shape.
    """
    statistics: Statistics = {}
    shapes = {layer: row["scale"].shape for layer, row in template.items() if "scale" in row}
    if not any(f"{names[layer]}.running_mean" in tensors for layer in shapes):
        return None
    for layer, shape in shapes.items():
        statistics[layer] = NormStatistics(
            mean=_read_average(tensors, f"{names[layer]}.running_mean", shape).astype(np.float32),
            variance=_read_average(tensors, f"{names[layer]}.running_var", shape).astype(
                np.float32
            ),
            # PyTorch has this tensor since version 0.4.1.
            num_batches=np.asarray(tensors.get(f"{names[layer]}.{NUM_BATCHES}", 0), np.int64),
        )
    return statistics


def _read_average(tensors: Tensors, name: str, shape: tuple[int, ...]) -> np.ndarray:
    """A running average; raises UsageError if it is missing or has another shape."""
    fix = "save the state dict of the whole network"
    if name not in tensors:
        raise UsageError(f"has no tensor {name}", fix)
    if tensors[name].shape != shape:
        raise UsageError(
            f"has {name} of shape {tensors[name].shape}, but the network needs {shape}", fix
        )
    return np.asarray(tensors[name], np.float32)


def to_torch(
    params: dict, names: dict[str, str], model: Model, statistics: Statistics | None = None
) -> Tensors:
    """Converts our parameters to tensors of the PyTorch code.

    Args:
      params: the parameters of one network.
      names: the PyTorch code's names of the layers, by our names.
      model: the model of our config.
      statistics: the running statistics of the batch norms; None: the averages that a batch norm
        of PyTorch has before its first step.

    Raises:
      UsageError: a bias that the PyTorch code does not have is not zero.
    """
    tensors = {}
    for layer, parameter, value in _iterate_parameters(params):
        value = np.asarray(value, np.float32)
        if parameter == "bias" and not has_torch_bias(layer, model):
            if value.any():
                raise UsageError(
                    f"the discriminator has a bias in its layer {layer}, but this layer has no "
                    "bias in the PyTorch code",
                    "leave out --discriminator, or give another --format",
                )
            continue
        if parameter == "kernel":
            value = value.transpose(_axes_to_torch(layer))
        tensors[_torch_tensor_name(names[layer], parameter)] = np.ascontiguousarray(value)
        if parameter == "scale" and model.norm == "batch":
            averages = statistics[layer] if statistics else _initial_statistics(len(value))
            tensors |= {
                f"{names[layer]}.{part}": averages[field] for field, part in STATISTICS.items()
            }
    return tensors


def _initial_statistics(channels: int) -> NormStatistics:
    """The averages that a batch norm of PyTorch has before its first step."""
    return NormStatistics(
        mean=np.zeros(channels, np.float32),
        variance=np.ones(channels, np.float32),
        num_batches=np.zeros((), np.int64),
    )


def check_torch_generator(config: Config) -> None:
    """Raises UsageError, naming the field, if the PyTorch code cannot compute a generator.

    Args:
      config: a resolved config.
    """
    model, expected = config.model, dict(FIXED_FIELDS)
    # Without `all`, only the last convolution of a U-Net has a bias, as with `pytorch`.
    if (model.bias == "all") != (model.norm == "instance"):
        expected["bias"] = torch_bias_layers(model)
    if model.norm != "none":
        expected["norm_affine"] = model.norm == "batch"
    for name, value in expected.items():
        if getattr(model, name) != value:
            raise UsageError(
                f"model.{name}: is {getattr(model, name)}, but the PyTorch code supports only "
                f"{value}",
                "give another --format",
            )
    if make_generator(config).bottleneck_norm:
        raise UsageError(
            "model.bottleneck_norm: the generator has a norm after its last encoder layer, but "
            "the PyTorch code has none there",
            "give another --format",
        )
    depth = generator_depth(config)
    if depth < 5:
        raise UsageError(
            f"model.depth: is {depth}, but the PyTorch code needs at least 5",
            "give another --format",
        )


def check_torch_discriminator(config: Config) -> None:
    """Raises UsageError if the PyTorch code does not have a config's discriminator."""
    model = config.model
    if model.discriminator not in (PIXEL_GAN, *PATCH_GANS):
        raise UsageError(
            f"model.discriminator: the PyTorch code does not have {model.discriminator}",
            "leave out --discriminator",
        )
    if model.bias == "last":
        raise UsageError(
            "model.bias: is last, so conv1 has no bias, but conv1 has a bias in the PyTorch code",
            "leave out --discriminator",
        )


def is_statistic(name: str) -> bool:
    """Whether a tensor of the PyTorch code is a running average of a norm."""
    return name.rpartition(".")[2] in STATISTICS.values()


def _iterate_parameters(params: dict) -> Iterator[tuple[str, str, Any]]:
    """Yields, for every parameter, the name of its layer, its own name, and its array."""
    for layer, parameters in params.items():
        for parameter, value in parameters.items():
            yield layer, parameter, value


def torch_bias_layers(model: Model) -> str:
    """The value of model.bias with which both networks have the biases of the PyTorch code."""
    return "all" if model.norm == "instance" else "pytorch"


def has_torch_bias(layer: str, model: Model) -> bool:
    """Whether a layer with a bias in our network has a bias in the PyTorch code, too.

    Only layers of discriminators can differ.

    Args:
      layer: our name of the layer.
      model: the model of our config.
    """
    table = DISCRIMINATORS[model.discriminator]
    layers = discriminator_layers(table, 1, model.norm, torch_bias_layers(model))
    return {row.name: row.has_bias for row in layers}.get(layer, True)


def _torch_tensor_name(torch_layer: str, parameter: str) -> str:
    return f"{torch_layer}.{'bias' if parameter == 'bias' else 'weight'}"


def _axes_to_torch(layer: str) -> tuple[int, int, int, int]:
    """The order in which to transpose the axes of our kernel [h, w, in, out] for PyTorch."""
    return (2, 3, 0, 1) if layer.startswith("up") else (3, 2, 0, 1)


def _axes_from_torch(layer: str) -> tuple[int, int, int, int]:
    """The order in which to transpose the axes of PyTorch's kernel to [h, w, in, out]."""
    return (2, 3, 0, 1) if layer.startswith("up") else (2, 3, 1, 0)
