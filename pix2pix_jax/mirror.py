"""A run whose workdir is in a bucket: fetched first, sent while it goes on, and owned by one."""

import re
import shutil
import sys
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
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
# Hidden, so sent with nothing else: who trained last, there and here; and that not all was sent.
SESSION, UNSENT = ".session", ".unsent"


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
            sent = already_sent(bucket, workdir)
            stack.enter_context(_kept_up_to_date(bucket, workdir, sent))
        else:
            # Where a process of this machine trains in it, all is here, and is sent by that.
            with suppress(BlockingIOError), locked(_beside(workdir), wait=False):
                _fetch(bucket, workdir)
                unsent = (workdir / UNSENT).exists()  # of the last command
                sent = already_sent(bucket, workdir) if unsent else states(workdir)
                (workdir / UNSENT).touch()
                stack.callback(_send_all, bucket, workdir, sent)
        yield


def _beside(workdir: Path) -> Path:
    return workdir.with_name(f".{workdir.name}.mirror")


def _fetch(bucket: Bucket, workdir: Path) -> None:
    """Makes the folder what is in the bucket, if others trained; sets aside what was not sent."""
    with reached(bucket):
        there = _session(bucket)
    here, unsent = workdir / SESSION, (workdir / UNSENT).exists()
    same = there == (here.read_text() if here.exists() else None)
    if same and (unsent or there is not None):
        return
    known = listed(bucket)
    if workdir.exists() and not unsent:  # or only half of it was fetched
        shutil.rmtree(workdir)
    elif unsent:
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
    (workdir / UNSENT).touch()
    (workdir / SESSION).write_text(name)


def _send_all(bucket: Bucket, workdir: Path, sent: Sent) -> None:
    send_new(bucket, workdir, sent, last=LAST)
    (workdir / UNSENT).unlink(missing_ok=True)


def _leased(bucket: Bucket, workdir: Path) -> AbstractContextManager[None]:
    """A lease of the bucket, where no host holds one; its start raises BlockingIOError else."""

    def read(path: Path) -> bytes:
        return bucket.files.cat_file(f"{bucket.root}/{path.name}")

    def write(path: Path, text: str) -> None:
        bucket.files.pipe_file(f"{bucket.root}/{path.name}", text.encode())

    def remove(path: Path) -> None:
        bucket.files.rm_file(f"{bucket.root}/{path.name}")

    return leased(workdir, False, read, write, write, remove)


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
        (folder / UNSENT).unlink(missing_ok=True)

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
