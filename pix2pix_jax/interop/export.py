"""The export command: a trained network as a file for other programs, checked before it is done."""

import importlib.util
import os
from collections.abc import Callable
from contextlib import ExitStack
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
from pix2pix_jax.checkpoints.reader import read_network
from pix2pix_jax.config.resolve import resolve
from pix2pix_jax.config.schema import Config, Data
from pix2pix_jax.errors import UsageError
from pix2pix_jax.gan.networks import make_discriminator, make_generator
from pix2pix_jax.interop.import_weights import fit_parameters, read_safetensors
from pix2pix_jax.interop.torch_names import (
    check_theirs,
    discriminator_names,
    generator_names,
    to_torch,
)
from pix2pix_jax.interop.torch_reader import read_pth
from pix2pix_jax.interop.torch_writer import write_pth
from pix2pix_jax.runs.compatibility import check_run
from pix2pix_jax.runs.workdir import Workdir
from pix2pix_jax.runtime.console import say
from pix2pix_jax.runtime.files import atomic_file

Computed = Callable[[np.ndarray], np.ndarray]  # of [b, h, w, c] in [-1, 1]
PLATFORMS = ("cpu", "cuda", "tpu")  # that a StableHLO file runs on
AT_MOST = 1e-4  # that what a file computes may differ from JAX


def export(
    config: Config,
    workdir: Workdir,
    output: Path,
    kind: str | None,
    step: int | Literal["best", "newest"],
    discriminator: Path | None,
) -> int:
    """Writes a generator without its dropout.

    Args:
      config: of the run.
      workdir: of the run.
      output: the file to write.
      kind: of file, one of WRITERS; None: that which `output` is called like.
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
    kind = check_files(output, kind, discriminator)
    check_request(config, kind, discriminator)
    lines = []
    with ExitStack() as both:  # or none
        for network, path in (("generator", output), ("discriminator", discriminator)):
            if path is None:
                continue
            step, params, _ = read_network(workdir, config, step, network)
            make = make_generator if network == "generator" else make_discriminator
            module, new = make(config), both.enter_context(atomic_file(path))
            try:
                found = WRITERS[kind](
                    new, config, module, params, export_metadata(config, network, step)
                )
            except UsageError as error:
                raise UsageError(f"{path}: {error}") from error
            difference = compare(config, module, params, found)
            if not difference < AT_MOST:
                raise UsageError(
                    f"{path}: was not written, since what it computes is {difference:.1e} from "
                    "what JAX does; give another --format"
                )
            lines.append(
                f"{path}: {network} of step {step} as {kind}, {new.stat().st_size / 1e6:.1f} MB; "
                f"on random images it differs from JAX by {difference:.1e} at most"
            )
    say("\n".join(lines))
    return 0


def check_files(output: Path, kind: str | None, discriminator: Path | None) -> str:
    """The kind of files; raises UsageError where they would take another's place or suffix."""
    files = {"output": output} | ({"discriminator": discriminator} if discriminator else {})
    for name, path in files.items():
        if path.is_dir():
            raise UsageError(f"--{name}: {path} is a folder; give a file")
    kind = kind or output.suffix[1:].lower()
    if kind not in WRITERS:
        formats = ", ".join(WRITERS)
        raise UsageError(f"--format: give one of {formats}, as {output} is called like none")
    for name, path in files.items():
        if path.suffix[1:].lower() in WRITERS.keys() - {kind}:
            raise UsageError(f"--{name}: {path} would be {kind} by another suffix; mend either")
        if os.path.lexists(path):
            raise UsageError(f"--{name}: {path} is there already; remove it, or give another")
    if discriminator and output.resolve() == discriminator.resolve():
        raise UsageError(f"--discriminator: {discriminator} is the generator's; give another file")
    return kind


def check_request(config: Config, kind: str, discriminator: Path | None) -> None:
    """Raises UsageError where a file cannot hold a network."""
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


