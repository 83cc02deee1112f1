"""Joins several processes that train together, usually one on each host.

The first process (index 0) owns the workdir and prints. Each process computes its share of every
batch.
"""

import atexit
import hashlib
import importlib.util
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from pix2pix_jax.errors import UsageError, reason_of
from pix2pix_jax.runtime.backend import start_backend
from pix2pix_jax.runtime.process_group import (
    LEAVE_TIMEOUT,
    CrashMessage,
    Messages,
    ProcessGroup,
    SingleProcess,
)

CONNECT_TIMEOUT = 300  # seconds within which all processes must start
HEARTBEAT_TIMEOUT = 10  # seconds after which a process without a heartbeat counts as lost
# The environment variables in which srun and mpirun give the number of processes.
LAUNCHER_COUNTS = ("SLURM_STEP_NUM_TASKS", "OMPI_COMM_WORLD_SIZE")
CANNOT_JOIN = "--coordinator: the other processes cannot be joined"
HOW_TO_START = (
    f"start all processes within {CONNECT_TIMEOUT} s and give each --coordinator=HOST:PORT "
    "--num_processes=N --process_id=I; or give --num_processes=1 to train on this host alone"
)


@dataclass(frozen=True)
class ProcessFlags:
    """The flags of a run of several processes. A flag that was not given is None.

    Attributes:
      coordinator: HOST:PORT on which the first process listens.
      num_processes: the number of processes. If it is 1, this process trains alone, even if the
        launcher started several processes.
      process_id: the index of this process, from 0 to num_processes - 1.
    """

    coordinator: str | None = None
    num_processes: int | None = None
    process_id: int | None = None


def join(flags: ProcessFlags) -> ProcessGroup | SingleProcess:
    """Joins the other processes of the run, if there are any.

    On TPUs, and with Slurm's srun and Open MPI's mpirun, JAX finds the other processes without
    flags.

    Returns:
      The group of all processes, which makes them end together; `SingleProcess` if this process
      trains alone.

    Raises:
      UsageError: a flag is missing or wrong, the other processes cannot be reached, or JAX cannot
        use the devices that JAX_PLATFORMS names.
    """
    if not _has_other_processes(flags):
        return SingleProcess()
    # JAX has no public name for its key-value store. If a new version of JAX moves the store, this
    # import fails before anything is started.
    from jax._src.distributed import global_state

    crash_message = CrashMessage()
    _initialize(flags, crash_message)
    assert global_state.client is not None
    processes = ProcessGroup(Messages(global_state.client), crash_message)
    atexit.register(processes.leave)
    start_backend()
    if jax.process_count() == 1:  # This is a TPU with one host.
        crash_message.cancel()
        return SingleProcess()
    processes.start_watching()
    # JAX drops the connections unless the processes compute together within 30 s.
    wait_for_all("joined")
    if not is_first():
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 (open until the process ends)
    return processes


def _has_other_processes(flags: ProcessFlags) -> bool:
    """Whether this process must join other processes.

    Raises:
      UsageError: a flag is missing or wrong.
    """
    coordinator = flags.coordinator
    num_processes, process_id = flags.num_processes, flags.process_id
    if num_processes == 1:
        return False
    if coordinator is None and num_processes is None and process_id is None:
        return _is_launched_with_others()
    if coordinator is None or num_processes is None or process_id is None:
        missing = next(name for name, value in asdict(flags).items() if value is None)
        names = ", --".join(asdict(flags))
        raise UsageError(f"--{missing}: is missing", f"give all of --{names}, or none")
    if process_id >= num_processes:
        raise UsageError(
            f"--process_id: {process_id} is not below --num_processes={num_processes}",
            f"give each process its own number from 0 to {num_processes - 1}",
        )
    host, _, port = coordinator.rpartition(":")
    if not (host and port.isdecimal() and 0 < int(port) < 2**16):
        raise UsageError(
            f"--coordinator: {coordinator} is not a host and a port",
            "give HOST:PORT with a port from 1 to 65535",
        )
    return True


