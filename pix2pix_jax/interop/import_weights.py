"""The import command: makes a run at step 0 of networks that were trained elsewhere."""

from dataclasses import replace
from pathlib import Path

import jax

from pix2pix_jax.checkpoints.info import Totals
from pix2pix_jax.checkpoints.reader import IMPORTED, saved_steps
from pix2pix_jax.checkpoints.store import Checkpoint, CheckpointStore
from pix2pix_jax.config.files import override, write_config
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
    fields: dict[str, str],
) -> None:
    """Makes a run of a generator and maybe a discriminator, with new optimizers.

    Args:
      weights: file of the generator: .pth or .safetensors of the PyTorch code, or .safetensors of
        `export`.
      discriminator: file of the discriminator, in the same formats; None: a new discriminator.
      workdir: workdir of the new run.
      base: config for the fields that the weights do not determine; None: the config in `weights`,
        or `default_config` if there is none.
      fields: new values of fields of the config, as in `config.files.override`.

    Raises:
      UsageError: a file does not hold such a network, a value is refused, or the workdir holds a
        run.
    """
    if workdir.config_file.exists() or saved_steps(workdir):
        raise UsageError(f"--workdir: {workdir} holds a run already; give another folder")
    files = [read_weights(weights, "generator")]
    with name_file_in_errors(weights):
        config = config_for_generator(files[0], base)
    if discriminator:
        files.append(read_weights(discriminator, "discriminator"))
        with name_file_in_errors(discriminator):
            config = replace_fields(config, files[1].discriminator_fields(config))
    config = resolve(override(config, fields))
    write_run(workdir, config, create_state_with(config, files))
    say(describe_import(workdir, config, has_discriminator=discriminator is not None))


def config_for_generator(weights: WeightFile, base: Config | None) -> Config:
    """The config of a run with this generator.

    Args:
      weights: file of the generator.
      base: as in `import_weights`.

    Raises:
      UsageError: the file does not hold a U-Net.
    """
    fields = weights.generator_fields()
    if base is None:
        base = weights.config or default_config(fields["model"]["depth"])
    return replace_fields(base, fields)


def default_config(depth: int) -> Config:
    """The config for weights of the PyTorch code, whose files hold no config.

    Images have the size at which the bottleneck is 1x1, as in the PyTorch code. The learning rate
    does not decay, so that fine-tuning can take any number of steps.

    Args:
      depth: the depth of the generator.
    """
    return Config(data=Data(name="folder", image_size=(2**depth, 2**depth)))


def create_state_with(config: Config, files: list[WeightFile]) -> TrainState:
    """A new state with the parameters in files.

    Args:
      config: resolved.
      files: the file of the generator, and maybe that of the discriminator.

    Raises:
      UsageError: a file does not fit the config.
    """
    # Only shapes, as a network that the files do not fit could need any amount of memory.
    template = jax.eval_shape(lambda: create_state(config))
    params = {}
    for file in files:
        with name_file_in_errors(file.path):
            params[file.network] = file.fit_to(getattr(template, file.network).params, config.model)
    state = create_state(config)
    networks = {name: replace(getattr(state, name), params=tree) for name, tree in params.items()}
    return replace(state, **networks)


def write_run(workdir: Workdir, config: Config, state: TrainState) -> None:
    """Writes config.json and the first checkpoint of a run."""
    with claim_workdir(workdir):
        with CheckpointStore(workdir, config.train.keep, config.train.best_metric) as store:
            store.save(Checkpoint(state, Totals(), data=IMPORTED))
        write_config(config, workdir.config_file)


def describe_import(workdir: Workdir, config: Config, has_discriminator: bool) -> str:
    """A line about the new run, and about the fields that the weights do not determine."""
    data, model = config.data, config.model
    height, width = data.image_size
    return (
        f"{workdir}: {model.generator} of depth {model.depth}, {model.features} features, "
        f"{data.input_channels} to {data.target_channels} channels, {model.norm} norm; "
        f"{'' if has_discriminator else 'a new '}{model.discriminator} discriminator; assumed: "
        f"{data.direction}, {height}x{width} images (height x width), {model.dropout} dropout; if "
        "that is wrong, import again with --config.data.direction, --config.data.image_size or "
        "--config.model.dropout"
    )
