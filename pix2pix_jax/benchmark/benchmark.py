"""The benchmark command: times our training steps, their parts, and steps of other libraries."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from pix2pix_jax.benchmark.choices import LIBRARIES, SWEEPS
from pix2pix_jax.benchmark.comparison import Turns, compare
from pix2pix_jax.benchmark.environment import machine, versions, worker_environment
from pix2pix_jax.benchmark.growth import run_sweep
from pix2pix_jax.benchmark.peers import (
    STEP_PARTS,
    check_peers_can_train,
    count_devices,
    find_mismatches_or_raise,
    find_targets,
    require_ours,
)
from pix2pix_jax.benchmark.results import OURS, add_ratios, add_shares
from pix2pix_jax.benchmark.worker import (
    WorkerFailed,
    WorkerTarget,
    run_in_worker,
    time_first_step,
)
from pix2pix_jax.config.resolve import resolve
from pix2pix_jax.config.schema import Config
from pix2pix_jax.errors import UsageError
from pix2pix_jax.reports.benchmark import render_benchmark_page
from pix2pix_jax.reports.benchmark_tables import parts_text, steps_text
from pix2pix_jax.runs.checks import check_folder
from pix2pix_jax.runs.workdir import Workdir
from pix2pix_jax.runtime.console import plural, say
from pix2pix_jax.runtime.storage.files import check_writable, write_atomically


def benchmark(
    config: Config, workdir: Workdir, peers: Sequence[str], sweep: str | None, rounds: int
) -> None:
    """Times training steps, prints tables, and writes benchmark.json and report/benchmark.html.

    Args:
      config: the config of an experiment.
      workdir: the folder of both files.
      peers: the peers to time in addition to our implementation, each a name in PEERS.
      sweep: a name in SWEEPS; None: no sweep.
      rounds: how often each implementation is timed; the implementations take turns.

    Raises:
      UsageError: the config is not valid, a peer is missing or cannot train the config, or our
        implementation failed.
      OSError: the workdir cannot be written to.
    """
    config, targets = resolve(config), find_targets(peers)
    if len(targets) > 1:
        check_peers_can_train(config)
    check_folder(workdir)
    # The folder is made before the timing, so that the user learns at once if it cannot be made.
    workdir.report_folder.mkdir(parents=True, exist_ok=True)
    check_writable(workdir.report_page)
    libraries = versions(["jax", *(name for peer in peers for name in LIBRARIES[peer])])
    run = Benchmark(config, workdir, targets, Turns(rounds))
    say(f"timing {', '.join(targets)}: a first step of each, then {plural(rounds, 'turn')} of each")
    with worker_environment(count_devices(targets)) as environment:
        run.time_steps(libraries, environment)
        run.time_parts(environment)
    if sweep:
        run.time_sweep(sweep)
    say(f"{workdir.benchmark_file} has all numbers, {workdir.benchmark_page} shows them")


class Benchmark:
    """The results of a benchmark. Every timing adds its results and writes all results to files."""

    def __init__(
        self, config: Config, workdir: Workdir, targets: dict[str, WorkerTarget], turns: Turns
    ):
        """Starts without results.

        Args:
          config: a resolved config.
          workdir: the folder of the results.
          targets: the implementations to time, by name.
          turns: how often and how long each implementation is timed.
        """
        self.config, self.workdir = config, workdir
        self.targets, self.turns = targets, turns
        self.results: dict[str, Any] = {}  # the content of benchmark.json

    def time_steps(self, libraries: dict[str, str], environment: dict[str, str]) -> None:
        """Times whole steps of all implementations, and our first step after a restart.

        After the restart, our compiled programs are in the cache.

        Args:
          libraries: the version of every library, by name.
          environment: the environment variables of the workers.
        """
        measurements = compare(
            self.targets, self.config, self.turns, environment, find_mismatches_or_raise
        )
        ours = require_ours(add_ratios(measurements))
        self.results = {
            "machine": machine() | {"devices": ours["devices"]},
            "versions": libraries,
            "config": asdict(self.config),
            "implementations": measurements,
        }
        self.write()  # The timings that follow may fail.
        restart_seconds = self.measure_ours(time_first_step, self.targets[OURS], environment)
        ours["restart_seconds"] = restart_seconds
        say(steps_text(measurements))

    def time_parts(self, environment: dict[str, str]) -> None:
        """Times the parts of our step. Call `time_steps` first."""
        say("timing the parts of a step")
        parts = self.measure_ours(
            run_in_worker, WorkerTarget(STEP_PARTS, "measure_parts"), environment
        )
        self.results["machine"]["devices"] = parts.pop("devices")
        ours = self.results["implementations"][OURS]
        parts["step"] |= {"seconds": ours["seconds_per_step"], "quartiles": ours["quartiles"]}
        self.results["phases"] = add_shares(parts)
        say(parts_text(self.results["phases"]))
        self.write()

    def time_sweep(self, sweep: str) -> None:
        """Times other batch sizes, image sizes or numbers of devices. Call `time_steps` first."""
        points: list[dict[str, Any]] = []
        self.results["sweep"] = {"of": sweep, "values": SWEEPS[sweep], "points": points}
        reference = self.results["implementations"]
        for point in run_sweep(self.config, sweep, self.targets, self.turns, reference):
            points.append(point)
            self.write()

    def measure_ours(
        self, measure: Callable, target: WorkerTarget, environment: dict[str, str]
    ) -> Any:
        """Measures our implementation in a worker.

        Args:
          measure: `time_first_step` or `run_in_worker`.
          target: the function that the worker calls.
          environment: the environment variables of the worker.

        Raises:
          UsageError: the worker failed.
        """
        try:
            return measure(target, self.config, environment)
        except WorkerFailed as error:
            raise UsageError(f"{OURS}: {error}") from error

    def write(self) -> None:
        """Writes all results so far, as JSON and as a page."""
        write_atomically(self.workdir.benchmark_file, json.dumps(self.results, indent=2) + "\n")
        write_atomically(self.workdir.benchmark_page, render_benchmark_page(self.results))
