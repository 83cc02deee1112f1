"""The commands that start a new run from the weights of a run. Error lines print these commands."""

import shlex
from contextlib import suppress
from pathlib import Path
from typing import Any

from pix2pix_jax.config.fields import changed_values, field_values, format_value
from pix2pix_jax.config.files import read_config
from pix2pix_jax.config.initial_run import InitialRun
from pix2pix_jax.config.schema import Config
from pix2pix_jax.errors import UsageError
from pix2pix_jax.runs.networks import fits_generator
from pix2pix_jax.runs.workdir import Workdir
from pix2pix_jax.runtime.storage.files import is_address


def user_changes(old: Config, new: Config) -> dict[str, tuple[Any, Any]]:
    """The old and the new value of every field that the user changed between two configs."""
    values = changed_values(field_values(old), field_values(new))
    length = "train.epochs" if new.train.epochs is None else "train.steps"
    left_out = {"train.init", "train.num_pairs", length}
    if new.model.norm_images is None:  # The new run decides this number itself.
        left_out.add("model.norm_images")
    return {name: pair for name, pair in values.items() if name not in left_out}


def format_flag(field: str, value: Any) -> str:
    """A field and its value as a flag, such as --config.data.image_size=256,512."""
    return f"--config.{field}={format_value(value)}"


def shorten(location: str, workdir: Workdir) -> str:
    """A path for a line: relative to the current folder if the user gives --workdir that way, too.

    A config has absolute paths, so that a run can resume from any folder. A path outside the
    current folder stays absolute.

    Args:
      location: an absolute path, or an address.
      workdir: the workdir of the command.
    """
    if workdir.address is None and not workdir.path.is_absolute() and not is_address(location):
        with suppress(ValueError):  # The path is outside the current folder.
            return str(Path(location).relative_to(Path.cwd()))
    return location


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
    changes = user_changes(read_config(workdir.config_file), config)
    values = {name: new for name, (_, new) in changes.items()}
    if source := values.get("data.source"):
        values["data.source"] = shorten(source, workdir)
    flags = [format_flag(name, value) for name, value in values.items()]
    start = InitialRun(workdir.location) if step is None else InitialRun(workdir.location, step)
    command = ["pix2pix", "train", f"--init={start}", f"--workdir={next_location(workdir)}", *flags]
    return f"`{shlex.join(command)}`"


def advise_new_run(workdir: Workdir, config: Config) -> str:
    """The end of an error line: how to start a new run of a config that a run cannot resume.

    Args:
      workdir: the workdir of the run.
      config: the resolved config.
    """
    if can_start_new_run(workdir, config):
        return f"continue from its weights in a new run with {init_command(workdir, config)}"
    return advise_other_workdir(workdir)


def advise_other_workdir(workdir: Workdir) -> str:
    """The end of an error line: the proposal of `next_location`."""
    return f"give another --workdir, such as --workdir={shlex.quote(next_location(workdir))}"


def can_start_new_run(workdir: Workdir, config: Config) -> bool:
    """Whether a new run of a config can start from the weights of a run."""
    try:
        return bool(workdir.checkpoint_steps()) and fits_generator(
            read_config(workdir.config_file), config
        )
    except (UsageError, OSError):  # The run's own files are damaged, or no U-Net fits this size.
        return False
