"""Computes weights that PyTorch computes from other tensors: spectral norm, weight norm, pruning.

With these, a state dict does not contain the weight of a layer, but the tensors that PyTorch
computes the weight from. `compute_parametrized_weights` computes the weight as PyTorch does in eval
mode.
"""

from collections.abc import Collection
from typing import NamedTuple

import numpy as np

from pix2pix_jax.errors import UsageError
from pix2pix_jax.interop.pytorch.names import Tensors

NEW = "parametrizations.weight"  # the beginning of the names that torch.nn.utils.parametrize makes


class Kind(NamedTuple):
    """A parametrization: computes a weight from other tensors.

    Attributes:
      name: its name in printed lines.
      tensors: the names of its tensors in a layer. The first has the shape of the weight.
    """

    name: str
    tensors: tuple[str, ...]


KINDS = (
    Kind("spectral norm", ("weight_orig", "weight_u", "weight_v")),
    Kind("spectral norm", (f"{NEW}.original", f"{NEW}.0._u", f"{NEW}.0._v")),
    Kind("weight norm", ("weight_v", "weight_g")),
    Kind("weight norm", (f"{NEW}.original1", f"{NEW}.original0")),
    Kind("pruning", ("weight_orig", "weight_mask")),
)


class PlainWeights(NamedTuple):
    """A state dict without parametrizations.

    Attributes:
      tensors: the tensors, by name.
      notes: a phrase for each kind of parametrization that was computed.
    """

    tensors: Tensors
    notes: list[str]


def compute_parametrized_weights(tensors: Tensors, transposed: Collection[str]) -> PlainWeights:
    """Replaces the tensors of parametrizations by the weights that PyTorch computes from them.

    Args:
      tensors: the tensors of a network, by name.
      transposed: the names of the layers that are transposed convolutions. PyTorch computes their
        spectral norm along another axis.

    Raises:
      UsageError: a layer has a parametrization that is not known here.
    """
    remaining, counts = dict(tensors), dict[str, int]()
    for name in tensors:
        layer = layer_of(name)
        if layer is None or f"{layer}.weight" in remaining:
            continue
        for kind in KINDS:
            parts = [f"{layer}.{part}" for part in kind.tensors]
            if all(part in remaining for part in parts):
                values = [np.asarray(remaining.pop(part), np.float64) for part in parts]
                weight = _compute(kind.name, values, 1 if layer in transposed else 0)
                remaining[f"{layer}.weight"] = weight.astype(np.float32)
                counts[kind.name] = counts.get(kind.name, 0) + 1
                break
    unknown = [name for name in remaining if layer_of(name) or "parametrizations." in name]
    if unknown:
        raise UsageError(
            f"has the parametrization {unknown[0]}, which is not known here",
            "call torch.nn.utils.parametrize.remove_parametrizations(layer, 'weight') for its "
            "layers, and save the state dict again",
        )
    notes = [
        f"the {kind} of {count} layers is folded into their weights; training continues without "
        f"the {kind}"
        for kind, count in counts.items()
    ]
    return PlainWeights(remaining, notes)


def layer_of(name: str) -> str | None:
    """The layer whose weight PyTorch computes from a tensor; None for any other tensor."""
    for kind in KINDS:
        for part in kind.tensors:
            if name.endswith(f".{part}"):
                return name.removesuffix(f".{part}")
    return None


def _compute(kind: str, values: list[np.ndarray], axis: int) -> np.ndarray:
    """Computes a weight from the tensors of a kind of parametrization.

    Args:
      kind: the name of the kind.
      values: the tensors, in the order of the kind.
      axis: the axis of the outputs of a spectral norm.
    """
    weight, *others = values
    if kind == "pruning":
        return weight * others[0]
    if kind == "spectral norm":
        u, v = others
        matrix = np.moveaxis(weight, axis, 0).reshape(weight.shape[axis], -1)
        return weight / (u @ matrix @ v)
    [lengths] = others
    # Each norm is taken over the axes on which `lengths` has size 1.
    axes = tuple(i for i in range(weight.ndim) if lengths.ndim == 0 or lengths.shape[i] == 1)
    return weight * (lengths / np.sqrt((weight**2).sum(axes, keepdims=True)))
