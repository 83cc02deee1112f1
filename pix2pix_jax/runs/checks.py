"""Checks that a config fits the devices, the workdir and its run, before a command works on it."""

import shlex
from pathlib import Path

import jax

from pix2pix_jax.config.fields import replace_fields
from pix2pix_jax.config.files import read_config
from pix2pix_jax.config.initial_run import InitialRun
from pix2pix_jax.config.resolve import resolve
from pix2pix_jax.config.resume import changed_fields
from pix2pix_jax.config.schema import Config
from pix2pix_jax.errors import UsageError
from pix2pix_jax.runs.restart import advise_new_run, advise_other_workdir, shorten
from pix2pix_jax.runs.workdir import Workdir
from pix2pix_jax.runtime.device_count import advise_devices

# A run may be evaluated on pairs of another dataset. In an evaluation, these fields may therefore
# differ from the config of the run.
EVALUATION_FIELDS = frozenset(
    {"data.name", "data.synthetic_pairs", "data.synthetic_ambiguous", "data.max_pairs"}
)


def check_devices(batch_size: int, is_resumed: bool = False) -> None:
    """Checks that the devices can share a batch evenly.

    Args:
      batch_size: the number of images in a batch, over all devices.
      is_resumed: whether the batch belongs to a run that exists, and so cannot change.

    Raises:
      UsageError: the batch size is not a multiple of the number of devices.
    """
    devices = jax.device_count()
    if batch_size % devices:
        fix = advise_devices(max(n for n in range(1, devices) if batch_size % n == 0))
        if not is_resumed:
            fix += f", or give --config.data.batch_size a multiple of {devices}"
        raise UsageError(
            f"data.batch_size: {batch_size} is not divisible by {devices} devices", fix
        )


def resolve_norm_images(config: Config, workdir: Workdir) -> int:
    """Decides how many images share the statistics of a normalization layer.

    A resumed run keeps its number on any number of devices, because another number would change the
    algorithm. A new run takes model.norm_images, or else the number of images on each device.

    Args:
      config: the config, in which model.norm_images may be None.
      workdir: the workdir of the run, which need not exist yet.

    Returns:
      The number of images.

    Raises:
      UsageError: the run has another model.norm_images than the config, or the number of images in
        a batch or on a device is not a multiple of model.norm_images.
    """
    path = workdir.config_file
    run_images = read_config(path).model.norm_images if path.exists() else None
    config_images = config.model.norm_images
    if run_images and config_images and run_images != config_images:
        raise UsageError(
            f"{path}: belongs to a run with another model.norm_images, {run_images}",
            f"give --config.model.norm_images={run_images}, or {advise_new_run(workdir, config)}",
        )
    batch_size, devices = config.data.batch_size, jax.device_count()
    images_per_device = batch_size // devices
    images = run_images or config_images or images_per_device
    if batch_size % images:
        raise UsageError(
            f"model.norm_images: data.batch_size {batch_size} is not divisible by {images}",
            f"give --config.model.norm_images a divisor of {batch_size}",
        )
    if images_per_device % images:
        fewer = max(n for n in range(1, devices) if batch_size % (n * images) == 0)
        instance = replace_fields(config, {"model": {"norm": "instance", "norm_images": None}})
        raise UsageError(
            f"model.norm_images: {images} images share the statistics of a norm, but each of "
            f"{devices} devices has {images_per_device} of a batch",
            f"{advise_devices(fewer)}, or {advise_new_run(workdir, instance)}",
        )
    return images


def resolve_init(config: Config, workdir: Workdir) -> Config:
    """Decides train.init of the run in a workdir. A resumed run keeps its recorded train.init.

    Args:
      config: the resolved config.
      workdir: the workdir of the run, which need not exist yet.

    Raises:
      UsageError: the run would start from itself, or has started from another run.
    """
    given = None if config.train.init is None else InitialRun.parse(config.train.init)
    if workdir.config_file.exists():
        recorded = read_config(workdir.config_file).train.init
        if given is None or given.is_start_of(recorded):
            return replace_fields(config, {"train": {"init": recorded}})
        start = shorten(recorded, workdir) if recorded else "random weights"
        raise UsageError(
            f"--init: {workdir.config_file} belongs to a run that started from {start}",
            f"leave out --init to resume this run, or {advise_other_workdir(workdir)}",
        )
    if given and given.is_start_of(workdir.location):
        raise UsageError(
            f"--init: {shorten(given.location, workdir)} is the --workdir itself, and has no run",
            "give the workdir of another run",
        )
    return config


def check_folder(workdir: Workdir) -> None:
    """Raises UsageError if the path of a workdir is a file."""
    if workdir.path.exists() and not workdir.path.is_dir():
        raise UsageError(
            f"--workdir: {workdir} is a file", "give a folder, which need not exist yet"
        )


def check_workdir(workdir: Workdir, config: Config) -> None:
    """Checks that a run of a config can start or resume in a workdir.

    Args:
      workdir: the workdir of the run, which need not exist yet.
      config: the resolved config.

    Raises:
      UsageError: the workdir is a file, is inside data.source, has checkpoints but no config, has a
        config.json that cannot be read, or belongs to a run with another value of a field that
        changes the results.
    """
    check_folder(workdir)
    source = config.data.source and Path(config.data.source).resolve()
    if source and workdir.path.resolve().is_relative_to(source):
        raise UsageError(
            f"--workdir: {workdir} is inside data.source, where its sample images would be read as "
            "pairs",
            "give a folder outside data.source",
        )
    path, checkpoints = workdir.config_file, workdir.checkpoints_folder
    if not path.exists() and checkpoints.is_dir() and any(checkpoints.iterdir()):
        raise UsageError(
            f"{path}: is missing, so the config of the checkpoints there is unknown",
            "restore the file, or give another --workdir",
        )
    if path.exists():
        fix = (
            f"to resume with the run's own config, give --workdir={shlex.quote(workdir.location)} "
            f"alone, or {advise_new_run(workdir, config)}"
        )
        check_config_unchanged(path, config, fix)


def check_config_unchanged(
    path: Path, config: Config, fix: str, also_free: frozenset[str] = frozenset()
) -> None:
    """Checks that a config.json and a config belong to the same run.

    Args:
      path: the path of the config.json.
      config: the resolved config.
      fix: the end of the error line, which tells the user what to do.
      also_free: fields that may differ, in addition to the fields that a resumed run may change.

    Raises:
      UsageError: fields that change the results differ, or config.json cannot be read. The message
        names the fields or the file.
    """
    changed = [
        field for field in changed_fields(read_config(path), config) if field not in also_free
    ]
    if changed:
        hint = " (the learning rate decays over train.steps)" if "train.steps" in changed else ""
        raise UsageError(f"{path}: belongs to a run with another {', '.join(changed)}{hint}", fix)


def resolve_run_config(workdir: Workdir, config: Config) -> Config:
    """Resolves a config, and checks that the config belongs to a run.

    The config may name another dataset to evaluate the run on.

    Args:
      workdir: the workdir of the run.
      config: the config to check.

    Returns:
      The resolved config.

    Raises:
      UsageError: fields of the config contradict each other, a field that changes the results
        differs from the config of the run, or the workdir has no run. EVALUATION_FIELDS may differ.
    """
    config = resolve(config)
    if config.train.epochs is not None:  # The run knows the number of steps.
        steps = read_config(workdir.config_file).train.steps
        config = replace_fields(config, {"train": {"steps": steps, "epochs": None}})
    fix = "leave out --config and the flags that change these fields"
    check_config_unchanged(workdir.config_file, config, fix, EVALUATION_FIELDS)
    return config
