"""The import command: networks trained elsewhere become a run, at step 0 with fresh optimizers."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict
from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError, safe_open

from pix2pix_jax.checkpoints.reader import IMPORTED, saved_steps
from pix2pix_jax.checkpoints.store import Checkpoint, CheckpointStore
from pix2pix_jax.config.files import write_config
from pix2pix_jax.config.resolve import resolve
from pix2pix_jax.config.schema import Config, Data, Model, replace_fields
from pix2pix_jax.errors import UsageError, reason_of
from pix2pix_jax.gan.networks import make_generator
from pix2pix_jax.gan.state import TrainState, create_state
from pix2pix_jax.interop.torch_names import (
    STATISTICS,
    State,
    discriminator_fields,
    discriminator_names,
    from_torch,
    generator_fields,
    generator_names,
    strip_wrapper_names,
)
from pix2pix_jax.interop.torch_reader import read_pth
from pix2pix_jax.runs.ownership import claim_workdir
from pix2pix_jax.runs.workdir import Workdir
from pix2pix_jax.runtime.console import say

Network = Literal["generator", "discriminator"]


def import_weights(
    weights: Path,
    discriminator: Path | None,
    workdir: Workdir,
    base: Config | None,
    finish: Callable[[Config], Config],
) -> int:
    """Makes a run of a generator, and of a discriminator where there is one.

    Args:
      weights: .pth or .safetensors of the PyTorch code, or .safetensors that `export` wrote.
      discriminator: the same of its discriminator; None: a fresh one.
      workdir: of the new run.
      base: all that tensors do not tell; None: as `weights` say, or else as in the PyTorch code,
        but that its learning rate does not decay.
      finish: replaces fields, as flags do.

    Returns:
      The exit status.

    Raises:
      UsageError: a file that holds something else, with what that is; a workdir that is taken.
    """
    if workdir.config_file.exists() or saved_steps(workdir):
        raise UsageError(f"--workdir: {workdir} holds a run already; give another one")
    tensors, saved = read_tensors(weights, "generator")
    with _name_file_in_errors(weights):
        told = _fields_of_generator(saved) if saved else generator_fields(tensors)
        config = replace_fields(base or saved or _theirs(told["model"]["depth"]), told)
    judge, of_judge = read_tensors(discriminator, "discriminator") if discriminator else ({}, None)
    with _name_file_in_errors(discriminator):
        if of_judge:
            config = replace_fields(config, _fields_of_discriminator(of_judge, config))
        elif discriminator:
            config = replace_fields(config, discriminator_fields(judge, config))
    config = resolve(finish(config))
    model = config.model
    template = jax.eval_shape(lambda: create_state(config))  # what does not fit may be of any size
    with _name_file_in_errors(weights):
        names = None if saved else generator_names(model.depth)
        params = {"generator": fit_parameters(tensors, names, template.generator.params, model)}
    if discriminator:
        with _name_file_in_errors(discriminator):
            names = None if of_judge else discriminator_names(model.discriminator)
            fitting = fit_parameters(judge, names, template.discriminator.params, model)
            params["discriminator"] = fitting
    state = create_state(config)
    halves = {name: getattr(state, name).replace(params=tree) for name, tree in params.items()}
    state = state.replace(**halves)
    write_run(workdir, config, state)
    data = config.data
    height, width = data.image_size
    say(
        f"{workdir}: {model.generator} of depth {model.depth}, {model.features} features, "
        f"{data.input_channels} to {data.target_channels} channels, {model.norm} norm; "
        f"{'' if discriminator else 'a fresh '}{model.discriminator} discriminator; taken to be "
        f"{data.direction} at {height}x{width} with {model.dropout} dropout, which "
        "--config.data.direction, .data.image_size and .model.dropout change"
    )
    return 0


def write_run(workdir: Workdir, config: Config, state: TrainState) -> None:
    """What `train` goes on from, and all other commands begin with."""
    with claim_workdir(workdir):
        with CheckpointStore(workdir, config.train.keep, config.train.best_metric) as store:
            store.save(Checkpoint(state, totals={}, data=IMPORTED))
        write_config(config, workdir.config_file)


def read_tensors(path: Path, network: Network) -> tuple[State, Config | None]:
    """Tensors by name, and the config that `export` wrote beside them, if it did.

    Raises:
      UsageError: it is no such file.
    """
    if path.is_dir():
        raise UsageError(f"{path}: is a folder; give a file of weights, .pth or .safetensors")
    if not path.is_file():
        raise UsageError(f"{path}: not found; give a file of weights, .pth or .safetensors")
    if path.suffix.lower() == ".safetensors":
        return read_safetensors(path, network)
    return strip_wrapper_names(read_pth(path)), None


def read_safetensors(path: Path, network: Network) -> tuple[State, Config | None]:
    """The same of a file that may have any name."""
    try:
        with safe_open(path, "numpy") as file:
            metadata = file.metadata() or {}
            text, held = metadata.get("config"), metadata.get("network", network)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        config = text and TypeAdapter(Config).validate_json(text)
    except (SafetensorError, ValidationError, AttributeError, TypeError) as error:
        raise UsageError(f"{path}: cannot be read as safetensors ({reason_of(error)})") from error
    if held != network:
        raise UsageError(f"{path}: holds a {held}; give the file of the {network}")
    return (tensors, config) if config else (strip_wrapper_names(tensors), None)


def fit_parameters(
    tensors: State, names: dict[str, str] | None, template: dict, model: Model
) -> dict:
    """Parameters of a template from those of a file.

    Args:
      tensors: of the file.
      names: theirs for our layers; None: the file has ours.
      template: parameters of the right shapes.
      model: of the template.

    Raises:
      UsageError: one is missing, left over, of another shape, or not finite.
    """
    params = from_torch(tensors, names, template, model) if names else _from_ours(tensors, template)
    for name, value in tensors.items():
        used = name.rpartition(".")[2] not in STATISTICS
        if used and not np.isfinite(np.asarray(value, np.float32)).all():
            raise UsageError(f"has values that are not finite, in {name}, so nothing was imported")
    return params


def _from_ours(tensors: State, template: dict) -> dict:
    expected = flatten_dict(template, sep=".")
    for name in sorted(expected | tensors):
        if name not in tensors:
            raise UsageError(f"lacks {name}")
        if name not in expected:
            raise UsageError(f"has {name}, for which there is no place here")
        found, wanted = tensors[name].shape, expected[name].shape
        if found != wanted:
            raise UsageError(f"has {name} as {found}, where {wanted} would fit")
    params = {name: np.asarray(value, np.float32) for name, value in tensors.items()}
    return unflatten_dict(params, sep=".")


@contextmanager
def _name_file_in_errors(path: Path | None) -> Iterator[None]:
    """Names the file in a UsageError."""
    try:
        yield
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from error


def _theirs(depth: int) -> Config:
    """What tensors do not tell: images of the size that leaves a bottleneck of 1x1, as there.

    The learning rate does not decay, so that fine-tuning can take any number of steps.
    """
    return Config(data=Data(name="folder", image_size=(2**depth, 2**depth)))


def _fields_of_generator(config: Config) -> dict[str, dict[str, Any]]:
    """What tensors would tell, and the norms that are there or not."""
    normed = make_generator(resolve(config)).bottleneck_norm  # which may depend on the image's size
    channels = {name: getattr(config.data, name) for name in ("input_channels", "target_channels")}
    return {"data": channels, "model": asdict(config.model) | {"bottleneck_norm": normed}}


def _fields_of_discriminator(own: Config, config: Config) -> dict[str, dict[str, Any]]:
    """The same of a discriminator; raises UsageError where it shares not what both networks have.

    Args:
      own: that it was trained by.
      config: of the generator.
    """
    for name in ("norm", "norm_epsilon", "norm_affine", "bias", "leaky_slope"):
        found, wanted = getattr(own.model, name), getattr(config.model, name)
        if found != wanted:
            raise UsageError(f"was trained with model.{name} {found}; the generator has {wanted}")
    names = ("discriminator", "discriminator_features")
    return {
        "model": {name: getattr(own.model, name) for name in names},
        "loss": {"conditional": own.loss.conditional},
    }
