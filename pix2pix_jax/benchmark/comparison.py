"""Times training steps of several implementations in turns."""

import math
import sys
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import Any

from tqdm import tqdm

from pix2pix_jax.benchmark.results import Measurements, quartiles
from pix2pix_jax.benchmark.worker import Worker, WorkerFailed, WorkerTarget, talk_of_steps
from pix2pix_jax.config.schema import Config
from pix2pix_jax.runtime.console import say

# From the measurements of first steps to the implementations to leave out, each with the reason.
FindMismatches = Callable[[Measurements], dict[str, str]]


@dataclass(frozen=True)
class Turns:
    """How often each implementation is timed, and for how many seconds at least each time."""

    count: int
    seconds: float = 4.0


class Comparison:
    """Implementations that are timed in turns, each in a process of its own.

    Turns alternate, A B A B, so that a noisy machine slows all implementations alike. The processes
    end with the `with` block.

    Attributes:
      found: the measurements of each implementation; `failed` says why there are none.
    """

    def __init__(
        self, targets: dict[str, WorkerTarget], config: Config, environment: dict[str, str]
    ):
        """Nothing runs yet.

        Args:
          targets: by the name of the implementation.
          config: resolved.
          environment: variables of the processes.
        """
        self.targets, self.config, self.environment = targets, config, environment
        self.found: Measurements = {name: {} for name in targets}
        self.workers: dict[str, Worker] = {}
        self.turns: dict[str, list[float]] = {name: [] for name in targets}  # seconds per step
        self.steps: dict[str, int] = {}  # of a turn
        self.stack = ExitStack()

    def __enter__(self) -> "Comparison":
        return self

    def __exit__(self, *_: Any) -> None:
        self.stack.close()

    def each(self, action: Callable[[str], None]) -> None:
        """Calls a method with the name of every implementation that has not failed."""
        for name in self.targets:
            if "failed" not in self.found[name]:
                try:
                    action(name)
                except WorkerFailed as error:
                    self.leave_out(name, str(error))

    def leave_out(self, name: str, reason: str) -> None:
        """Ends an implementation: it would keep its memory, and might compute beside the others."""
        self.found[name] = {"failed": reason}
        self.workers[name].close()

    def start(self, name: str) -> None:
        """Starts the process of an implementation and takes its first steps."""
        worker = Worker(talk_of_steps, self.targets[name], self.config, self.environment)
        self.workers[name] = self.stack.enter_context(closing(worker))
        self.found[name] = worker.answer()
        say(f"{name}: first step after {self.found[name]['first_step_seconds']:.1f} s")

    def measure(self, name: str, seconds: float) -> None:
        """Measures a step, and sets the number of steps for turns of at least these seconds."""
        multiple = self.found[name].pop("steps")
        seconds_per_step = self.workers[name].ask(multiple)
        self.steps[name] = multiple * max(1, math.ceil(seconds / seconds_per_step / multiple))

    def take_turn(self, name: str) -> None:
        """Times one turn."""
        self.turns[name].append(self.workers[name].ask(self.steps[name]))

    def finish(self, name: str) -> None:
        """Adds the median of all turns and the peak memory to the measurements."""
        low, middle, high = quartiles(self.turns[name])
        self.found[name] |= {
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
      targets: by the name of the implementation.
      config: resolved.
      turns: how often and how long each is timed.
      environment: variables of the processes.
      find_mismatches: says after the first steps which implementations to leave out, and why.

    Returns:
      The measurements of each implementation; `failed` says why there are none.

    Raises:
      UsageError: the user can fix the failure of a process, or `find_mismatches` raises it.
    """
    with Comparison(targets, config, environment) as comparison:
        comparison.each(comparison.start)
        for name, reason in find_mismatches(comparison.found).items():
            comparison.leave_out(name, reason)
        comparison.each(lambda name: comparison.measure(name, turns.seconds))
        is_quiet = not sys.stderr.isatty()
        for _ in tqdm(range(turns.count), desc="turns", leave=False, disable=is_quiet):
            comparison.each(comparison.take_turn)
        comparison.each(comparison.finish)
        return comparison.found
