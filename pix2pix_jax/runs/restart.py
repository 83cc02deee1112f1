"""Commands for a new run that goes on from the weights of a run, as error lines print them."""

import shlex
from pathlib import Path
from typing import Any

import jax

from pix2pix_jax.config.fields import field_values
from pix2pix_jax.config.files import read_config
from pix2pix_jax.config.initial_run import InitialRun
from pix2pix_jax.config.schema import Config
from pix2pix_jax.errors import UsageError
from pix2pix_jax.gan.networks import make_generator
from pix2pix_jax.gan.state import TrainState, create_state
from pix2pix_jax.runs.workdir import Workdir


def generator_fields(config: Config) -> dict[str, Any]:
    """The fields that decide the names and shapes of the generator's arrays, with their values."""
    data, model, module = config.data, config.model, make_generator(config)
    return {
        "data.input_channels": data.input_channels,
        "data.target_channels": data.target_channels,
        "model.generator": model.generator,
        "model.features": model.features,
        "model.depth": module.depth,
        "model.norm": model.norm,
        "model.norm_affine": model.norm_affine,
        "model.bottleneck_norm": module.bottleneck_norm,
        "model.bias": model.bias,
    }


def discriminator_fields(config: Config) -> dict[str, Any]:
    """The fields that decide the names and shapes of the discriminator's arrays."""
    data, model, loss = config.data, config.model, config.loss
    return {
        "data.input_channels": data.input_channels,
        "data.target_channels": data.target_channels,
        "model.discriminator": model.discriminator,
        "model.discriminator_features": model.discriminator_features,
        "model.norm": model.norm,
        "model.norm_affine": model.norm_affine,
        "model.bias": model.bias,
        "loss.conditional": loss.conditional,
    }


def changed_values(old: dict[str, Any], new: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """The old and the new value of every field that differs, by the name of the field."""
    return {name: (old[name], value) for name, value in new.items() if old[name] != value}


def changed_by_user(old: Config, new: Config) -> dict[str, tuple[Any, Any]]:
    """The old and the new value of every field that the user changed between two configs."""
    values = changed_values(field_values(old), field_values(new))
    left_out = {"train.init", "train.epochs" if new.train.epochs is None else "train.steps"}
    if new.model.norm_images is None:  # The new run decides this number itself.
        left_out.add("model.norm_images")
    return {name: pair for name, pair in values.items() if name not in left_out}


def format_flag(field: str, value: Any) -> str:
    """A field and its value as a flag, such as --config.data.image_size=256,512."""
    text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
    return f"--config.{field}={text}"


def next_location(workdir: Workdir) -> str:
    """A workdir for a new run beside a run: the first of NAME_2, NAME_3, ... that is free.

    For a run in a bucket, only the copies on this machine are looked at. A run of another machine
    with the proposed name stays safe, because `train` does not start a new run in its workdir.
    """
    path, number = workdir.path, 2
    if path.name in ("", ".."):  # A path such as "." or "runs/.." does not show its name.
        path = path.resolve()
    while Path(f"{path}_{number}").exists():
        number += 1
    return f"{workdir.address or path}_{number}"


def init_command(workdir: Workdir, config: Config, step: int | None = None) -> str:
    """The command that starts a new run of a config from the weights of a run.

    Args:
      workdir: the workdir of the run.
      config: the resolved config of the new run.
      step: the step of the checkpoint; None: the newest.
    """
    changes = changed_by_user(read_config(workdir.config_file), config)
    flags = [format_flag(name, new) for name, (_, new) in changes.items()]
    start = InitialRun(workdir.location) if step is None else InitialRun(workdir.location, step)
    command = ["pix2pix", "train", f"--init={start}", f"--workdir={next_location(workdir)}", *flags]
    return f"`{shlex.join(command)}`"


def advise_new_run(workdir: Workdir, config: Config) -> str:
    """The end of an error line: how to start a new run of a config that a run cannot resume.

    Args:
      workdir: the workdir of the run.
      config: the resolved config.
    """
    if can_init(workdir, config):
        return f"go on from its weights in a new run by {init_command(workdir, config)}"
    return f"give another --workdir, such as --workdir={shlex.quote(next_location(workdir))}"


def can_init(workdir: Workdir, config: Config) -> bool:
    """Whether a new run of a config can start from the weights of a run."""
    try:
        return bool(workdir.checkpoint_steps()) and fits_generator(
            read_config(workdir.config_file), config
        )
    except (UsageError, OSError):  # The run's own files are damaged, or no U-Net fits this size.
        return False


def fits_generator(old: Config, new: Config) -> bool:
    """Whether the generators of two resolved configs have the same arrays."""
    return array_shapes(old).generator.params == array_shapes(new).generator.params


def array_shapes(config: Config) -> TrainState:
    """The shapes and types of all arrays of a run of a resolved config."""
    return jax.eval_shape(lambda: create_state(config))
