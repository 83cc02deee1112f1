"""The import command: networks trained elsewhere become a run at step 0 with fresh optimizers."""

from collections.abc import Callable
from pathlib import Path

import jax

from pix2pix_jax.checkpoints.reader import IMPORTED, saved_steps
from pix2pix_jax.checkpoints.store import Checkpoint, CheckpointStore
from pix2pix_jax.config.files import write_config
from pix2pix_jax.config.resolve import resolve
from pix2pix_jax.config.schema import Config, Data, replace_fields
from pix2pix_jax.errors import UsageError
from pix2pix_jax.gan.state import TrainState, create_state
from pix2pix_jax.interop.weight_file import WeightFile, name_file_in_errors, read_weights
from pix2pix_jax.runs.ownership import claim_workdir
from pix2pix_jax.runs.workdir import Workdir
from pix2pix_jax.runtime.console import say


def import_weights(
    weights: Path,
    discriminator: Path | None,
    workdir: Workdir,
    base: Config | None,
    finish: Callable[[Config], Config],
) -> int:
    """Makes a run of a generator and, if there is one, of a discriminator.

    Args:
      weights: generator: .pth or .safetensors of the PyTorch code, or .safetensors of `export`.
      discriminator: file of the discriminator; None: a fresh discriminator.
      workdir: workdir of the new run.
      base: config for everything that weights do not determine; None: the config in `weights` or
        else the PyTorch code's, without the decay of its learning rate.
      finish: replaces fields of the config, as flags do.

    Returns:
      The exit status.

    Raises:
      UsageError: a file holds something else, and what that is; the workdir holds a run.
    """
    if workdir.config_file.exists() or saved_steps(workdir):
        raise UsageError(f"--workdir: {workdir} holds a run already; give another one")
    files = [read_weights(weights, "generator")]
    with name_file_in_errors(weights):
        config = config_for_generator(files[0], base)
    if discriminator:
        files.append(read_weights(discriminator, "discriminator"))
        with name_file_in_errors(discriminator):
            config = replace_fields(config, files[1].discriminator_fields(config))
    config = resolve(finish(config))
    write_run(workdir, config, create_state_with(config, files))
    say(describe_import(workdir, config, has_discriminator=discriminator is not None))
    return 0


def config_for_generator(weights: WeightFile, base: Config | None) -> Config:
    """The config of a run with this generator.

    Args:
      weights: file of the generator.
      base: config for everything that weights do not determine; None: see `import_weights`.

    Raises:
      UsageError: the file holds no U-Net.
    """
    fields = weights.generator_fields()
    if base is None:
        base = weights.config or default_config(fields["model"]["depth"])
    return replace_fields(base, fields)


def default_config(depth: int) -> Config:
    """The config for weights of the PyTorch code, whose files hold tensors only.

    The images have the size at which the bottleneck is 1x1, as there. The learning rate does not
    decay, so that fine-tuning can take any number of steps.
    """
    return Config(data=Data(name="folder", image_size=(2**depth, 2**depth)))


def create_state_with(config: Config, files: list[WeightFile]) -> TrainState:
    """A fresh state, but with the parameters of files.

    Raises:
      UsageError: a file does not fit the config.
    """
    # Shapes alone: a config that does not fit could need any amount of memory.
    template = jax.eval_shape(lambda: create_state(config))
    params = {}
    for file in files:
        with name_file_in_errors(file.path):
            params[file.network] = file.fit_to(getattr(template, file.network).params, config.model)
    state = create_state(config)
    networks = {name: getattr(state, name).replace(params=tree) for name, tree in params.items()}
    return state.replace(**networks)  # type: ignore[attr-defined]  # flax adds `replace`


def write_run(workdir: Workdir, config: Config, state: TrainState) -> None:
    """Writes a run that every command can start from."""
    with claim_workdir(workdir):
        with CheckpointStore(workdir, config.train.keep, config.train.best_metric) as store:
            store.save(Checkpoint(state, totals={}, data=IMPORTED))
        write_config(config, workdir.config_file)


def describe_import(workdir: Workdir, config: Config, has_discriminator: bool) -> str:
    """A line about the new run and about the fields that weights do not determine."""
    data, model = config.data, config.model
    height, width = data.image_size
    return (
        f"{workdir}: {model.generator} of depth {model.depth}, {model.features} features, "
        f"{data.input_channels} to {data.target_channels} channels, {model.norm} norm; "
        f"{'' if has_discriminator else 'a fresh '}{model.discriminator} discriminator; assumed "
        f"{data.direction} at {height}x{width} with {model.dropout} dropout, which "
        "--config.data.direction, .data.image_size and .model.dropout change"
    )
