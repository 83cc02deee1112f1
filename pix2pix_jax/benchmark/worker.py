"""Processes that each run one implementation, so that implementations can be timed in turns."""

import importlib.util
import math
import multiprocessing
import os
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from pix2pix_jax.config.schema import Config
from pix2pix_jax.errors import UsageError, is_debugging, reason_of

ANSWER_TIMEOUT = 1800  # seconds to wait for an answer of a process
# Seconds to wait before a turn, until the threads of the process that was timed last are asleep.
SETTLE = 0.3
Arrays = Sequence[Any]  # arrays of any library


@dataclass(frozen=True)
class Trial:
    """The training of one implementation on random images, ready to be timed.

    Attributes:
      run: trains for a number of steps, and returns when they are done.
      steps: every run must take a multiple of this number of steps.
      weights: returns the parameters of the generator and of the discriminator after a run.
      peak_memory: returns the peak memory in bytes, of the device if it has its own memory,
        otherwise of the process.
      devices: the platform of every device in use: cpu, gpu or tpu, as JAX calls them.
    """

    run: Callable[[int], None]
    steps: int
    weights: Callable[[], tuple[Arrays, Arrays]]
    peak_memory: Callable[[], int]
    devices: list[str]


@dataclass(frozen=True)
class WorkerTarget:
    """The function that a worker calls with the config: its file and its name."""

    file: Path
    function: str


class WorkerFailed(Exception):
    """An implementation cannot run on this machine; the message says why."""


@dataclass(frozen=True)
class Failure:
    """An error of a worker, with its traceback as text: pickling an error drops its traceback."""

    error: WorkerFailed | UsageError
    traceback: str


class Worker:
    """A process that calls a target with a config and answers questions about the result."""

    def __init__(
        self, serve: Callable, target: WorkerTarget, config: Config, environment: dict[str, str]
    ):
        """Starts the process.

        Args:
          serve: `serve_trial` or `serve_result`, the function that sends the answers of the
            process.
          target: the function that the process calls.
          config: a resolved config.
          environment: environment variables to add to those of this process.
        """
        context = multiprocessing.get_context("spawn")
        self.connection, end = context.Pipe()
        before = dict(os.environ)
        # Libraries read these variables on import, so the process must start with them.
        os.environ.update(environment)
        try:
            arguments = serve, target, config, end
            self.process = context.Process(target=_work, args=arguments, daemon=True)
            self.process.start()
        finally:
            os.environ.clear()
            os.environ.update(before)
        end.close()

    def receive_answer(self) -> Any:
        """Waits for the next answer of the process.

        If the user cannot fix a failure, its traceback is printed to stderr. With PIX2PIX_DEBUG=1,
        the traceback of every failure is printed.

        Raises:
          WorkerFailed: the implementation cannot run on this machine, or gives no answer in time.
          UsageError: the user can fix the failure.
        """
        try:
            if not self.connection.poll(ANSWER_TIMEOUT):
                raise WorkerFailed(
                    f"no answer in {ANSWER_TIMEOUT} s; give a smaller --config.data.batch_size"
                )
            answer = self.connection.recv()
        except (EOFError, ConnectionResetError):
            self.process.join()
            raise WorkerFailed(explain_exit(self.process.exitcode)) from None
        if isinstance(answer, Failure):
            if is_debugging() or not isinstance(answer.error, UsageError):
                print(answer.traceback, file=sys.stderr)
            raise answer.error
        return answer

    def ask(self, question: Any) -> Any:
        """Sends a question and waits for the answer; raises the errors of `receive_answer`."""
        with suppress(OSError):  # If the process has ended, `receive_answer` says why.
            self.connection.send(question)
        return self.receive_answer()

    def close(self) -> None:
        """Ends the process, even in the middle of its work."""
        self.connection.close()  # A process that waits for a question then ends by itself.
        self.process.join(1)
        self.process.kill()
        self.process.join()


def time_first_step(target: WorkerTarget, config: Config, environment: dict[str, str]) -> float:
    """Measures the seconds until the first step of a trial is complete, in a new process."""
    with closing(Worker(serve_trial, target, config, environment)) as worker:
        return worker.receive_answer()["first_step_seconds"]


def run_in_worker(target: WorkerTarget, config: Config, environment: dict[str, str]) -> Any:
    """Calls a target with a config in a new process and returns the result."""
    with closing(Worker(serve_result, target, config, environment)) as worker:
        return worker.receive_answer()


def explain_exit(status: int | None) -> str:
    """Explains why a process ended without an answer.

    Args:
      status: the exit status of the process; -N if signal number N killed it.
    """
    if status != -signal.SIGKILL:
        return f"the process ended with status {status}; see its output on stderr"
    return (
        "the process was killed, probably for lack of memory; give a smaller "
        "--config.data.batch_size"
    )


def load_target(target: WorkerTarget) -> Callable[[Config], Any]:
    """Imports the function of a target.

    Raises:
      UsageError: the file imports a library that is not installed.
    """
    spec = importlib.util.spec_from_file_location(target.file.stem, target.file)
    assert spec is not None  # The file's name ends in .py.
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[target.file.stem] = module
    try:
        spec.loader.exec_module(module)
    except ModuleNotFoundError as error:
        library = str(error.name).partition(".")[0]
        if library == __name__.partition(".")[0]:  # A missing module of our own is a bug.
            raise
        raise UsageError(
            f"{target.file}: needs {library}, which is not installed", f"run pip install {library}"
        ) from error
    return getattr(module, target.function)


def resident_memory() -> int:
    """The peak memory of this process in bytes."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def device_memory() -> int:
    """The peak memory of JAX's first device in bytes; on a CPU, the peak memory of this process."""
    import jax  # The timings of other libraries must not include JAX.

    statistics = jax.local_devices()[0].memory_stats()
    return statistics["peak_bytes_in_use"] if statistics else resident_memory()


def serve_result(make: Callable[[], Any], connection: Connection) -> None:
    """Calls the target and sends its result."""
    connection.send(make())


def serve_trial(make: Callable[[], Trial], connection: Connection) -> None:
    """Makes a trial and answers questions about its speed.

    The first answer describes the trial and its first step. After that, each question is a number
    of steps, and the answer is the seconds per step. The last question is None, and the answer is
    the peak memory in bytes.
    """
    start = time.perf_counter()
    trial = make()
    trial.run(trial.steps)
    seconds = time.perf_counter() - start
    trial.run(trial.steps)  # warms up
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


def _work(serve: Callable, target: WorkerTarget, config: Config, connection: Connection) -> None:
    """Calls `serve` in the process of a worker; if it fails, sends the error as the answer."""
    with suppress(OSError):  # The process that asks may have ended.
        try:
            serve(lambda: load_target(target)(config), connection)
        except UsageError as error:
            connection.send(Failure(error, traceback.format_exc()))
        # Other libraries can raise any error, but no error may end the timing of other libraries.
        except BaseException as error:
            reason = f"{type(error).__name__}: {reason_of(error)}"
            failed = WorkerFailed(f"{reason}; see the traceback on stderr")
            connection.send(Failure(failed, traceback.format_exc()))
