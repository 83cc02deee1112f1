"""Something to be timed, in a process of its own, so that several can be compared turn by turn."""

import importlib.util
import multiprocessing
import os
import resource
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median, quantiles
from typing import Any, NamedTuple

from pix2pix_jax.config import Config, UsageError, reason_of

SETTLE = 0.3  # seconds in which the threads of another process, that was timed before, fall asleep


class Trial(NamedTuple):
    """Training steps of some implementation, on pairs of noise."""

    run: Callable[[int], None]  # so many steps; returns when the last one is done
    steps: int  # of which a run is a multiple
    parameters: tuple[int, int]  # of generator and discriminator
    peak_memory: Callable[[], int]  # bytes, of the device if it has its own


class Maker(NamedTuple):
    """Where a trial comes from: a function of a file, and what it needs to be done before."""

    file: Path
    name: str
    before: Callable[[], None] | None = None


class Failed(Exception):
    """An implementation that does not work here; the message says why."""


class Worker:
    """A process with one trial in it."""

    def __init__(self, maker: Maker, config: Config, environment: dict[str, str]):
        context = multiprocessing.get_context("spawn")
        self.connection, end = context.Pipe()
        before = dict(os.environ)
        os.environ.update(environment)  # which a process has from its start, or not at all
        try:
            self.process = context.Process(target=_work, args=(maker, config, end), daemon=True)
            self.process.start()
        finally:
            os.environ.clear()
            os.environ.update(before)
        end.close()
        self.first = self._answer()  # of the first step, with all that comes before it

    def seconds(self, steps: int) -> float:
        """What each of so many steps takes."""
        self.connection.send(steps)
        return self._answer()

    def close(self) -> int:
        """Ends it; returns the most memory that it had, in bytes."""
        self.connection.send(None)
        peak = self._answer()
        self.end()
        return peak

    def end(self) -> None:
        """Ends it, whatever it does."""
        self.connection.close()  # of which it hears
        self.process.join(10)
        self.process.kill()

    def _answer(self) -> Any:
        try:
            answer = self.connection.recv()
        except (EOFError, ConnectionResetError):
            self.process.join()
            answer = Failed(f"it ended with {self.process.exitcode}")
        if isinstance(answer, Exception):
            raise answer
        return answer


def _work(maker: Maker, config: Config, connection: Connection) -> None:
    """What a worker does: a step, then as many as it is asked for, until it is told to end."""
    try:
        start = time.perf_counter()
        if maker.before:
            maker.before()
        trial = loaded(maker)(config)
        trial.run(trial.steps)
        first = {"first_step_seconds": time.perf_counter() - start, "steps": trial.steps}
        connection.send(first | {"parameters": trial.parameters})
        trial.run(trial.steps)
        while (steps := connection.recv()) is not None:
            time.sleep(SETTLE)
            start = time.perf_counter()
            trial.run(steps)
            connection.send((time.perf_counter() - start) / steps)
        connection.send(trial.peak_memory())
    except UsageError as error:
        connection.send(error)
    except (EOFError, BrokenPipeError):  # whoever asked is gone
        pass
    except BaseException as error:
        connection.send(Failed(f"{type(error).__name__}: {reason_of(error)}"))


def loaded(maker: Maker) -> Callable[[Config], Trial]:
    """The function that a maker names.

    Raises:
      UsageError: its file needs a library that is not installed.
    """
    spec = importlib.util.spec_from_file_location(maker.file.stem, maker.file)
    module = importlib.util.module_from_spec(spec)
    sys.modules[maker.file.stem] = module
    try:
        spec.loader.exec_module(module)
    except ModuleNotFoundError as error:
        raise UsageError(
            f"{maker.file}: needs {error.name}, which is not installed; pip install {error.name}"
        ) from error
    return getattr(module, maker.name)


@contextmanager
def working(
    makers: dict[str, Maker], config: Config, environment: dict[str, str]
) -> Iterator[tuple[dict[str, Worker], dict[str, str]]]:
    """Workers by name; and of those that failed, why."""
    workers, failures = {}, {}
    try:
        for name, maker in makers.items():
            try:
                workers[name] = Worker(maker, config, environment)
            except Failed as error:
                failures[name] = str(error)
        yield workers, failures
    finally:
        for worker in workers.values():
            worker.end()


def compared(
    makers: dict[str, Maker],
    config: Config,
    rounds: int,
    environment: dict[str, str] | None = None,
    seconds: float = 4.0,
) -> dict[str, dict[str, Any]]:
    """Times implementations in turns, A B A B, so that a noisy machine hurts all alike.

    Args:
      makers: by name.
      config: resolved.
      rounds: how many turns each has.
      environment: variables of their processes.
      seconds: that a turn has at least.

    Returns:
      for each what it took, or, as `failed`, why it did not work.
    """
    with working(makers, config, environment or {}) as (workers, failures):
        turns: dict[str, list[float]] = {name: [] for name in workers}
        steps = {}
        for name, worker in workers.items():
            whole = worker.first["steps"]
            once = worker.seconds(whole)
            steps[name] = whole * max(1, round(seconds / once / whole))
        for _ in range(rounds):
            for name, worker in workers.items():
                turns[name].append(worker.seconds(steps[name]))
        found = {name: {"failed": reason} for name, reason in failures.items()}
        for name, worker in workers.items():
            taken = turns[name]
            low, _, high = quantiles(taken, n=4, method="inclusive") if rounds > 1 else taken * 3
            found[name] = {
                "seconds_per_step": median(taken),
                "quartiles": [low, high],
                "images_per_second": config.data.batch_size / median(taken),
                "first_step_seconds": worker.first["first_step_seconds"],
                "parameters": list(worker.first["parameters"]),
                "peak_memory_mib": round(worker.close() / 2**20),
            }
    return found


def resident_memory() -> int:
    """The most that this process has had, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
