"""The file formats of `export`. To add a format, write its function and its row of EXPORT_FORMATS.

`pix2pix --help` reads the table and must be fast, so libraries are imported only inside functions.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pix2pix_jax.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np

    from pix2pix_jax.config.schema import Config
    from pix2pix_jax.gan.networks import NetworkName
    from pix2pix_jax.interop.trained_network import Compute, TrainedNetwork

STABLEHLO_PLATFORMS = ("cpu", "cuda", "tpu")  # one file runs on all of them
LOCATIONS_FLAG = "jax_traceback_in_locations_limit"  # JAX's limit of source lines in a program
ONNX_MAX_BYTES = 2e9  # An ONNX file is a protocol buffer, which cannot be much larger.


@dataclass(frozen=True)
class Format:
    """A file format.

    Attributes:
      name: the value of --format, and the suffix of the files.
      write: writes a network to a path. Returns a function that computes the network in the file,
        so that `export` can compare the file with JAX.
      check: checks a network of a config, by its name. Raises UsageError if the format cannot
        contain the network, or needs a package that is not installed.
      can_hold_discriminator: whether the format can contain a discriminator at all.
      statistics: which running statistics a file of this format stores beside the network.
        "all": always, because the program that reads the file may normalize by them. "kept": only
        those that the network had in the file that it was imported from. "none": a file stores
        none, but the network in the file can normalize by them.
    """

    name: str
    write: Callable[[Path, TrainedNetwork], Compute]
    check: Callable[[Config, NetworkName], None]
    can_hold_discriminator: bool
    statistics: Literal["all", "kept", "none"] = "none"


def write_stablehlo(path: Path, network: TrainedNetwork) -> Compute:
    """Writes a program for CPU, CUDA and TPU, for any number of images of any valid size."""
    import jax
    import numpy as np
    from jax import export as jax_export

    from pix2pix_jax.config.resolve import side_multiple

    multiple = side_multiple(network.config)
    spec = f"b, {multiple}*h, {multiple}*w, {network.config.data.input_channels}"
    images = jax.ShapeDtypeStruct(jax_export.symbolic_shape(spec), np.float32)
    compute = network.portable().batch_function()
    # Users give the file away, so it must not name source files of this machine.
    limit = getattr(jax.config, LOCATIONS_FLAG)
    try:
        jax.config.update(LOCATIONS_FLAG, 0)
        exported = jax_export.export(jax.jit(compute), platforms=STABLEHLO_PLATFORMS)(images)
    finally:
        jax.config.update(LOCATIONS_FLAG, limit)
    path.write_bytes(exported.serialize())
    return jax_export.deserialize(bytearray(path.read_bytes())).call


def write_onnx(path: Path, network: TrainedNetwork) -> Compute:
    """Writes an ONNX graph from images to images [b, c, h, w], the usual order in ONNX.

    Raises:
      UsageError: the network is too large for an ONNX file.
    """
    import jax
    import numpy as np
    import onnxruntime

    from pix2pix_jax.interop.onnx import onnx_model
    from pix2pix_jax.models.unet import UNet

    size = 4 * sum(leaf.size for leaf in jax.tree.leaves(network.params))
    if size > ONNX_MAX_BYTES:
        raise UsageError(
            f"the network has {size / 1e9:.1f} GB, but an ONNX file has at most 2 GB",
            "give another --format",
        )
    assert isinstance(network.module, UNet)
    model = onnx_model(network.module, network.params, network.metadata(), network.moments)
    path.write_bytes(model.SerializeToString())
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])

    def compute(images: np.ndarray) -> np.ndarray:
        [outputs] = session.run(None, {"image": images.transpose(0, 3, 1, 2)})
        assert isinstance(outputs, np.ndarray)
        return outputs.transpose(0, 2, 3, 1)  # [b, h, w, c]

    return compute


def write_safetensors(path: Path, network: TrainedNetwork) -> Compute:
    """Writes the parameters under our names, such as down1.kernel, with the config as metadata."""
    import numpy as np
    from flax.traverse_util import flatten_dict
    from safetensors.numpy import save

    from pix2pix_jax.interop.pytorch.tensors import statistics_to_torch
    from pix2pix_jax.interop.weight_reader import read_safetensors

    tensors = {
        name: np.array(value) for name, value in flatten_dict(network.params, sep=".").items()
    }
    if network.statistics:
        tensors |= statistics_to_torch(network.statistics.values)
    path.write_bytes(save(tensors, network.metadata()))
    weights = read_safetensors(path, network.name)
    return network.compile_with(weights.fit_to(network.params, network.config.model))


def write_torch(path: Path, network: TrainedNetwork) -> Compute:
    """Writes a state dict that the authors' PyTorch code can load."""
    from pix2pix_jax.interop.pytorch.tensors import to_torch
    from pix2pix_jax.interop.pytorch.writer import write_pth
    from pix2pix_jax.interop.weight_file import torch_names
    from pix2pix_jax.interop.weight_reader import read_torch

    model = network.config.model
    statistics = network.statistics and network.statistics.values
    write_pth(path, to_torch(network.params, torch_names(network.name, model), model, statistics))
    weights = read_torch(path, network.name)
    return network.compile_with(weights.fit_to(network.params, model))


def accept_all(config: Config, name: NetworkName) -> None:
    """Accepts every config, because the format can contain every network."""


def check_onnx(config: Config, name: NetworkName) -> None:
    """Raises UsageError if onnx or onnxruntime is not installed."""
    if not all(map(importlib.util.find_spec, ("onnx", "onnxruntime"))):
        raise UsageError(
            "--format: the packages for onnx are not installed",
            "run pip install 'pix2pix_jax[onnx]'",
        )


def check_torch(config: Config, name: NetworkName) -> None:
    """Raises UsageError if the authors' PyTorch code cannot compute a network of a config."""
    from pix2pix_jax.interop.pytorch.checks import check_torch_discriminator, check_torch_generator

    check_torch_generator(config)  # Both networks share the fields that it checks.
    if name == "discriminator":
        check_torch_discriminator(config)


EXPORT_FORMATS = {
    row.name: row
    for row in (
        Format("stablehlo", write_stablehlo, accept_all, can_hold_discriminator=False),
        Format("onnx", write_onnx, check_onnx, can_hold_discriminator=False),
        Format(
            "safetensors",
            write_safetensors,
            accept_all,
            can_hold_discriminator=True,
            statistics="kept",
        ),
        Format("pth", write_torch, check_torch, can_hold_discriminator=True, statistics="all"),
    )
}
DISCRIMINATOR_FORMATS = [name for name, row in EXPORT_FORMATS.items() if row.can_hold_discriminator]
