"""Something to be timed, in a process of its own, so that several can be compared turn by turn."""

import importlib.util
import math
import multiprocessing
import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing, suppress
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import quantiles
from typing import Any, NamedTuple

from tqdm import tqdm

from pix2pix_jax.config.schema import Config
from pix2pix_jax.errors import UsageError, reason_of
from pix2pix_jax.runtime.console import say

PATIENCE = 1800  # seconds until a process that does not answer is given up
SETTLE = 0.3  # seconds in which the threads of another process, that was timed before, fall asleep
Arrays = Sequence[Any]  # of whichever library, as they lie
Found = dict[str, dict[str, Any]]  # of each implementation


class Trial(NamedTuple):
    """Training steps of some implementation, on pairs of noise."""

    run: Callable[[int], None]  # so many steps; returns when the last one is done
    steps: int  # of which a run is a multiple
    weights: Callable[[], tuple[Arrays, Arrays]]  # of generator and discriminator, after a run
    peak_memory: Callable[[], int]  # bytes, of the device if it has its own
    devices: list[str]  # that it computes on, as JAX names their platforms: cpu, gpu, tpu


class WorkerTarget(NamedTuple):
    """Where a trial comes from: a function of a file."""

    file: Path
    name: str


class WorkerFailed(Exception):
    """An implementation that does not work here; the message says why."""


class Worker:
    """A process that makes something of a config and talks of it."""

    def __init__(
        self, talk: Callable, maker: WorkerTarget, config: Config, environment: dict[str, str]
    ):
        context = multiprocessing.get_context("spawn")
        self.connection, end = context.Pipe()
        before = dict(os.environ)
        os.environ.update(environment)  # which a process has from its start, or not at all
        try:
            arguments = talk, maker, config, end
            self.process = context.Process(target=_work, args=arguments, daemon=True)
            self.process.start()
        finally:
            os.environ.clear()
            os.environ.update(before)
        end.close()

    def answer(self) -> Any:
        """What it says next.

        Raises:
          Failed: it does not work.
          UsageError: it could.
        """
        try:
            if not self.connection.poll(PATIENCE):
                raise WorkerFailed(f"no answer in {PATIENCE} s")
            answer = self.connection.recv()
        except (EOFError, ConnectionResetError):
            self.process.join()
            answer = WorkerFailed(end_of(self.process.exitcode))
        if isinstance(answer, Exception):
            raise answer
        return answer

    def ask(self, question: Any) -> Any:
        """What it says to that; raises as `answer` does."""
        with suppress(OSError):  # it may have ended, which its answer tells
            self.connection.send(question)
        return self.answer()

    def close(self) -> None:
        """Ends it, whatever it does."""
        self.connection.close()  # of which it hears
        self.process.join(1)
        self.process.kill()
        self.process.join()


