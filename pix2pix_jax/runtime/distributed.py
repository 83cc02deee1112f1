"""Several processes that train as one, say a process to a host: who they are, what they agree on.

The first one owns the workdir and speaks. The others compute, each its share of every batch.
"""

import atexit
import hashlib
import importlib.util
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from pix2pix_jax.errors import UsageError, reason_of
from pix2pix_jax.runtime.backend import start_backend

CONNECTING = 300  # seconds that the first to be started waits for the last
LOST = 10  # seconds without a sign of one after which the others end
LEAVING = 15  # seconds that one which ends by an error waits for the first one to end, too
POLL = 0.5  # seconds between two questions whether another process has told something
ERROR, FIRST_ENDS, FIRST_IS_DONE = "error", "first ends", "first is done"  # what they tell
AGAIN = 75  # exit status where another process was lost, as sysexits.h has it: try again
STARTED = ("SLURM_STEP_NUM_TASKS", "OMPI_COMM_WORLD_SIZE")  # by srun and mpirun: how many
GO_ON = "the same command on all hosts goes on from the newest checkpoint"
NOT_JOINED = "--coordinator: the other processes cannot be joined"
START_ALL = (
    f"start all of them within {CONNECTING} s and give each --coordinator=HOST:PORT "
    "--num_processes=N --process_id=I; or --num_processes=1, to train on this host alone"
)
LAST_WORDS = "import sys; *_, last = sys.stdin; last == '.' or sys.stderr.write(last)"


def join(coordinator: str | None, processes: int | None, index: int | None) -> None:
    """Makes this process one of several, where flags or the machine say so; else does nothing.

    On TPUs, under Slurm's srun and Open MPI's mpirun, JAX finds the others by itself.

    Args:
      coordinator: HOST:PORT that the first one listens on and the others reach.
      processes: how many; 1: this one alone, whatever the machine says.
      index: which of them this one is, from 0.

    Raises:
      UsageError: flags that do not fit together, or others that cannot be found.
    """
    flags = {"coordinator": coordinator, "num_processes": processes, "process_id": index}
    missing = [name for name, value in flags.items() if value is None]
    if processes == 1 or (len(missing) == 3 and not _started_with_others()):
        return
    if 0 < len(missing) < 3:
        raise UsageError(f"--{missing[0]}: is missing; give all of --{', --'.join(flags)}, or none")
    if processes is not None and index >= processes:
        raise UsageError(f"--process_id: {index} is not below --num_processes={processes}")
    if coordinator is not None and not re.fullmatch(r".+:\d+", coordinator):
        raise UsageError(f"--coordinator: {coordinator} has no port; give HOST:PORT")
    _say_at_the_end(f"{NOT_JOINED}; {START_ALL}")
    # Python hears no signal while it waits for the others; after that, SIGTERM is JAX's.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    interrupted = signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        jax.distributed.initialize(
            coordinator,
            processes,
            index,
            initialization_timeout=CONNECTING,
            heartbeat_timeout_seconds=LOST,
            shutdown_timeout_seconds=2 * LEAVING,
        )
    except (RuntimeError, ValueError) as error:
        _say_nothing()
        raise UsageError(f"{NOT_JOINED} ({reason_of(error)}); {START_ALL}") from error
    signal.signal(signal.SIGINT, interrupted)
    atexit.register(_leave)
    start_backend()
    _say_at_the_end(f"{_named()} has ended: it, or another one, was lost; {GO_ON}")
    wait_for_all("joined")  # as the first thing that they do together has to come within 30 s
    threading.Thread(target=_end_with_others, daemon=True).start()
    if jax.process_index():
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 (to the end)


def _started_with_others() -> bool:
    """Whether whatever started this process has started more, in a way that JAX knows."""
    if any(os.environ.get(name, "") not in ("", "1") for name in STARTED):
        return True
    chips = any(Path("/dev").glob("accel[0-9]*")) or any(Path("/dev/vfio").glob("[0-9]*"))
    on_tpu = chips and importlib.util.find_spec("libtpu") is not None
    return on_tpu and os.environ.get("JAX_PLATFORMS", "tpu") in ("", "tpu")


@cache
def _last_words() -> subprocess.Popen:
    """Starts what says the last line that it was told, once this process is gone.

    When one process is lost JAX ends the others, and neither tells Python nor waits for it.
    """
    return subprocess.Popen(
        [sys.executable, "-S", "-c", LAST_WORDS],
        stdin=subprocess.PIPE,
        text=True,
        start_new_session=True,  # out of the way of Ctrl-C
    )


