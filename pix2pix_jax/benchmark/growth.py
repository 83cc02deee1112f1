"""Measures how the time of a step grows with the batch, the image size or the number of devices."""

from collections.abc import Iterator
from functools import partial
from typing import Any

from pix2pix_jax.benchmark.choices import SWEEPS
from pix2pix_jax.benchmark.comparison import Turns, compare
from pix2pix_jax.benchmark.environment import worker_environment
from pix2pix_jax.benchmark.peers import (
    check_peers_can_train,
    count_devices,
    find_mismatches,
    find_other_devices,
)
from pix2pix_jax.benchmark.results import OURS, Measurements, add_ratios
from pix2pix_jax.benchmark.worker import WorkerTarget
from pix2pix_jax.config.fields import replace_fields
from pix2pix_jax.config.resolve import resolve
from pix2pix_jax.config.schema import Config
from pix2pix_jax.errors import UsageError
from pix2pix_jax.reports.benchmark_tables import format_result
from pix2pix_jax.runtime.console import say


def run_sweep(
    config: Config,
    sweep: str,
    targets: dict[str, WorkerTarget],
    turns: Turns,
    reference: Measurements,
) -> Iterator[dict[str, Any]]:
    """Times a config with several batch sizes, image sizes or numbers of devices, one by one.

    Args:
      config: a resolved config.
      sweep: a name in SWEEPS.
      targets: the implementations to time; the sweep "devices" times only our implementation.
      turns: how often and how long each implementation is timed.
      reference: the measurements of `config`, so that `config` need not be timed again.

    Yields:
      For each value in SWEEPS[sweep], {sweep: value, "implementations": measurements}. If a value
      cannot be timed, `failed` in its measurements says why.
    """
    if sweep == "devices":
        targets = {OURS: targets[OURS]}
    for value in SWEEPS[sweep]:
        if sweep == "devices":
            devices, find_problems = value, partial(find_other_devices, value)
        else:
            devices, find_problems = count_devices(targets), find_mismatches
        with worker_environment(devices) as environment:
            try:
                point = vary(config, sweep, value)
                if len(targets) > 1:
                    check_peers_can_train(point)
                if point == config and not find_problems(reference):
                    measurements = {name: reference[name] for name in targets}
                else:
                    measurements = add_ratios(
                        compare(targets, point, turns, environment, find_problems)
                    )
            except UsageError as error:  # The sweep shows the error instead of this point.
                measurements = {name: {"failed": str(error)} for name in targets}
        results = (f"{name} {format_result(result)}" for name, result in measurements.items())
        say(f"{sweep} {value}: " + "; ".join(results))
        yield {sweep: value, "implementations": measurements}


def vary(config: Config, sweep: str, value: int) -> Config:
    """Changes a config to one point of a sweep, and resolves it.

    Args:
      config: a resolved config.
      sweep: "batch" replaces the batch size, "size" the height and width of the images, and
        "devices" multiplies the batch size by the number of devices.
      value: one of SWEEPS[sweep].
    """
    if sweep == "size":
        size = {"image_size": (value, value), "load_size": None}
        return resolve(replace_fields(config, {"data": size, "model": {"depth": None}}))
    images = value if sweep == "batch" else value * config.data.batch_size
    return resolve(replace_fields(config, {"data": {"batch_size": images}}))
