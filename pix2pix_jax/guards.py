"""What can end a run before its last step, each told in one line: UsageError, or a signal."""

import itertools
import json
import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import jax
from jax.experimental import multihost_utils

from pix2pix_jax.checkpoint_reader import saved_steps
from pix2pix_jax.config import Config, UsageError, changed_fields, reason_of, resolve
from pix2pix_jax.config_files import Sweep, read_config
from pix2pix_jax.files import locked
from pix2pix_jax.lease import leased


class Occupied(UsageError):
    """Another process is at work where this one was sent."""


def check_devices(batch_size: int) -> None:
    """Raises UsageError when a global batch cannot be shared out evenly."""
    devices = jax.device_count()
    if batch_size % devices:
        raise UsageError(
            f"data.batch_size: {batch_size} cannot be shared by {devices} devices; "
            f"make it a multiple of {devices}"
        )


def norm_images(config: Config, workdir: Path) -> int:
    """How many images share the statistics of a norm: as in the run so far, or on one device.

    Raises:
      UsageError: devices hold no multiple of that, or the run was started with another number.
    """
    asked, path = config.model.norm_images, workdir / "config.json"
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


def check_folder(workdir: Path) -> None:
    """Raises UsageError when a workdir is none."""
    if workdir.exists() and not workdir.is_dir():
        raise UsageError(f"--workdir: {workdir} is a file; give a folder, which may be a new one")


def check_workdir(workdir: Path, config: Config) -> None:
    """Raises UsageError when a workdir can hold no run, or, naming the fields, holds another."""
    check_folder(workdir)
    source = config.data.source and Path(config.data.source).expanduser().resolve()
    if source and workdir.resolve().is_relative_to(source):
        raise UsageError(
            f"--workdir: {workdir} lies in data.source, where its samples would be taken for "
            "pairs; give one outside"
        )
    path, checkpoints = workdir / "config.json", workdir / "checkpoints"
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


def check_run(workdir: Path, config: Config) -> None:
    """Raises UsageError where a config is not that of the run, but for the pairs it is tried on."""
    free = frozenset({"data.name", "data.synthetic_pairs", "data.synthetic_ambiguous"})
    mend = "leave out --config, and what changes these"
    check_same_run(workdir / "config.json", config, mend, free)


def check_runs(plan: Sweep, workdir: Path) -> None:
    """Raises UsageError where what is there is not of this sweep, before a table is lost."""
    if (workdir / "config.json").exists():
        raise UsageError(f"{workdir}: is the workdir of a run; give the sweep another --workdir")
    title = plan.title
    with suppress(FileNotFoundError, ValueError, KeyError, TypeError):  # none yet, or damaged
        title = json.loads((workdir / "results.json").read_bytes())["title"]
    if title != plan.title:
        raise UsageError(
            f"{workdir}/results.json: is of another sweep, {title!r}; give this one another "
            "--workdir, or move that away"
        )
    for name, config in plan.variants:
        path = workdir / name / "config.json"
        try:
            config = resolve(config)
            read_config(path)
        except UsageError:  # not there yet; or told as failed, once it is tried
            continue
        mend = "undo the change, or give the sweep another --workdir"
        check_same_run(path, config, mend)
        steps = saved_steps(path.parent)
        if steps and steps[-1] > config.train.steps and config.train.steps not in steps:
            raise UsageError(
                f"{path}: is of a run that has come to step {steps[-1]}, beyond train.steps; {mend}"
            )


@contextmanager
def owned(workdir: Path) -> Iterator[None]:
    """Raises Occupied when another process trains in the workdir."""
    with one_trains(workdir), locked(workdir, wait=False) as flocked, leased(workdir, flocked):
        yield


@contextmanager
def one_trains(workdir: Path | str) -> Iterator[None]:
    """Raises Occupied where what would lock the workdir finds it locked."""
    try:
        yield
    except BlockingIOError as error:
        raise Occupied(
            f"{workdir}: another process trains in it; wait for that, or give another --workdir"
        ) from error


@contextmanager
def memory_errors(
    mend: str = "data.batch_size, data.image_size or model.features: too large",
) -> Iterator[None]:
    """Raises UsageError, naming what to make smaller, when a device has no memory left."""
    try:
        yield
    except (jax.errors.JaxRuntimeError, MemoryError) as error:
        full = "RESOURCE_EXHAUSTED|[Oo]ut of memory"
        if not (isinstance(error, MemoryError) or re.search(full, str(error))):
            raise
        device = jax.devices()[0].device_kind
        raise UsageError(f"{mend} for the memory of {device} ({reason_of(error)})") from error


@contextmanager
def caught_signals() -> Iterator[Callable[[], int]]:
    """Catches the first SIGTERM or SIGINT; a later one ends the process at once.

    Of several processes each hears of one that any of them got. There, JAX has its own handler of
    SIGTERM, and calculates a call that none of them has come to yet.

    Yields:
      stopping(): the signal after which the run is to be saved and stopped at this step, or 0. To
      be asked after every call to the devices, by all processes.
    """
    calls = itertools.count()  # one by one, as JAX waits for just that one
    caught: list[int] = []
    times: list[float] = []
    several = jax.distributed.is_initialized()

    def catch(number: int, frame: object) -> None:
        times.append(time.monotonic())
        if not caught:
            caught.append(number)
            with suppress(OSError):  # nobody may be watching; `print` is not for handlers
                os.write(1, b"stopping after this step, to save it; once more stops at once\n")
            if several:
                signal.raise_signal(signal.SIGTERM)  # which JAX hears, and tells the others
        elif times[-1] - times[0] > 1:  # `make` and process groups send the first one twice
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)

    def stopping() -> int:
        if several and multihost_utils.reached_preemption_sync_point(next(calls)):
            caught.append(signal.SIGTERM)
            signal.signal(signal.SIGTERM, catch)  # of which JAX has no more use
            return caught[0]
        return 0 if several or not caught else caught[0]

    numbers = (signal.SIGINT,) if several else (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, catch) for number in numbers}
    try:
        yield stopping
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
