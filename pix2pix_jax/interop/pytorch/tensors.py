"""Converts parameters and running statistics to tensors of the authors' PyTorch code, and back.

Kernels there are [out, in, h, w]; kernels of transposed convolutions are [in, out, h, w].
"""

from collections.abc import Iterator
from typing import Any, Literal

import numpy as np

from pix2pix_jax.config.schema import Model
from pix2pix_jax.errors import UsageError
from pix2pix_jax.interop.pytorch.names import Tensors, has_torch_bias
from pix2pix_jax.models.running_statistics import (
    UNKNOWN,
    NormStatistics,
    Statistics,
    empty_statistics,
)

# The PyTorch code's names of the running averages of a batch norm, by the keys of NormStatistics.
STATISTICS: dict[Literal["mean", "variance", "num_batches"], str] = {
    "mean": "running_mean",
    "variance": "running_var",
    "num_batches": "num_batches_tracked",
}


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
    shapes = {layer: row["scale"].shape for layer, row in template.items() if "scale" in row}
    averages = [STATISTICS["mean"], STATISTICS["variance"]]
    if not any(f"{names[layer]}.{name}" in tensors for layer in shapes for name in averages):
        return None
    return {
        layer: NormStatistics(
            mean=_read_average(tensors, f"{names[layer]}.{STATISTICS['mean']}", shape),
            variance=_read_average(tensors, f"{names[layer]}.{STATISTICS['variance']}", shape),
            num_batches=np.asarray(
                tensors.get(f"{names[layer]}.{STATISTICS['num_batches']}", UNKNOWN), np.int64
            ),
        )
        for layer, shape in shapes.items()
    }


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
            averages = statistics[layer] if statistics else empty_statistics(len(value))
            tensors |= statistics_to_torch({names[layer]: averages})
    return tensors


def statistics_to_torch(statistics: Statistics) -> Tensors:
    """Converts running statistics to tensors with PyTorch's names.

    Args:
      statistics: the running statistics by the name that a norm has in the file.
    """
    return {
        f"{norm}.{part}": values[field]
        for norm, values in statistics.items()
        for field, part in STATISTICS.items()
        if field != "num_batches" or values[field] != UNKNOWN
    }


def is_statistic(name: str) -> bool:
    """Whether a tensor of the PyTorch code is a running average of a norm, or counts batches."""
    return name.rpartition(".")[2] in STATISTICS.values()


def is_average(name: str) -> bool:
    """Whether a tensor of the PyTorch code is the running mean or variance of a norm."""
    return name.rpartition(".")[2] in (STATISTICS["mean"], STATISTICS["variance"])


def _iterate_parameters(params: dict) -> Iterator[tuple[str, str, Any]]:
    """Yields, for every parameter, the name of its layer, its own name, and its array."""
    for layer, parameters in params.items():
        for parameter, value in parameters.items():
            yield layer, parameter, value


def _torch_tensor_name(torch_layer: str, parameter: str) -> str:
    return f"{torch_layer}.{'bias' if parameter == 'bias' else 'weight'}"


def _axes_to_torch(layer: str) -> tuple[int, int, int, int]:
    """The order in which to transpose the axes of our kernel [h, w, in, out] for PyTorch."""
    return (2, 3, 0, 1) if layer.startswith("up") else (3, 2, 0, 1)


def _axes_from_torch(layer: str) -> tuple[int, int, int, int]:
    """The order in which to transpose the axes of PyTorch's kernel to [h, w, in, out]."""
    return (2, 3, 0, 1) if layer.startswith("up") else (2, 3, 1, 0)
