"""Checks and prepares the config and the dataset, before training claims the workdir."""

from dataclasses import replace

import numpy as np
from tensorflow_datasets.core import DatasetBuilder

from pix2pix_jax.config.fields import replace_fields
from pix2pix_jax.config.resolve import resolve, resolve_epochs
from pix2pix_jax.config.schema import Config
from pix2pix_jax.data.fingerprint import dataset_fingerprint
from pix2pix_jax.data.images.pixels import check_channels
from pix2pix_jax.data.prepare import check_source, prepare
from pix2pix_jax.data.records import count_pairs
from pix2pix_jax.errors import UsageError
from pix2pix_jax.runs.checks import check_devices, resolve_init, resolve_norm_images
from pix2pix_jax.runs.workdir import Workdir
from pix2pix_jax.runtime import distributed


def prepare_config(config: Config, workdir: Workdir) -> Config:
    """Resolves a config, and checks it against the devices and against all other processes.

    Args:
      config: the config of an experiment.
      workdir: the workdir of the run. If it has a run, its config.json decides model.norm_images
        and train.init.

    Returns:
      The resolved config.

    Raises:
      UsageError: a field is wrong, data.source does not exist, or the processes have different
        configs. The message names the field or flag.
    """
    config = resolve(config)
    check_channels(config.data)
    # Paths may differ between hosts.
    without_paths = replace(
        config,
        data=replace(config.data, source=None, data_dir=""),
        train=replace(config.train, init=None),
    )
    distributed.check_same_on_all("--config", repr(without_paths))
    check_devices(config.data.batch_size, is_resumed=workdir.config_file.exists())
    if distributed.is_first():
        # The checks of the workdir come later, because their errors print commands with the source.
        check_source(config.data)
        config = resolve_init(config, workdir)
    if config.model.norm != "batch":
        return config
    images = resolve_norm_images(config, workdir) if distributed.is_first() else 0
    images = int(distributed.broadcast_from_first(np.int32(images)))
    return replace_fields(config, {"model": {"norm_images": images}})


def resolve_length(config: Config, dataset: DatasetBuilder) -> Config:
    """Turns train.epochs into train.steps, for the training pairs of a prepared dataset.

    Raises:
      UsageError: the number of steps is too large.
    """
    return resolve_epochs(config, count_pairs(dataset, "train", config.data.max_pairs))


def prepare_dataset(config: Config) -> DatasetBuilder:
    """Prepares the dataset of a config, or opens the dataset if it is prepared already.

    Raises:
      UsageError: the source cannot be read, has no pairs to train on, or differs between
        processes.
    """
    # The first process prepares the dataset. Processes on the same disk then only open the dataset.
    with distributed.first_process_first("prepare"):
        dataset = prepare(config.data)
    if "train" not in dataset.info.splits:
        raise UsageError(
            f"data.source: {config.data.source} has no images to train on",
            f"put images into {config.data.source}/train/",
        )
    distributed.check_same_on_all("data.data_dir", dataset_fingerprint(dataset))
    return dataset
