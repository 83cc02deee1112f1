"""Whether a config, the devices and a workdir fit together; refused in one line where not."""

from pathlib import Path

import jax

from pix2pix_jax.config.files import read_config
from pix2pix_jax.config.resume import changed_fields
from pix2pix_jax.config.schema import Config
from pix2pix_jax.errors import UsageError
from pix2pix_jax.runs.workdir import Workdir


def check_devices(batch_size: int) -> None:
    """Raises UsageError when a global batch cannot be shared out evenly."""
    devices = jax.device_count()
    if batch_size % devices:
        raise UsageError(
            f"data.batch_size: {batch_size} cannot be shared by {devices} devices; "
            f"make it a multiple of {devices}"
        )


def resolve_norm_images(config: Config, workdir: Workdir) -> int:
    """How many images share the statistics of a norm: as in the run so far, or on one device.

    Raises:
      UsageError: devices hold no multiple of that, or the run was started with another number.
    """
    asked, path = config.model.norm_images, workdir.config_file
    known = read_config(path).model.norm_images if path.exists() else None
    if known and asked and known != asked:
        raise UsageError(f"{path}: is of a run with another model.norm_images, {known}")
    batch, devices = config.data.batch_size, jax.device_count()
    images, held = known or asked or batch // devices, batch // devices
    if batch % images:
        raise UsageError(
            f"model.norm_images: {images} is no divisor of data.batch_size {batch}; give one"
        )
    if held % images:
        raise UsageError(
            f"model.norm_images: {images} images share the statistics of a norm, and each of "
            f"{devices} devices would hold {held}; use no more devices than {batch // images}, or "
            "a new run with model.norm=instance"
        )
    return images


def check_folder(workdir: Workdir) -> None:
    """Raises UsageError when a workdir is none."""
    if workdir.path.exists() and not workdir.path.is_dir():
        raise UsageError(f"--workdir: {workdir} is a file; give a folder, which may be a new one")


def check_workdir(workdir: Workdir, config: Config) -> None:
    """Raises UsageError when a workdir can hold no run, or, naming the fields, holds another."""
    check_folder(workdir)
    source = config.data.source and Path(config.data.source).resolve()
    if source and workdir.path.resolve().is_relative_to(source):
        raise UsageError(
            f"--workdir: {workdir} lies in data.source, where its samples would be taken for "
            "pairs; give one outside"
        )
    path, checkpoints = workdir.config_file, workdir.checkpoints
    if not path.exists() and checkpoints.is_dir() and any(checkpoints.iterdir()):
        raise UsageError(
            f"{path}: is missing, so the checkpoints beside it could be of any run; "
            "bring it back, or give another --workdir"
        )
    if path.exists():
        mend = f"undo the change, give another --workdir, or go on as it was by --workdir={workdir}"
        check_same_run(path, config, f"{mend} alone")


def check_same_run(
    path: Path, config: Config, mend: str, free: frozenset[str] = frozenset()
) -> None:
    """Raises UsageError, naming the fields, when a config.json is of a run of other numbers.

    Args:
      path: of the config.json.
      config: resolved.
      mend: the end of the message.
      free: fields that may differ besides those that a resumed run may change.
    """
    changed = [field for field in changed_fields(read_config(path), config) if field not in free]
    if changed:
        decays = " (a decaying learning rate depends on it)" if changed[-1] == "train.steps" else ""
        raise UsageError(f"{path}: is of a run with another {', '.join(changed)}{decays}; {mend}")


def check_run(workdir: Workdir, config: Config) -> None:
    """Raises UsageError where a config is not that of the run, but for the pairs it is tried on."""
    free = frozenset({"data.name", "data.synthetic_pairs", "data.synthetic_ambiguous"})
    mend = "leave out --config, and what changes these"
    check_same_run(workdir.config_file, config, mend, free)
