"""Makes the first state of a new run from a checkpoint of another run."""

import shlex
from typing import Any, NamedTuple

import jax
import numpy as np
import optax

from pix2pix_jax.checkpoints.reader import StepNotFound, find_step, read_items
from pix2pix_jax.config.fields import changed_values, format_value
from pix2pix_jax.config.files import override
from pix2pix_jax.config.initial_run import CheckpointStep
from pix2pix_jax.config.resolve import resolve
from pix2pix_jax.config.schema import Config
from pix2pix_jax.data.images.pixels import check_channels
from pix2pix_jax.errors import UsageError
from pix2pix_jax.gan.networks import make_generator
from pix2pix_jax.gan.state import NetworkState, TrainState, create_state
from pix2pix_jax.runs.networks import (
    array_shapes,
    fields_of_discriminator_arrays,
    fields_of_generator_arrays,
    fits_generator,
)
from pix2pix_jax.runs.restart import format_flag
from pix2pix_jax.runs.workdir import Workdir


class TransferredState(NamedTuple):
    """The first state of a new run, and where it comes from.

    Attributes:
      state: the state at step 0, as NumPy arrays.
      step: the step of the checkpoint that the networks come from.
      why_new_discriminator: the reason why the discriminator is new; empty if it was taken from the
        checkpoint.
    """

    state: TrainState
    step: int
    why_new_discriminator: str


def transfer_state(
    workdir: Workdir, old: Config, step: CheckpointStep, config: Config
) -> TransferredState:
    """Makes the first state of a new run from the networks of another run.

    The optimizer of a network is taken together with the network. The schedule of the learning rate
    starts again. If the discriminators have different arrays, the new run gets a new discriminator.

    Args:
      workdir: the workdir of the other run.
      old: the resolved config of the other run.
      step: the step of its checkpoint.
      config: the resolved config of the new run.

    Raises:
      UsageError: the generator has other arrays, or the checkpoint is missing or damaged.
    """
    check_generator(workdir, old, config)
    reason = _why_new_discriminator(old, config)
    names = ("generator", "optimizer") if reason else ("generator", "discriminator", "optimizer")
    number = find_initial_step(workdir, old, step)
    saved = read_items(workdir, old, number, names)
    state = jax.device_get(create_state(config))

    def transfer(name: str) -> NetworkState:
        network: NetworkState = getattr(state, name)
        old_optimizer = saved.items["optimizer"][name]
        return NetworkState(saved.items[name], carry_moments(network.opt_state, old_optimizer))

    networks = {name: transfer(name) for name in names if name != "optimizer"}
    return TransferredState(state.replace(**networks), number, reason)


def find_initial_step(workdir: Workdir, old: Config, step: CheckpointStep) -> int:
    """Finds the step of the checkpoint that a new run starts from.

    Args:
      workdir: the workdir of the other run.
      old: the resolved config of the other run.
      step: the step: a number, "newest" or "best".

    Raises:
      UsageError: there is no such checkpoint, or no checkpoint has a score that makes it the best.
    """
    try:
        return find_step(workdir, old.train.best_metric, step)
    except StepNotFound as error:
        # The flag train.best_metric would change the new run, not the other run.
        steps, flag = workdir.checkpoint_steps(), f"--init={shlex.quote(workdir.location)}"
        fix = f"give {flag}:{steps[0]}"
        if len(steps) > 1:
            fix = f"give {flag}:STEP with one of the steps {', '.join(map(str, steps))}"
        raise UsageError(f"--init: {error.problem}", fix) from error


def carry_moments(new: optax.OptState, old: optax.OptState) -> optax.OptState:
    """Copies Adam's moments from `old` to `new`. The schedule of `new` stays.

    Args:
      new: the state of an optimizer that has made no update.
      old: the state of an optimizer of the same parameters. It may have another structure, because
        the learning rate had another schedule or epsilon another meaning.

    Returns:
      `new` with the moments of `old`, and with the count by which Adam corrects their bias.
    """
    [adam] = [node for node in jax.tree.leaves(old, is_leaf=_is_adam) if _is_adam(node)]
    state = jax.tree.map(lambda node: adam if _is_adam(node) else node, new, is_leaf=_is_adam)
    if isinstance(state, optax.InjectStatefulHyperparamsState):
        # With optimizer.epsilon_hat, epsilon depends on the same count.
        schedules = dict(state.hyperparams_states)
        schedules["eps"] = schedules["eps"]._replace(count=np.asarray(adam.count))
        state = state._replace(hyperparams_states=schedules)
    return state


