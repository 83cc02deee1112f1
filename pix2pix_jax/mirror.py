"""A run whose workdir is in a bucket: fetched first, sent while it goes on, trained by one machine.

Of every file a record is kept: its state here and its version there when both were last the same.
So it is known which side has changed it, whatever was killed, and wherever else the run went on.
"""

import json
import re
import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path, PurePath
from typing import NamedTuple
from uuid import uuid4

from pix2pix_jax.bucket import (
    Bucket,
    Known,
    State,
    bucket_of,
    fetched,
    files_of,
    listed,
    reached,
    same,
    sent,
    state_of,
    version_of,
)
from pix2pix_jax.checkpoint_reader import saved_steps
from pix2pix_jax.config import UsageError
from pix2pix_jax.console import say, tell
from pix2pix_jax.files import locked, write_whole
from pix2pix_jax.guards import one_trains
from pix2pix_jax.lease import leased

EVERY = 10  # seconds between two looks at what is new
CHECKPOINT = re.compile(r"checkpoints/(\d+)/(.*)")
LAST = "_CHECKPOINT_METADATA"  # file of a checkpoint to be sent: without it, it is not whole
# Hidden, so never sent with the rest: which machine trained last, there and here; and the record.
SESSION, RECORD = ".session", ".record"


class Both(NamedTuple):
    """A file, when both sides had the same."""

    state: State
    version: str


Record = dict[str, Both]


