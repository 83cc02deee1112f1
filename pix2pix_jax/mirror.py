"""A run whose workdir is in a bucket: fetched first, sent while it goes on, and owned by one."""

import re
import shutil
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from pix2pix_jax.bucket import (
    Bucket,
    Sent,
    already_sent,
    bucket_of,
    fetch_these,
    listed,
    reached,
    send_new,
    states,
)
from pix2pix_jax.checkpoint_reader import saved_steps
from pix2pix_jax.config import UsageError
from pix2pix_jax.console import say, tell
from pix2pix_jax.files import locked
from pix2pix_jax.guards import one_trains
from pix2pix_jax.lease import leased

EVERY = 10  # seconds between two looks at what is new
CHECKPOINT = re.compile(r"checkpoints/(\d+)/(.*)")
LAST = "_CHECKPOINT_METADATA"  # file of a checkpoint to be sent: without it, it is not whole
# Hidden, so sent with nothing else: who trained last, there and here; and whether all was sent.
SESSION, ALL_SENT = ".session", ".all_sent"


@contextmanager
def mirrored(workdir: Path, trains: bool = False) -> Iterator[None]:
    """Fetches what a workdir stands for, and sends what is new in the `with` block.

    Where the last to train was this machine nothing is fetched, as it has all that is there, and
    what it could not send.

    Args:
      workdir: one that stands for itself is left alone.
      trains: whether a run goes on in it, which one process may do.

    Raises:
      Occupied: another process trains in it.
      UsageError: the bucket cannot be reached; what could not be sent stays in the folder.
    """
    bucket = bucket_of(workdir)
    if bucket is None:
        yield
        return
    with ExitStack() as stack:
        if trains:
            stack.enter_context(one_trains(bucket.place))
            stack.enter_context(locked(_beside(workdir), wait=False))
            with reached(bucket):
                stack.enter_context(_leased(bucket, workdir))
            _fetch(bucket, workdir)
            _begin(bucket, workdir)
            stack.enter_context(_kept_up_to_date(bucket, workdir, already_sent(bucket, workdir)))
        else:
            # Where a process of this machine trains in it, all is here, and is sent by that.
            with suppress(BlockingIOError), locked(_beside(workdir), wait=False):
                _fetch(bucket, workdir)
                stack.callback(send_new, bucket, workdir, states(workdir))
        yield


def _beside(workdir: Path) -> Path:
    return workdir.with_name(f".{workdir.name}.mirror")


def _fetch(bucket: Bucket, workdir: Path) -> None:
    """Makes the folder what is in the bucket; what is here alone and was not sent is set aside."""
    with reached(bucket):
        known, there = listed(bucket), _session(bucket)
    here = workdir / SESSION
    if there is not None and here.exists() and here.read_text() == there:
        return
    if (workdir / ALL_SENT).exists():
        shutil.rmtree(workdir)
    elif workdir.exists():
        aside = workdir.with_name(f"{workdir.name}.{uuid4().hex[:8]}")
        workdir.rename(aside)
        say(f"{bucket.place}: another machine went on; what was not sent from here is in {aside}")
    whole = {match[1] for name in known if (match := CHECKPOINT.match(name)) and match[2] == LAST}
    wanted = {
        name: info
        for name, info in known.items()
        if not (match := CHECKPOINT.match(name)) or match[1] in whole
    }
    for name in fetch_these(bucket, workdir, wanted):  # those that were removed meanwhile
        if match := CHECKPOINT.match(name):
            shutil.rmtree(workdir / "checkpoints" / match[1], ignore_errors=True)
    workdir.mkdir(parents=True, exist_ok=True)
    (workdir / ALL_SENT).touch()
    if there is not None:
        here.write_text(there)


def _session(bucket: Bucket) -> str | None:
    """Who trained last in a bucket."""
    try:
        return bucket.files.cat_file(f"{bucket.root}/{SESSION}").decode()
    except FileNotFoundError:
        return None


def _begin(bucket: Bucket, workdir: Path) -> None:
    """From now on this machine has what the bucket may lack."""
    name = uuid4().hex
    with reached(bucket):
        bucket.files.pipe_file(f"{bucket.root}/{SESSION}", name.encode())
    workdir.mkdir(parents=True, exist_ok=True)
    (workdir / SESSION).write_text(name)
    (workdir / ALL_SENT).unlink(missing_ok=True)


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
        send_new(bucket, folder, sent, last=LAST)
        steps = saved_steps(folder)
        for name in list(sent):
            match = CHECKPOINT.match(name)
            # No longer kept, now that a newer one is there.
            if match and steps and int(match[1]) <= steps[-1] and not (folder / name).exists():
                with reached(bucket):
                    bucket.files.rm_file(f"{bucket.root}/{name}")
                del sent[name]

    def keep_sending() -> None:
        failed = False
        while not done.wait(EVERY):
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
        if folder.exists():
            (folder / ALL_SENT).touch()

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