def _is_adam(node: Any) -> bool:
    return isinstance(node, optax.ScaleByAdamState)


def check_generator(workdir: Workdir, old: Config, new: Config) -> None:
    """Checks that the generator of another run fits a new run.

    Args:
      workdir: the workdir of the other run.
      old: the resolved config of the other run.
      new: the resolved config of the new run.

    Raises:
      UsageError: the generators have other arrays. The message names the fields that cause this,
        and prints all flags that make the generator fit.
    """
    if fits_generator(old, new):
        return
    changes = changed_values(fields_of_generator_arrays(old), fields_of_generator_arrays(new))
    flags = _flags_of_generator(old, new)
    if not flags:  # For example, no image has the channels of an imported generator.
        raise UsageError(
            f"--init: the generator of {workdir.location} cannot be trained here, because "
            f"{_describe_changes(changes)}",
            "leave out --init",
        )
    reasons = [_describe_changes({name: pair for name, pair in changes.items() if name in flags})]
    if "data.image_size" in flags:
        size = "x".join(map(str, new.data.image_size))
        reasons.append(f"data.image_size {size} cannot be halved {changes['model.depth'][0]} times")
    given = " ".join(format_flag(name, value) for name, value in flags.items())
    raise UsageError(
        f"--init: the generator of {workdir.location} does not fit, because "
        f"{', and '.join(reasons)}",
        f"give {given}, or leave out --init",
    )


def _flags_of_generator(old: Config, new: Config) -> dict[str, str]:
    """The flags that make the generator of `old` fit into `new`, by the names of their fields.

    A field may follow from another field: whether the last encoder layer has a norm, for example,
    follows from the depth. So the flags are tried together, and a flag is left out only if the
    generator fits without it.

    Returns:
      The values of the flags, as text; empty if no flags make the generator fit.
    """
    fields = fields_of_generator_arrays(old)
    multiple = 2 ** fields["model.depth"]
    # Rounded up, because the discriminator may be too deep for a smaller image.
    size = tuple(-(-side // multiple) * multiple for side in new.data.image_size)
    fields |= {"data.image_size": size, "data.load_size": None}
    flags = {name: format_value(value) for name, value in fields.items()}
    if not _fits_with(old, new, flags):
        return {}
    for name in tuple(flags):
        fewer = {other: value for other, value in flags.items() if other != name}
        if override(new, fewer) == override(new, flags) or _fits_with(old, new, fewer):
            flags = fewer
    return flags


def _fits_with(old: Config, new: Config, flags: dict[str, str]) -> bool:
    """Whether a run of `new` with these flags can train the generator of `old`."""
    try:
        config = resolve(override(new, flags))
        check_channels(config.data)
        if not fits_generator(old, config):
            return False
    except UsageError:
        return False
    # A norm without scales and shifts has no arrays, but the network differs without the norm.
    has_norm = [make_generator(each).bottleneck_norm for each in (old, config)]
    return config.model.norm == "none" or has_norm[0] == has_norm[1]


def _why_new_discriminator(old: Config, new: Config) -> str:
    """The reason why the discriminator cannot be taken from the other run; "" if it can."""
    if old.loss.gan == "none" and new.loss.gan != "none":
        return "the other run has no discriminator"
    if array_shapes(old).discriminator.params == array_shapes(new).discriminator.params:
        return ""
    return _describe_changes(
        changed_values(fields_of_discriminator_arrays(old), fields_of_discriminator_arrays(new))
    )


def _describe_changes(changes: dict[str, tuple[Any, Any]]) -> str:
    return ", ".join(
        f"{name} is {old} in that run and {new} in this run" for name, (old, new) in changes.items()
    )
