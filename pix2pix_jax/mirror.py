"""A run whose workdir is in a bucket: fetched first, sent while it goes on, and owned by one."""

import re
import shutil
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path

from pix2pix_jax.bucket import (
    Bucket,
    Sent,
    bucket_of,
    fetch_these,
    listed,
    reached,
    send_new,
)
from pix2pix_jax.checkpoint_reader import saved_steps
from pix2pix_jax.config import UsageError
from pix2pix_jax.console import tell
from pix2pix_jax.files import locked
from pix2pix_jax.guards import one_trains
from pix2pix_jax.lease import leased

PAUSE = 10  # seconds between two looks at what is new

CHECKPOINT = re.compile(r"checkpoints/(\d+)/")


@contextmanager
def mirrored(workdir: Path, trains: bool = False) -> Iterator[None]:
    """Fetches what a workdir stands for, and sends what is new in the `with` block.

    Where this machine is ahead, since it could not send what it had, nothing is fetched.

    Args:
      workdir: one that stands for itself is left alone.
      trains: whether a run goes on in it, which one process may do.

    Raises:
      Occupied: another process trains in it.
      UsageError: the bucket cannot be reached; what could not be sent stays in the folder.
    """
    bucket = bucket_of(workdir)
    with ExitStack() as stack, one_trains(workdir) if trains else nullcontext():
        try:
            if bucket:
                stack.enter_context(locked(workdir.with_name(f".{workdir.name}.mirror"), False))
        except BlockingIOError:
            if trains:
                raise
            bucket = None  # a process of this machine trains in it, and sends what is new
        if bucket:
            if trains:
                with reached(bucket):
                    stack.enter_context(_leased(bucket, workdir))
            known = listed(bucket)
            steps, there = set(saved_steps(workdir)), set(map(_step, known)) - {None}
            sent: Sent = {}
            if max(steps, default=-1) <= max(there, default=-1):
                for step in steps - there:  # which are no longer kept
                    shutil.rmtree(workdir / "checkpoints" / str(step))
                sent = fetch_these(bucket, workdir, known)
            stack.enter_context(_kept_up_to_date(bucket, workdir, sent))
        yield


@contextmanager
def _leased(bucket: Bucket, workdir: Path) -> Iterator[None]:
    """Raises BlockingIOError where another host trains in the bucket."""

    def read(path: Path) -> bytes:
        return bucket.files.cat_file(f"{bucket.root}/{path.name}")

    def write(path: Path, text: str) -> None:
        bucket.files.pipe_file(f"{bucket.root}/{path.name}", text.encode())

    def remove(path: Path) -> None:
        bucket.files.rm_file(f"{bucket.root}/{path.name}")

    with leased(workdir, False, read, write, write, remove):
        yield


@contextmanager
def _kept_up_to_date(bucket: Bucket, folder: Path, sent: Sent) -> Iterator[None]:
    done = threading.Event()

    def update() -> None:
        send_new(bucket, folder, sent)
        steps = saved_steps(folder)
        for name in list(sent):
            step = _step(name)
            # No longer kept, now that a newer one is there.
            if step is not None and steps and step <= steps[-1] and not (folder / name).exists():
                with reached(bucket):
                    bucket.files.rm_file(f"{bucket.root}/{name}")
                del sent[name]

    def keep_sending() -> None:
        failed = False
        while not done.wait(PAUSE):
            try:
                update()
                failed = False
            except (UsageError, OSError) as error:
                if not failed:
                    tell(f"NOT UP TO DATE: {error}", sys.stderr)
                failed = True

    def finish() -> None:
        done.set()
        thread.join()
        update()

    thread = threading.Thread(target=keep_sending, daemon=True)
    thread.start()
    try:
        yield
    except BaseException:
        try:
            finish()
        except (UsageError, OSError) as error:  # beside what has ended the run
            tell(f"NOT UP TO DATE: {error}", sys.stderr)
        raise
    finish()


def _step(name: str) -> int | None:
    """Which checkpoint a file belongs to."""
    match = CHECKPOINT.match(name)
    return int(match[1]) if match else None