def compare(
    makers: dict[str, WorkerTarget],
    config: Config,
    rounds: int,
    environment: dict[str, str],
    unlike: Callable[[Found], dict[str, str]],
    seconds: float = 4.0,
) -> Found:
    """Times implementations in turns, A B A B, so that a noisy machine hurts all alike.

    Args:
      makers: by name.
      config: resolved.
      rounds: how many turns each has.
      environment: variables of their processes.
      unlike: of what is found of their first steps, says which are not to be compared, and why.
      seconds: that a turn has at least.

    Returns:
      for each what it took, or, as `failed`, why it did not work or was not compared.

    Raises:
      UsageError: what a process could not do but the user can mend, or what `find_unlike` raises.
    """
    found: Found = {name: {} for name in makers}
    workers: dict[str, Worker] = {}
    turns: dict[str, list[float]] = {name: [] for name in makers}
    steps: dict[str, int] = {}

    def every(do: Callable[[str], None]) -> None:
        for name in makers:
            if "failed" not in found[name]:
                try:
                    do(name)
                except WorkerFailed as error:
                    give_up(name, str(error))

    def give_up(name: str, reason: str) -> None:
        found[name] = {"failed": reason}
        workers[name].close()  # or it would hold its memory, and might compute beside the others

    def start(name: str) -> None:
        worker = Worker(_steps, makers[name], config, environment)
        workers[name] = stack.enter_context(closing(worker))
        found[name] = worker.answer()
        say(f"{name}: first step after {found[name]['first_step_seconds']:.1f} s")

    def measure(name: str) -> None:
        whole = found[name].pop("steps")
        steps[name] = whole * max(1, math.ceil(seconds / workers[name].ask(whole) / whole))

    def take_turn(name: str) -> None:
        turns[name].append(workers[name].ask(steps[name]))

    def finish(name: str) -> None:
        low, middle, high = quartiles(turns[name])
        found[name] |= {
            "seconds_per_step": middle,
            "quartiles": [low, high],
            "turns": turns[name],
            "images_per_second": config.data.batch_size / middle,
            "peak_memory_mib": round(workers[name].ask(None) / 2**20),
        }

    with ExitStack() as stack:
        every(start)
        for name, reason in unlike(found).items():
            give_up(name, reason)
        every(measure)
        quiet = not sys.stderr.isatty()
        for _ in tqdm(range(rounds), desc="turns", leave=False, disable=quiet):
            every(take_turn)
        every(finish)
    return found


def time_first_step(maker: WorkerTarget, config: Config, environment: dict[str, str]) -> float:
    """Seconds to the end of the first step of a process."""
    with closing(Worker(_steps, maker, config, environment)) as worker:
        return worker.answer()["first_step_seconds"]


def run_in_worker(maker: WorkerTarget, config: Config, environment: dict[str, str]) -> Any:
    """What a function of a config returns, in a process of its own."""
    with closing(Worker(_outcome, maker, config, environment)) as worker:
        return worker.answer()


def end_of(status: int) -> str:
    """What a process ended with that has said nothing."""
    if status != -signal.SIGKILL:
        return f"it ended with {status}"
    return "it was killed, as where memory is short; make data.batch_size smaller, or leave it out"


def quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    """The second one is the median."""
    if len(values) == 1:
        return (values[0],) * 3
    low, middle, high = quantiles(values, n=4, method="inclusive")
    return low, middle, high


def load_target(maker: WorkerTarget) -> Callable[[Config], Any]:
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


def resident_memory() -> int:
    """The most that this process has had, in bytes."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def device_memory() -> int:
    """The most that JAX's first device has had, in bytes; or, of a CPU, this process."""
    import jax  # late, as it would be part of what others take

    statistics = jax.local_devices()[0].memory_stats()
    return statistics["peak_bytes_in_use"] if statistics else resident_memory()


def _work(talk: Callable, maker: WorkerTarget, config: Config, connection: Connection) -> None:
    """What a worker does."""
    with suppress(OSError):  # whoever asked is gone
        try:
            talk(lambda: load_target(maker)(config), connection)
        except UsageError as error:
            connection.send(error)
        except BaseException as error:
            connection.send(WorkerFailed(f"{type(error).__name__}: {reason_of(error)}"))


def _outcome(make: Callable[[], Any], connection: Connection) -> None:
    connection.send(make())


def _steps(make: Callable[[], Trial], connection: Connection) -> None:
    """A step of a trial, then as many as it is asked for, until that is None."""
    start = time.perf_counter()
    trial = make()
    trial.run(trial.steps)
    seconds = time.perf_counter() - start
    trial.run(trial.steps)  # which warms up
    parameters = [sum(math.prod(array.shape) for array in network) for network in trial.weights()]
    connection.send(
        {
            "first_step_seconds": seconds,
            "steps": trial.steps,
            "parameters": parameters,
            "devices": trial.devices,
        }
    )
    while (steps := connection.recv()) is not None:
        time.sleep(SETTLE)
        start = time.perf_counter()
        trial.run(steps)
        connection.send((time.perf_counter() - start) / steps)
    connection.send(trial.peak_memory())
