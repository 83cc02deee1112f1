"""Finds the running statistics of a trained network: kept from its file, or estimated from pairs.

`models.running_statistics` says what running statistics are.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice

from pix2pix_jax.checkpoints.reader import IMPORTED, read_network, read_statistics
from pix2pix_jax.config.files import read_config
from pix2pix_jax.config.resolve import resolve
from pix2pix_jax.config.schema import Config
from pix2pix_jax.data.fingerprint import dataset_fingerprint
from pix2pix_jax.data.images.pixels import check_channels
from pix2pix_jax.data.pipeline import make_image_batches
from pix2pix_jax.data.prepare import check_source, is_local, prepare
from pix2pix_jax.data.records import open_split
from pix2pix_jax.errors import UsageError
from pix2pix_jax.gan.networks import NetworkName, make_generator
from pix2pix_jax.gan.running_statistics import estimate_statistics
from pix2pix_jax.models.running_statistics import Statistics, is_usable
from pix2pix_jax.runs.workdir import Workdir
from pix2pix_jax.runtime.console import some_of

MAX_PAIRS = 400  # the number of pairs of an estimate, if the split for training has as many
STATISTICS_FLAG = "--running_statistics"


@dataclass(frozen=True)
class StatisticsOptions:
    """How the running statistics are found.

    Attributes:
      num_pairs: the number of training pairs to estimate them from, rounded up to whole batches;
        None: those of the imported file if the network has not been trained since, or else an
        estimate from MAX_PAIRS.
      use_dropout: whether the generator has dropout in an estimate, as in training.
      may_download: whether the training pairs of a public dataset may be downloaded.
    """

    num_pairs: int | None = None
    use_dropout: bool = True
    may_download: bool = True


@dataclass(frozen=True)
class FoundStatistics:
    """The running statistics of a network, and where they come from, in words."""

    values: Statistics
    source: str


class NoStatistics(UsageError):
    """The running statistics of a network cannot be found."""


def find_statistics(
    workdir: Workdir,
    config: Config,
    step: int,
    network: NetworkName,
    options: StatisticsOptions,
) -> FoundStatistics:
    """Finds the running statistics of a network of a checkpoint.

    Args:
      workdir: the workdir of the run.
      config: the resolved config of the run; data.source may differ.
      step: the step of the checkpoint.
      network: the network.
      options: how to find them.

    Raises:
      NoStatistics: the network has no batch norms, or the training pairs cannot be read.
      UsageError: the checkpoint is damaged.
    """
    problem = f"{STATISTICS_FLAG}: only batch norms with scales have running averages, but model."
    if config.model.norm != "batch":
        raise NoStatistics(
            f"{problem}norm is {config.model.norm}",
            f"leave out {STATISTICS_FLAG}; `translate --no_dropout` translates as `test.py --eval`",
        )
    if not config.model.norm_affine:
        raise NoStatistics(f"{problem}norm_affine is False", f"leave out {STATISTICS_FLAG}")
    if options.num_pairs is None:
        params = read_network(workdir, config, step, network).params
        if kept := find_kept(workdir, step, network, params):
            return kept
    return _estimate(workdir, config, step, network, options)


def _estimate(
    workdir: Workdir,
    config: Config,
    step: int,
    network: NetworkName,
    options: StatisticsOptions,
) -> FoundStatistics:
    """Estimates the running statistics from training pairs. Args as in `find_statistics`."""
    generator = read_network(workdir, config, step)
    records = open_training_pairs(workdir, config, generator.fingerprint, options.may_download)
    params = {"generator": generator.params}
    if network == "discriminator":
        params["discriminator"] = read_network(workdir, config, step, network).params
    # The number of images that shared statistics in training. An imported run does not know it.
    images = config.model.norm_images or config.data.batch_size
    num_batches = -(-min(options.num_pairs or MAX_PAIRS, len(records)) // images)
    config = replace(
        config,
        data=replace(config.data, batch_size=images),
        train=replace(config.train, dtype="float32"),
    )
    batches = islice(iter(make_image_batches(config, records)), num_batches)
    estimated = estimate_statistics(config, params, batches, options.use_dropout)
    if not is_usable(estimated[network]):
        raise NoStatistics(
            f"{STATISTICS_FLAG}: an average of the {network} is not a finite number; a norm with a "
            "single value of each channel in a batch, for example, has no variance",
            f"leave out {STATISTICS_FLAG}",
        )
    # The last batch may repeat pairs, if there are no others.
    num_pairs = min(num_batches * images, len(records))
    source = f"running averages estimated from {some_of(num_pairs, len(records), 'training pair')}"
    has_dropout = any(layer.has_dropout for layer in make_generator(config).layers)
    if config.model.dropout and has_dropout:
        source += f" {'with' if options.use_dropout else 'without'} dropout"
    return FoundStatistics(estimated[network], source)


def find_kept(
    workdir: Workdir, step: int, network: NetworkName, params: dict
) -> FoundStatistics | None:
    """The running statistics that a network had in the file that it was imported from.

    Args:
      workdir: the workdir of the run.
      step: the step of the checkpoint.
      network: the network.
      params: the parameters of the network.

    Returns:
      The running statistics; None if the file had none, or the network has been trained since.
    """
    kept = read_statistics(workdir, step, network, params)
    return FoundStatistics(kept, "running averages of the imported file") if kept else None


def open_training_pairs(
    workdir: Workdir, config: Config, fingerprint: str, may_download: bool
) -> Sequence[dict]:
    """Opens the records of the pairs that a run was trained on.

    A command may name other pairs than the run was trained on, to evaluate them. Then the pairs
    are those of the run's own config.

    Args:
      workdir: the workdir of the run.
      config: the resolved config of the command.
      fingerprint: the fingerprint of the training pairs; IMPORTED: any pairs will do.
      may_download: as in StatisticsOptions.

    Raises:
      NoStatistics: the pairs cannot be read, or have changed since the training.
    """
    own = resolve(read_config(workdir.config_file))
    max_pairs = config.data.max_pairs if fingerprint == IMPORTED else own.data.max_pairs
    for data in dict.fromkeys((config.data, own.data)):
        try:
            check_channels(data)
            check_source(data)  # before `prepare` makes folders
            dataset = prepare(data) if may_download or is_local(data) else None
        except UsageError as error:
            problem = f"{error.problem}, but running averages are estimated from training pairs"
            raise NoStatistics(problem, error.fix) from error
        if dataset is None:
            raise NoStatistics(
                f"data.name: the pairs of {data.name} are not on this machine",
                f"give {STATISTICS_FLAG} to download them",
            )
        is_of_run = fingerprint in (IMPORTED, dataset_fingerprint(dataset))
        if is_of_run and "train" in dataset.info.splits:
            return open_split(dataset, "train", max_pairs)
    raise NoStatistics(
        f"data.source: {config.data.source or dataset.data_dir} does not have the pairs that "
        f"{workdir} was trained on",
        "give --config.data.source=FOLDER with the training pairs",
    )
