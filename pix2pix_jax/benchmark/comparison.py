"""Times the training steps of several implementations in turns: A, B, A, B."""

import math
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import Any

from pix2pix_jax.benchmark.results import Measurements, quartiles
from pix2pix_jax.benchmark.worker import Worker, WorkerFailed, WorkerTarget, serve_trial
from pix2pix_jax.config.schema import Config
from pix2pix_jax.runtime.console import progress_bar, say

# (measurements of the first steps) -> the implementations to leave out, each with the reason
FindMismatches = Callable[[Measurements], dict[str, str]]


@dataclass(frozen=True)
class Turns:
    """The number and the length of the turns of each implementation.

    Attributes:
      count: the number of turns.
      seconds: the minimal length of a turn, in seconds.
    """

    count: int
    seconds: float = 4.0


class Comparison:
    """Implementations that are timed in turns, each in a process of its own.

    Turns alternate, A B A B, so that other work on the machine slows all implementations alike. The
    processes end with the `with` block.

    Attributes:
      measurements: the measurements of each implementation. An implementation that failed has only
        `failed`, the reason.
    """

    def __init__(
        self, targets: dict[str, WorkerTarget], config: Config, environment: dict[str, str]
    ):
        """Prepares the comparison; `start` starts the processes.

        Args:
          targets: the functions to time, by the name of the implementation.
          config: a resolved config.
          environment: the environment variables of the processes.
        """
        self.targets, self.config, self.environment = targets, config, environment
        self.measurements: Measurements = {name: {} for name in targets}
        self.workers: dict[str, Worker] = {}
        self.turns: dict[str, list[float]] = {name: [] for name in targets}  # seconds per step
        self.steps: dict[str, int] = {}  # the number of steps in a turn
        self.stack = ExitStack()

    def __enter__(self) -> "Comparison":
        return self

    def __exit__(self, *_: Any) -> None:
        self.stack.close()

    def for_each(self, action: Callable[[str], None]) -> None:
        """Calls `action` with the name of every implementation that has not failed.

        If an implementation fails in `action`, later calls leave it out.
        """
        for name in self.targets:
            if "failed" not in self.measurements[name]:
                try:
                    action(name)
                except WorkerFailed as error:
                    self.leave_out(name, str(error))

    def leave_out(self, name: str, reason: str) -> None:
        """Leaves out an implementation, and ends its process, which could slow down the others."""
        self.measurements[name] = {"failed": reason}
        self.workers[name].close()

    def start(self, name: str) -> None:
        """Starts the process of an implementation and takes its first steps."""
        worker = Worker(serve_trial, self.targets[name], self.config, self.environment)
        self.workers[name] = self.stack.enter_context(closing(worker))
        self.measurements[name] = worker.receive_answer()
        seconds = self.measurements[name]["first_step_seconds"]
        say(f"{name}: the first step was done {seconds:.1f} s after the start, including compiling")

    def choose_steps(self, name: str, seconds: float) -> None:
        """Times a few steps, and chooses the number of steps that fills a turn.

        Args:
          name: the name of the implementation.
          seconds: the minimal length of a turn, in seconds.
        """
        multiple = self.measurements[name].pop("steps")
        seconds_per_step = self.workers[name].ask(multiple)
        self.steps[name] = multiple * max(1, math.ceil(seconds / seconds_per_step / multiple))

    def take_turn(self, name: str) -> None:
        """Times one turn of an implementation."""
        self.turns[name].append(self.workers[name].ask(self.steps[name]))

    def finish(self, name: str) -> None:
        """Adds the median and quartiles of all turns, and the peak memory, to the measurements."""
        low, middle, high = quartiles(self.turns[name])
        self.measurements[name] |= {
            "seconds_per_step": middle,
            "quartiles": [low, high],
            "turns": self.turns[name],
            "images_per_second": self.config.data.batch_size / middle,
            "peak_memory_mib": round(self.workers[name].ask(None) / 2**20),
        }


def compare(
    targets: dict[str, WorkerTarget],
    config: Config,
    turns: Turns,
    environment: dict[str, str],
    find_mismatches: FindMismatches,
) -> Measurements:
    """Times implementations in turns.

    Args:
      targets: the functions to time, by the name of the implementation.
      config: a resolved config.
      turns: how often and how long each implementation is timed.
      environment: the environment variables of the processes.
      find_mismatches: finds the implementations to leave out after their first steps.

    Returns:
      The measurements of each implementation. An implementation that failed has only `failed`, the
      reason.

    Raises:
      UsageError: a process, or `find_mismatches`, found an error that the user can fix.
    """
    with Comparison(targets, config, environment) as comparison:
        comparison.for_each(comparison.start)
        for name, reason in find_mismatches(comparison.measurements).items():
            comparison.leave_out(name, reason)
        comparison.for_each(lambda name: comparison.choose_steps(name, turns.seconds))
        for _ in progress_bar(range(turns.count), desc="turns", leave=False):
            comparison.for_each(comparison.take_turn)
        comparison.for_each(comparison.finish)
        return comparison.measurements
