"""The export command: a trained network as a file for other programs, checked before it is done."""

import importlib.util
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal

import flax.linen as nn
import jax
import numpy as np
from flax.traverse_util import flatten_dict
from jax import export as jax_export
from pydantic import TypeAdapter
from safetensors.numpy import save

from pix2pix_jax import __version__
from pix2pix_jax.checkpoint_reader import read_network
from pix2pix_jax.config import Config, Data, UsageError, resolve
from pix2pix_jax.console import say
from pix2pix_jax.discriminator import Discriminator, make_discriminator
from pix2pix_jax.files import whole
from pix2pix_jax.generator import make_generator
from pix2pix_jax.guards import check_run
from pix2pix_jax.import_weights import fitted, read_safetensors
from pix2pix_jax.torch_file import read_pth
from pix2pix_jax.torch_weights import check_theirs, discriminator_names, generator_names, to_torch
from pix2pix_jax.torch_writer import write_pth

Format = Literal["stablehlo", "onnx", "safetensors", "pth"]
Network = Callable[[np.ndarray], np.ndarray]  # of [b, h, w, c] in [-1, 1]
PLATFORMS = ("cpu", "cuda", "tpu")  # that a StableHLO file runs on
AT_MOST = 1e-4  # that what a file computes may differ from JAX


def export(
    config: Config,
    workdir: Path,
    output: Path,
    kind: Format,
    step: int | Literal["best", "newest"],
    discriminator: Path | None,
) -> int:
    """Writes a generator without its dropout.

    Args:
      config: of the run.
      workdir: of the run.
      output: the file to write.
      kind: of file.
      step: of the checkpoint.
      discriminator: a file for that, too, where weights alone are written.

    Returns:
      The exit status.

    Raises:
      UsageError: no such run or checkpoint, something that such a file cannot hold, or a file that
        does not compute the same.
    """
    config = resolve(config)
    check_run(workdir, config)
    # Computed as others will: whatever it was trained in, its parameters are float32.
    config = replace(config, train=replace(config.train, dtype="float32"))
    check_asked(config, output, kind, discriminator)
    write = {
        "stablehlo": write_stablehlo,
        "onnx": write_onnx,
        "safetensors": write_safetensors,
        "pth": write_torch,
    }[kind]
    for network, path in (("generator", output), ("discriminator", discriminator)):
        if path is None:
            continue
        step, params, _ = read_network(workdir, config, step, network)
        make = make_generator if network == "generator" else make_discriminator
        module = make(config)
        with whole(path) as new:
            found = write(new, config, module, params, step)
            difference = compare(config, module, params, found)
            if not difference < AT_MOST:
                raise UsageError(
                    f"{path}: was not written, since what it computes is {difference:.1e} from "
                    "what JAX does; give another --format"
                )
        say(
            f"{path}: {network} of step {step} as {kind}, {path.stat().st_size / 1e6:.1f} MB; on "
            f"random images it differs from JAX by {difference:.1e} at most"
        )
    return 0


def check_asked(config: Config, output: Path, kind: Format, discriminator: Path | None) -> None:
    """Raises UsageError where a file cannot hold a network, or would take another's place."""
    if kind == "pth":
        check_theirs(config)
    if kind == "onnx" and not all(map(importlib.util.find_spec, ("onnx", "onnxruntime"))):
        raise UsageError("--format: onnx needs more: pip install 'pix2pix_jax[onnx]'")
    if discriminator and kind in ("stablehlo", "onnx"):
        raise UsageError(f"--discriminator: goes with safetensors and pth, not with {kind}")
    if discriminator and kind == "pth" and config.model.discriminator == "tutorial":
        raise UsageError(
            "model.discriminator: tutorial pads otherwise than any in the PyTorch code; leave out "
            "--discriminator"
        )
    if discriminator and output.resolve() == discriminator.resolve():
        raise UsageError(f"--discriminator: {discriminator} is the generator's; give another file")
    for name, path in (("output", output), ("discriminator", discriminator)):
        if path and path.is_dir():
            raise UsageError(f"--{name}: {path} is a folder; give a file")
        if path and path.exists() and path.stat().st_size:
            raise UsageError(f"--{name}: {path} is there already; remove it, or give another")


def one_by_one(module: nn.Module, params: dict) -> Network:
    """A network without noise, each image on its own."""
    return jax.vmap(lambda image: module.apply({"params": params}, image[None])[0])


def compare(config: Config, module: nn.Module, params: dict, found: Network) -> float:
    """How far a file's outputs are from those of JAX, on two random images."""
    shape = 2, *config.data.image_size, next(iter(params.values()))["kernel"].shape[2]
    images = np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32)
    difference = np.asarray(found(images)) - np.asarray(jax.jit(one_by_one(module, params))(images))
    return float(np.abs(difference).max())


def write_stablehlo(
    path: Path, config: Config, module: nn.Module, params: dict, step: int
) -> Network:
    """For CPU, CUDA and TPU, any number of images, and any sides that the network can halve."""
    multiple = 2**config.model.depth
    spec = f"b, {multiple}*h, {multiple}*w, {config.data.input_channels}"
    images = jax.ShapeDtypeStruct(jax_export.symbolic_shape(spec), np.float32)
    exported = jax_export.export(jax.jit(one_by_one(module, params)), platforms=PLATFORMS)(images)
    path.write_bytes(exported.serialize())
    return jax_export.deserialize(bytearray(path.read_bytes())).call


def write_onnx(path: Path, config: Config, module: nn.Module, params: dict, step: int) -> Network:
    """[b, c, h, w], as ONNX has it."""
    import onnxruntime

    from pix2pix_jax.onnx_graph import onnx_model

    size = 4 * sum(leaf.size for leaf in jax.tree.leaves(params))
    if size > 2e9:
        raise UsageError(f"--format: onnx holds 2 GB, and {size / 1e9:.1f} are needed")
    model = onnx_model(module, params, _metadata(config, module, step))
    path.write_bytes(model.SerializeToString())
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])

    def found(images: np.ndarray) -> np.ndarray:
        [outputs] = session.run(None, {"image": images.transpose(0, 3, 1, 2)})
        return outputs.transpose(0, 2, 3, 1)

    return found


def write_safetensors(
    path: Path, config: Config, module: nn.Module, params: dict, step: int
) -> Network:
    """Our parameters by our names, LAYER.kernel and so on, and the config as metadata."""
    tensors = {k: np.array(v) for k, v in flatten_dict(params, sep=".").items()}
    metadata = _metadata(config, module, step)
    path.write_bytes(save(tensors, metadata))
    saved, _ = read_safetensors(path, metadata["network"])
    return jax.jit(one_by_one(module, fitted(saved, None, params)))


def write_torch(path: Path, config: Config, module: nn.Module, params: dict, step: int) -> Network:
    """A state dict by the names of the PyTorch code."""
    judges = isinstance(module, Discriminator)
    names = (
        discriminator_names(config.model.discriminator)
        if judges
        else generator_names(config.model.depth)
    )
    write_pth(path, to_torch(params, names, config.model))
    return jax.jit(one_by_one(module, fitted(read_pth(path), names, params)))


def _metadata(config: Config, module: nn.Module, step: int) -> dict[str, str]:
    # Without places on this machine, since such files are given away.
    data = replace(config.data, source=None, data_dir=Data().data_dir)
    text = TypeAdapter(Config).dump_json(replace(config, data=data)).decode()
    network = "discriminator" if isinstance(module, Discriminator) else "generator"
    return {"pix2pix_jax": __version__, "network": network, "step": str(step), "config": text}