def _is_launched_with_others() -> bool:
    """Whether srun or mpirun started several processes, or JAX will use TPUs of this host."""
    if any(os.environ.get(name, "") not in ("", "1") for name in LAUNCHER_COUNTS):
        return True
    has_chips = any(Path("/dev").glob("accel[0-9]*")) or any(Path("/dev/vfio").glob("[0-9]*"))
    on_tpu = has_chips and importlib.util.find_spec("libtpu") is not None
    return on_tpu and os.environ.get("JAX_PLATFORMS", "tpu") in ("", "tpu")


def _initialize(flags: ProcessFlags, crash_message: CrashMessage) -> None:
    """Connects to the other processes; raises UsageError if they cannot be reached."""
    # After its timeout, JAX may abort this process instead of raising an exception.
    crash_message.set(f"{CANNOT_JOIN}; {HOW_TO_START}")
    # While this process waits inside JAX, Python runs no signal handler, but the default handlers
    # of the system still end the process. Afterwards, JAX handles SIGTERM; see StopSignals.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    interrupt_handler = signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        jax.distributed.initialize(
            flags.coordinator,
            flags.num_processes,
            flags.process_id,
            initialization_timeout=CONNECT_TIMEOUT,
            heartbeat_timeout_seconds=HEARTBEAT_TIMEOUT,
            shutdown_timeout_seconds=2 * LEAVE_TIMEOUT,
        )
    except (RuntimeError, ValueError) as error:  # There is no connection, or no known cluster.
        crash_message.cancel()
        raise UsageError(f"{CANNOT_JOIN} ({reason_of(error)})", HOW_TO_START) from error
    signal.signal(signal.SIGINT, interrupt_handler)


def is_first() -> bool:
    """Whether this is the first process, which owns the workdir."""
    return jax.process_index() == 0


@contextmanager
def first_process_first(barrier: str) -> Iterator[None]:
    """Runs the `with` block in the first process, and then in all other processes.

    Args:
      barrier: a name for this block; each block has its own name.
    """
    if not is_first():
        wait_for_all(barrier)
    yield
    if is_first():
        wait_for_all(barrier)


def wait_for_all(barrier: str) -> None:
    """Waits until all processes have called this function with the same name of a barrier."""
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices(barrier)


def check_same_on_all(field: str, text: str) -> None:
    """Checks that a text is the same in all processes; every process must call this function.

    Args:
      field: the field or flag that the text belongs to; the error line starts with it.
      text: the text of this process.

    Raises:
      UsageError: the text of another process differs from the text of the first process. Every
        process raises this error.
    """
    digest = np.frombuffer(hashlib.sha256(text.encode()).digest(), np.uint32)  # [8]
    digests = multihost_utils.process_allgather(digest)
    digests = np.reshape(digests, (-1, len(digest)))  # [processes, 8]
    different = np.flatnonzero((digests != digests[0]).any(1))
    if different.size:
        raise UsageError(
            f"{field}: differs between process {different[0]} and process 0",
            "give all processes the same command and the same pairs",
        )


def broadcast_from_first(tree: Any) -> Any:
    """Sends the arrays of the first process to all processes, and keeps every bit.

    Args:
      tree: arrays of 4-byte numbers, with the same shapes and types in all processes.

    Returns:
      The arrays of the first process.
    """
    if jax.process_count() == 1:
        return tree
    dtypes = jax.tree.map(lambda leaf: leaf.dtype, tree)
    # JAX broadcasts by a sum: the other processes add zeros. A sum of floats would turn -0.0 into
    # 0.0. A sum of the bits as integers changes nothing.
    bits = jax.tree.map(lambda leaf: np.asarray(leaf).view(np.uint32), tree)
    return jax.tree.map(
        lambda leaf, dtype: np.asarray(leaf).view(dtype),
        multihost_utils.broadcast_one_to_all(bits),
        dtypes,
    )