@contextmanager
def mirrored(workdir: Path, trains: bool = False) -> Iterator[None]:
    """Fetches what a workdir stands for, and sends what is new in the `with` block.

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
        with _alone(workdir):
            if trains:
                stack.enter_context(one_trains(bucket.place))
                stack.enter_context(locked(_beside(workdir) / "trains", wait=False))
                with reached(bucket):
                    stack.enter_context(_leased(bucket, workdir))
                _pull(bucket, workdir)
                _begin(bucket, workdir)
            elif not _trained_here(workdir):
                _pull(bucket, workdir)
        if trains:
            stack.enter_context(_kept_up_to_date(bucket, workdir))
        else:
            stack.enter_context(_and_then(lambda: _push(bucket, workdir)))
        yield


def config_at_hand(workdir: Path) -> Path:
    """Where the config.json of a run can be read, before it is known who trains it."""
    bucket, name = bucket_of(workdir), "config.json"
    if bucket is not None and fetched(bucket, _beside(workdir), name):
        return _beside(workdir) / name
    return workdir / name


def _beside(workdir: Path) -> Path:
    return workdir.with_name(f".{workdir.name}.mirror")


def _alone(workdir: Path) -> AbstractContextManager[bool]:
    """One process at a time fetches or sends."""
    return locked(_beside(workdir), wait=True)


def _trained_here(workdir: Path) -> bool:
    """Whether a process of this machine trains; to be asked alone, or it is in the way of one."""
    try:
        with locked(_beside(workdir) / "trains", wait=False):
            return False
    except BlockingIOError:
        return True


def _pull(bucket: Bucket, workdir: Path) -> None:
    """Makes the folder what is in the bucket, but for what this machine has not sent yet.

    Where another one went on with the run, a folder with something unsent is set aside.
    """
    known = listed(bucket)
    there = _whole(known)
    if there and "config.json" not in there and not (workdir / "config.json").exists():
        raise UsageError(
            f"{bucket.place}: holds {next(iter(there))}, and no run; give the folder of one"
        )
    record, session = _record(workdir), _session(bucket)
    if session is None and not there:  # nobody's: it was emptied
        (workdir / SESSION).unlink(missing_ok=True)
    # What was fetched or sent when a process was killed, and not recorded any more.
    for name in _changed(workdir, record):
        if name in there and same(bucket, workdir, name, there[name]):
            record[name] = Both(state_of(workdir / name), version_of(there[name]))
    changed = _changed(workdir, record)
    new = [name for name in there if not _as_recorded(record, name, there)]
    gone = [name for name in record if name not in known]
    if session == _session_here(workdir):  # this machine is ahead
        for name in gone:
            del record[name]  # so it is sent again
        wanted = [
            name
            for name in new
            if name not in changed and (name not in record or (workdir / name).exists())
        ]
    else:
        unsent = [name for name in changed if name in new or name in gone]
        if unsent or (changed and _session_here(workdir)):
            aside = workdir.with_name(f"{workdir.name}.{uuid4().hex[:8]}")
            workdir.rename(aside)
            say(
                f"{bucket.place}: another machine went on; what was not sent from here is in "
                f"{aside}"
            )
            record, new = {}, list(there)
        for name in gone:
            record.pop(name, None)
            _remove(workdir, name)
        wanted = [name for name in there if name in new or not (workdir / name).exists()]
    workdir.mkdir(parents=True, exist_ok=True)
    _write_record(workdir, record)
    for name in wanted:
        if fetched(bucket, workdir, name):
            _note(workdir, record, name, Both(state_of(workdir / name), version_of(there[name])))
        else:  # removed meanwhile
            _remove(workdir, name)


def _whole(known: Known) -> Known:
    """Without checkpoints that are half sent, or half removed."""
    steps = {match[1] for name in known if (match := CHECKPOINT.match(name)) and match[2] == LAST}
    return {
        name: info
        for name, info in known.items()
        if not (match := CHECKPOINT.match(name)) or match[1] in steps
    }


def _remove(workdir: Path, name: str) -> None:
    """Removes a file; of a checkpoint, all of it, as a part of one is none."""
    (workdir / name).unlink(missing_ok=True)
    if match := CHECKPOINT.match(name):
        shutil.rmtree(workdir / "checkpoints" / match[1], ignore_errors=True)


def _push(bucket: Bucket, workdir: Path, trains: bool = False) -> None:
    """Sends what was changed here; of a run that went on elsewhere, what that has not touched."""
    with _alone(workdir):
        record = _record(workdir)
        changed = _changed(workdir, record)
        if not (changed or trains):
            return
        known, session = listed(bucket), _session(bucket)
        ahead = session == _session_here(workdir)
        if trains and not ahead:
            raise UsageError(
                f"{bucket.place}: another machine trains in it now, or {workdir} was removed; what "
                "was not sent is there"
            )
        gone = [name for name in record if name not in known]
        for name in sorted({*changed, *gone}, key=_order):
            touched = CHECKPOINT.match(name) or not _as_recorded(record, name, known)
            if ahead or not touched:
                _send(bucket, workdir, record, name)
        steps = saved_steps(workdir) if trains else []
        for name in sorted(known, key=_order, reverse=True):  # first what says that it is whole
            match = CHECKPOINT.match(name)
            # No longer kept, now that a newer one is there.
            if match and steps and int(match[1]) <= steps[-1] and not (workdir / name).exists():
                with reached(bucket), suppress(FileNotFoundError):
                    bucket.files.rm_file(f"{bucket.root}/{name}")
                record.pop(name, None)
        _write_record(workdir, record)


def _send(bucket: Bucket, workdir: Path, record: Record, name: str) -> None:
    path = workdir / name
    try:
        state = state_of(path)
        version = sent(bucket, workdir, name)
    except (FileNotFoundError, UsageError):
        if path.exists():
            raise
        return  # of a checkpoint that is no longer kept
    _note(workdir, record, name, Both(state, version))


def _order(name: str) -> tuple[bool, bool, str]:
    """A checkpoint says that all before it is there, and its last file that it is whole."""
    return name.startswith("checkpoints/"), PurePath(name).name == LAST, name


def _changed(workdir: Path, record: Record) -> list[str]:
    """The files that are not as they were when both sides had the same."""
    return [
        name
        for name, state in files_of(workdir).items()
        if name not in record or record[name].state != state
    ]


def _as_recorded(record: Record, name: str, known: Known) -> bool:
    """Whether nobody has changed a file of the bucket since."""
    recorded = record[name].version if name in record else None
    return recorded == (version_of(known[name]) if name in known else None)


def _record(workdir: Path) -> Record:
    """What `_note` has written; a last line that it could not end is left out."""
    record, path = {}, workdir / RECORD
    for line in path.read_text().splitlines() if path.exists() else ():
        with suppress(ValueError):
            name, time, size, version = json.loads(line)
            record[name] = Both((time, size), version)
    return record


def _write_record(workdir: Path, record: Record) -> None:
    write_whole(workdir / RECORD, "".join(_line(name, both) for name, both in record.items()))


def _note(workdir: Path, record: Record, name: str, both: Both) -> None:
    """At once, as this process may be killed."""
    record[name] = both
    with (workdir / RECORD).open("a") as file:
        file.write(_line(name, both))


def _line(name: str, both: Both) -> str:
    return json.dumps([name, *both.state, both.version]) + "\n"


def _session(bucket: Bucket) -> str | None:
    """Who trained last in a bucket."""
    with reached(bucket), suppress(FileNotFoundError):
        return bucket.files.cat_file(f"{bucket.root}/{SESSION}").decode()
    return None


def _session_here(workdir: Path) -> str | None:
    """The same, if that was this machine."""
    path = workdir / SESSION
    return path.read_text() if path.exists() else None


def _begin(bucket: Bucket, workdir: Path) -> None:
    """From now on this machine has what the bucket may lack."""
    session = _session(bucket)
    if session is None or session != _session_here(workdir):
        session = uuid4().hex
        with reached(bucket):
            bucket.files.pipe_file(f"{bucket.root}/{SESSION}", session.encode())
        write_whole(workdir / SESSION, session)


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
def _kept_up_to_date(bucket: Bucket, workdir: Path) -> Iterator[None]:
    done = threading.Event()

    def keep_sending() -> None:
        failed = False
        while not done.wait(EVERY):
            try:
                _push(bucket, workdir, trains=True)
                failed = False
            except (UsageError, OSError) as error:
                if not failed:
                    tell(f"NOT UP TO DATE: {error}", sys.stderr)
                failed = True

    def finish() -> None:
        done.set()
        thread.join()
        _push(bucket, workdir, trains=True)

    thread = threading.Thread(target=keep_sending, daemon=True)
    thread.start()
    with _and_then(finish):
        yield


@contextmanager
def _and_then(send: Callable[[], None]) -> Iterator[None]:
    """Sends what a command made, also where it failed: that is told, and not that sending did."""
    try:
        yield
    except BaseException:
        try:
            send()
        except (UsageError, OSError) as error:
            tell(f"NOT UP TO DATE: {error}", sys.stderr)
        raise
    send()