def one_by_one(module: nn.Module, params: dict) -> Computed:
    """A network without noise, each image on its own."""
    return jax.vmap(lambda image: module.apply({"params": params}, image[None])[0])


def compare(config: Config, module: nn.Module, params: dict, found: Computed) -> float:
    """How far a file's outputs are from those of JAX, on two random images."""
    shape = 2, *config.data.image_size, next(iter(params.values()))["kernel"].shape[2]
    images = np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32)
    difference = np.asarray(found(images)) - np.asarray(jax.jit(one_by_one(module, params))(images))
    return float(np.abs(difference).max())


def write_stablehlo(
    path: Path, config: Config, module: nn.Module, params: dict, told: dict[str, str]
) -> Computed:
    """For CPU, CUDA and TPU, any number of images, and any sides that the network can halve."""
    multiple = 2**config.model.depth
    spec = f"b, {multiple}*h, {multiple}*w, {config.data.input_channels}"
    images = jax.ShapeDtypeStruct(jax_export.symbolic_shape(spec), np.float32)
    module = module.clone(portable=True)
    # Without places on this machine, since such files are given away.
    limit = jax.config.jax_traceback_in_locations_limit
    try:
        jax.config.update("jax_traceback_in_locations_limit", 0)
        export_of = jax_export.export(jax.jit(one_by_one(module, params)), platforms=PLATFORMS)
        exported = export_of(images)
    finally:
        jax.config.update("jax_traceback_in_locations_limit", limit)
    path.write_bytes(exported.serialize())
    return jax_export.deserialize(bytearray(path.read_bytes())).call


def write_onnx(
    path: Path, config: Config, module: nn.Module, params: dict, told: dict[str, str]
) -> Computed:
    """[b, c, h, w], as ONNX has it."""
    import onnxruntime

    from pix2pix_jax.interop.onnx import onnx_model

    size = 4 * sum(leaf.size for leaf in jax.tree.leaves(params))
    if size > 2e9:
        raise UsageError(f"ONNX holds 2 GB, and {size / 1e9:.1f} are needed; give another --format")
    model = onnx_model(module, params, told)
    path.write_bytes(model.SerializeToString())
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])

    def found(images: np.ndarray) -> np.ndarray:
        [outputs] = session.run(None, {"image": images.transpose(0, 3, 1, 2)})
        return outputs.transpose(0, 2, 3, 1)

    return found


def write_safetensors(
    path: Path, config: Config, module: nn.Module, params: dict, told: dict[str, str]
) -> Computed:
    """Our parameters by our names, LAYER.kernel and so on, and the config as metadata."""
    tensors = {k: np.array(v) for k, v in flatten_dict(params, sep=".").items()}
    path.write_bytes(save(tensors, told))
    saved, _ = read_safetensors(path, told["network"])
    return jax.jit(one_by_one(module, fit_parameters(saved, None, params, config.model)))


def write_torch(
    path: Path, config: Config, module: nn.Module, params: dict, told: dict[str, str]
) -> Computed:
    """A state dict by the names of the PyTorch code."""
    names = (
        generator_names(config.model.depth)
        if told["network"] == "generator"
        else discriminator_names(config.model.discriminator)
    )
    write_pth(path, to_torch(params, names, config.model))
    return jax.jit(one_by_one(module, fit_parameters(read_pth(path), names, params, config.model)))


WRITERS = {
    "stablehlo": write_stablehlo,
    "onnx": write_onnx,
    "safetensors": write_safetensors,
    "pth": write_torch,
}


def export_metadata(config: Config, network: str, step: int) -> dict[str, str]:
    """What else is to stand in a file, where it can."""
    # Without places on this machine, since such files are given away.
    data = replace(config.data, source=None, data_dir=Data().data_dir)
    text = TypeAdapter(Config).dump_json(replace(config, data=data)).decode()
    return {"pix2pix_jax": __version__, "network": network, "step": str(step), "config": text}