def _say_at_the_end(line: str) -> None:
    with suppress(OSError, ValueError):  # as this process has said what there is to say
        _last_words().stdin.write(f"{line}\n")
        _last_words().stdin.flush()


def _say_nothing() -> None:
    with suppress(OSError, ValueError):
        _last_words().communicate(".")


def _named() -> str:
    return f"process {jax.process_index()} of {jax.process_count()}"


def _leave() -> None:
    """Leaves together with the others; where one has ended by an error, the first one last."""
    _say_nothing()
    if _told(ERROR) is None:
        jax.distributed.shutdown()
        return
    if is_first():
        _tell(FIRST_IS_DONE, "")
        time.sleep(2 * POLL)  # in which the others hear of it, or JAX would end them
    else:
        _wait_for_first()
    os._exit(2)


def _wait_for_first() -> None:
    """Returns when the first process has saved and sent what it has, of which one is needed."""
    until = time.monotonic() + LEAVING
    # Until then it may compute with this one, and be ended by nothing but its loss.
    while time.monotonic() < until or _told(FIRST_ENDS) is not None:
        if _told(FIRST_IS_DONE) is not None:
            return
        time.sleep(POLL)


@contextmanager
def report_errors() -> Iterator[None]:
    """Tells the others of an error that ends this process, and that no other host would mend."""
    try:
        yield
    except jax.errors.JaxRuntimeError:
        raise
    except Exception as error:
        if jax.process_count() > 1:
            _tell(ERROR, f"{_named()} has ended: {reason_of(error)}")
            if is_first():
                _tell(FIRST_ENDS, "")
        raise


@contextmanager
def explain_lost_peer() -> Iterator[None]:
    """Raises UsageError where a computation with the others fails before JAX ends this process."""
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        if jax.process_count() == 1:
            raise
        if told := _told(ERROR):  # which was more than a loss
            raise UsageError(told) from error
        atexit.unregister(_leave)
        atexit.register(os._exit, AGAIN)  # before JAX says goodbye to those who are gone
        _say_nothing()
        raise UsageError(
            f"{_named()} cannot go on with the others ({reason_of(error)}); {GO_ON}"
        ) from error


def _end_with_others() -> None:
    """Ends a process that waits for one which has told that it will not come."""
    while not (told := _told(ERROR)):
        time.sleep(POLL)
    _say_at_the_end(told)
    if not is_first():  # which has something to save, and finds the other one lost
        _wait_for_first()
        time.sleep(POLL)  # for what this process itself may have to say
        os._exit(2)


def _tell(key: str, text: str) -> None:
    with suppress(Exception):  # as the others are gone, or another one has told the same
        _client().key_value_set(f"pix2pix_jax/{key}", text or "yes")


def _told(key: str) -> str | None:
    """What a process has told all."""
    with suppress(Exception):  # nothing, or nobody can be asked any more
        return _client().key_value_try_get(f"pix2pix_jax/{key}")
    return None


def _client() -> Any:
    from jax._src import distributed  # which has no other name

    return distributed.global_state.client


def is_first() -> bool:
    """Whether this process is the one that owns the workdir."""
    return jax.process_index() == 0


@contextmanager
def first_process_first(what: str) -> Iterator[None]:
    """The first process does what is in the `with` block, and then the others do."""
    if not is_first():
        wait_for_all(what)
    yield
    if is_first():
        wait_for_all(what)


def wait_for_all(what: str) -> None:
    """Returns once all processes have come here."""
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices(what)


def check_same_on_all(field: str, text: str) -> None:
    """Raises UsageError, on all processes, where one has another text than the first one."""
    digest = np.frombuffer(hashlib.sha256(text.encode()).digest(), np.uint32)
    digests = np.reshape(multihost_utils.process_allgather(digest), (-1, len(digest)))
    different = np.flatnonzero((digests != digests[0]).any(1))
    if different.size:
        raise UsageError(
            f"{field}: process {different[0]} has another one than process 0; give all of them the "
            "same command and the same pairs"
        )


def broadcast_from_first(tree: Any) -> Any:
    """The arrays that the first process has, to the bit; all have to be of 4 bytes a number."""
    if jax.process_count() == 1:
        return tree
    dtypes = jax.tree.map(lambda leaf: leaf.dtype, tree)
    # Others add their zeros, which would make a negative zero positive.
    bits = jax.tree.map(lambda leaf: np.asarray(leaf).view(np.uint32), tree)
    return jax.tree.map(
        lambda leaf, dtype: np.asarray(leaf).view(dtype),
        multihost_utils.broadcast_one_to_all(bits),
        dtypes,
    )
