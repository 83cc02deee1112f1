"""The import command: makes a run at step 0 from networks that were trained elsewhere."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import jax

from pix2pix_jax.checkpoints.info import Totals
from pix2pix_jax.checkpoints.reader import IMPORTED
from pix2pix_jax.checkpoints.store import Checkpoint, CheckpointStore
from pix2pix_jax.config.fields import replace_fields
from pix2pix_jax.config.files import override, write_config
from pix2pix_jax.config.resolve import advise_size, halvings, resolve
from pix2pix_jax.config.resume import changed_fields
from pix2pix_jax.config.schema import Config
from pix2pix_jax.errors import UsageError, prefix_errors
from pix2pix_jax.gan.state import TrainState, create_state
from pix2pix_jax.interop.import_config import plan_config
from pix2pix_jax.interop.import_report import NewRun, describe_import
from pix2pix_jax.interop.pytorch.tensors import is_average
from pix2pix_jax.interop.weight_file import WeightFile
from pix2pix_jax.interop.weight_reader import read_weights
from pix2pix_jax.models.running_statistics import Statistics, is_usable
from pix2pix_jax.models.topology import DISCRIMINATORS, is_large_enough
from pix2pix_jax.runs.networks import network_fields
from pix2pix_jax.runs.ownership import claim_workdir
from pix2pix_jax.runs.restart import advise_other_workdir
from pix2pix_jax.runs.workdir import Workdir
from pix2pix_jax.runtime.console import say
from pix2pix_jax.runtime.storage.files import check_writable


@dataclass(frozen=True)
class ImportOptions:
    """The files to import, and the sources of the fields that the weights do not determine.

    Attributes:
      weights: the file of the generator: a .pth or .safetensors file of the authors' PyTorch code,
        or a .safetensors file of `export`.
      discriminator: the file of the discriminator, in one of these formats; None: the run gets a
        new discriminator.
      base: a config with the fields that the weights do not determine; None: the config in the
        file of the generator, or `default_config` for a file without a config.
      train_options: the path of the train_opt.txt of the PyTorch code, or "none"; None: the file
        with this name in the folder of the generator, if there is one.
    """

    weights: Path
    discriminator: Path | None = None
    base: Config | None = None
    train_options: str | None = None


def import_weights(options: ImportOptions, workdir: Workdir, fields: dict[str, str]) -> None:
    """Makes a run from a generator and maybe a discriminator, with new optimizers.

    Fields that the weights do not determine come from `fields`, from the fields of `options.base`
    that differ from their defaults, from the train_opt.txt of the PyTorch code, and else from a
    guess, in this order.

    Args:
      options: the files, and the sources of the fields.
      workdir: the workdir of the new run.
      fields: new values of fields of the config, as in `config.files.override`.

    Raises:
      UsageError: a file does not contain its network, the networks do not fit each other or the
        fields, the value of a field is not valid, or the workdir already has a run.
    """
    if workdir.config_file.exists() or workdir.checkpoint_steps():
        raise UsageError(f"--workdir: {workdir} already has a run", advise_other_workdir(workdir))
    if "train.init" in fields:
        raise UsageError(
            "--config.train.init: an imported run starts from the weights of its file",
            "leave out this flag",
        )
    check_writable(workdir.path)
    weights, base = options.weights, options.base
    files = [read_weights(weights, "generator")]
    if options.discriminator:
        files.append(read_weights(options.discriminator, "discriminator"))
    planned = plan_config(weights, files, base, options.train_options)
    config = planned.config
    # The weights come from the file, even if the run that exported them started from another run.
    changed = replace_fields(override(config, fields), {"train": {"init": None}})
    check_image_size(changed, options)
    with explain_fields(weights, has_own_config=base is None and files[0].config is not None):
        changed = resolve(changed)
    with explain_changed_network(config, fields):
        state = create_state_with(changed, files)
        statistics = collect_statistics(changed, state, files)
    write_run(workdir, changed, state, statistics)
    new_run = NewRun(workdir, changed, planned, files, flags=fields.keys())
    for line in describe_import(new_run):
        say(line)


def check_image_size(config: Config, options: ImportOptions) -> None:
    """Checks that data.image_size fits the depth of the generator and the imported discriminator.

    `resolve` and `make_discriminator` check this, too. But their errors suggest other networks, and
    the weights determine the networks.

    Args:
      config: a config with the depth of the generator.
      options: the files.

    Raises:
      UsageError: the sides of the images are not multiples of 2**depth, or are too small for the
        discriminator.
    """
    (height, width), depth = config.data.image_size, config.model.depth
    assert depth is not None  # the weights determine the depth
    if halvings(height, width) < depth:
        raise UsageError(
            f"data.image_size: {height}x{width} cannot be halved {depth} times, as the generator "
            f"in {options.weights} requires",
            advise_size(height, width, depth),
        )
    name = config.model.discriminator
    if options.discriminator and not is_large_enough(DISCRIMINATORS[name], height, width):
        raise UsageError(
            f"data.image_size: {height}x{width} is too small for {name}, the discriminator in "
            f"{options.discriminator}",
            "give a larger --config.data.image_size, or leave out --discriminator",
        )


@contextmanager
def explain_fields(weights: Path, has_own_config: bool) -> Iterator[None]:
    """Extends the fix of a UsageError: says that fields without a flag come from a file's config.

    Args:
      weights: the file of the generator.
      has_own_config: whether the run has the config in this file; if not, errors stay unchanged.
    """
    try:
        yield
    except UsageError as error:
        if not has_own_config:
            raise
        raise UsageError(
            error.problem,
            f"{error.fix}; fields without a flag keep the values of the config in {weights}",
        ) from error


@contextmanager
def explain_changed_network(config: Config, fields: dict[str, str]) -> Iterator[None]:
    """Names the flags to leave out if the `with` block finds that weights do not fit the config.

    Args:
      config: the config without the flags.
      fields: the values that the flags give to fields, as in `import_weights`.
    """
    changed = changed_fields(config, override(config, fields))
    names = network_fields() & fields.keys()
    flags = [f"--config.{name}" for name in changed if name in names]
    try:
        yield
    except UsageError as error:
        if not flags:
            raise
        raise UsageError(error.problem, f"leave out {' and '.join(flags)}") from error


def create_state_with(config: Config, files: list[WeightFile]) -> TrainState:
    """A new state with the parameters that files contain.

    Args:
      config: a resolved config.
      files: the file of the generator, and maybe the file of the discriminator.

    Raises:
      UsageError: a file does not fit the config.
    """
    # The template has no arrays, because arrays of a wrong config could fill the memory.
    template = jax.eval_shape(lambda: create_state(config))
    params = {}
    for file in files:
        with prefix_errors(file.path):
            params[file.network] = file.fit_to(getattr(template, file.network).params, config.model)
    state = create_state(config)
    networks = {name: replace(getattr(state, name), params=tree) for name, tree in params.items()}
    return replace(state, **networks)


def collect_statistics(
    config: Config, state: TrainState, files: list[WeightFile]
) -> dict[str, Statistics]:
    """The running statistics of the networks whose files have usable ones.

    Args:
      config: a resolved config.
      state: the state with the parameters of the files.
      files: the files of the networks.

    Raises:
      UsageError: a file has running statistics for a part of its norms.
    """
    found = {}
    for file in files:
        with prefix_errors(file.path):
            statistics = file.statistics(getattr(state, file.network).params, config.model)
        if statistics is not None and is_usable(statistics):
            found[file.network] = statistics
        elif statistics is not None:
            say(
                f"WARNING: {file.path}: a running average of its norms is not finite, or a "
                "variance is negative, so all are left out"
            )
        elif file.config is None and any(map(is_average, file.tensors)):
            say(
                f"{file.path}: its running averages are left out, because they do not belong to "
                "batch norms with scales (affine=True)"
            )
    return found


def write_run(
    workdir: Workdir,
    config: Config,
    state: TrainState,
    statistics: dict[str, Statistics] | None = None,
) -> None:
    """Writes config.json and the first checkpoint of a run.

    Args:
      workdir: the workdir of the run.
      config: its resolved config.
      state: its state.
      statistics: the running statistics of its networks, as in `Checkpoint`.
    """
    with claim_workdir(workdir):
        with CheckpointStore(workdir, config.train.keep, config.train.best_metric) as store:
            store.save(Checkpoint(state, Totals(), IMPORTED, statistics=statistics or {}))
        write_config(config, workdir.config_file)
