"""A run whose workdir is in a bucket: fetched first, sent while it goes on, trained by one machine.

Of every file a record is kept: its state here and its version there when both were last the same.
So it is known which side has changed it, whatever was killed, and wherever else the run went on.
"""

import json
import re
import shutil
import sys
import threading
from collections.abc import Callable, Container, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path, PurePath
from typing import NamedTuple
from uuid import uuid4

from pix2pix_jax.checkpoints.reader import is_sound, saved_steps
from pix2pix_jax.errors import UsageError
from pix2pix_jax.runs.ownership import explain_busy_workdir
from pix2pix_jax.runs.workdir import Workdir
from pix2pix_jax.runtime.bucket import (
    Bucket,
    Known,
    State,
    download_file,
    explain_bucket_errors,
    file_state,
    is_same_file,
    list_files,
    local_files,
    open_bucket,
    upload_file,
    version_of,
)
from pix2pix_jax.runtime.console import print_above_bar, say
from pix2pix_jax.runtime.files import write_atomically
from pix2pix_jax.runtime.lease import LEASE_NAME, FolderLease
from pix2pix_jax.runtime.locks import folder_lock

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
def sync_workdir(run: Workdir, trains: bool = False) -> Iterator[None]:
    """Fetches what a workdir stands for, and sends what is new in the `with` block.

    Args:
      run: its workdir; without an address there is nothing to do.
      trains: whether a run goes on in it, which one process may do.

    Raises:
      Occupied: another process trains in it.
      UsageError: the bucket cannot be reached; what could not be sent stays in the folder.
    """
    if run.address is None:
        yield
        return
    bucket, workdir = open_bucket(run.address), run.path
    with ExitStack() as stack:
        with _alone(workdir):
            if trains:
                stack.enter_context(explain_busy_workdir(bucket.place))
                stack.enter_context(folder_lock(_beside(workdir) / "trains", wait=False))
                with explain_bucket_errors(bucket):
                    stack.enter_context(FolderLease(LeaseObject(bucket), is_locked=False))
                _pull(bucket, workdir)
                _begin(bucket, workdir)
            elif not _trained_here(workdir):
                _pull(bucket, workdir)
        if trains:
            stack.enter_context(_kept_up_to_date(bucket, workdir))
        else:
            stack.enter_context(_and_then(lambda: _push(bucket, workdir)))
        yield


def config_at_hand(workdir: Workdir) -> Path:
    """Where the config.json of a run can be read, before it is known who trains it."""
    if workdir.address:
        copy = _beside(workdir.path) / workdir.config_file.name
        if download_file(open_bucket(workdir.address), copy.parent, copy.name):
            return copy
    return workdir.config_file


def _beside(workdir: Path) -> Path:
    return workdir.with_name(f".{workdir.name}.mirror")


def _alone(workdir: Path) -> AbstractContextManager[bool]:
    """One process at a time fetches or sends."""
    return folder_lock(_beside(workdir), wait=True)


def _trained_here(workdir: Path) -> bool:
    """Whether a process of this machine trains; to be asked alone, or it is in the way of one."""
    try:
        with folder_lock(_beside(workdir) / "trains", wait=False):
            return False
    except BlockingIOError:
        return True


def _pull(bucket: Bucket, workdir: Path) -> None:
    """Makes the folder what is in the bucket, but for what this machine has not sent yet.

    Where another one went on with the run, what was not sent from here is set aside.
    """
    known = list_files(bucket)
    there = _whole(known)
    nested = next((name for name in there if name.endswith("/config.json")), None)
    if nested and "config.json" not in there:
        raise UsageError(f"{bucket.place}: holds {nested}, and no run; give the folder of one")
    record, session, here = _record(workdir), _session(bucket), _session_here(workdir)
    # What was fetched or sent when a process was killed, and not recorded any more.
    for name in _changed(workdir, record):
        if name in there and is_same_file(bucket, workdir, name, there[name]):
            record[name] = Both(file_state(workdir / name), version_of(there[name]))
    changed = _changed(workdir, record)
    damaged = _damaged(workdir, changed, record, there)
    changed = [name for name in changed if name not in damaged]
    new = [name for name in there if not _as_recorded(record, name, there)]
    gone = [name for name in record if name not in known]
    if _is_ahead(session, here):
        for name in gone:
            del record[name]  # so it is sent again
        wanted = [
            name
            for name in new
            if name not in changed and (name not in record or (workdir / name).exists())
        ]
    else:
        emptied = record and session is None and not known
        unsent = [name for name in changed if name in new or name in gone]
        if emptied or (here and changed):
            _set_aside(bucket, workdir, ["."])
            record, new = {}, list(there)
        elif unsent:
            _set_aside(bucket, workdir, unsent)
        for name in gone:
            record.pop(name, None)
            _remove(workdir, name)
        wanted = [name for name in there if name in new or not (workdir / name).exists()]
        (workdir / SESSION).unlink(missing_ok=True)  # this machine follows
    workdir.mkdir(parents=True, exist_ok=True)
    _write_record(workdir, record)
    vanished = set()  # of checkpoints that were removed meanwhile, files
    for name in sorted({*wanted, *damaged}, key=_order):
        if download_file(bucket, workdir, name):
            _note(workdir, record, name, Both(file_state(workdir / name), version_of(there[name])))
        else:
            vanished.add(name)
    for name in vanished:
        _remove(workdir, name)


def _is_ahead(session: str | None, here: str | None) -> bool:
    """Whether this machine is the one that trained last."""
    return session is not None and session == here


def _whole(known: Known) -> Known:
    """Without checkpoints that are half sent, or half removed."""
    steps = {match[1] for name in known if (match := CHECKPOINT.match(name)) and match[2] == LAST}
    return {
        name: info
        for name, info in known.items()
        if not (match := CHECKPOINT.match(name)) or match[1] in steps
    }


def _damaged(workdir: Path, changed: list[str], record: Record, known: Known) -> list[str]:
    """Files of checkpoints that were the same on both sides, and are good in the bucket alone."""
    files = [name for name in changed if CHECKPOINT.match(name) and name in record]
    unsound = {
        step
        for step in {CHECKPOINT.match(name)[1] for name in files}
        if not is_sound(workdir / "checkpoints" / step)
    }
    return [
        name
        for name in files
        if CHECKPOINT.match(name)[1] in unsound and _as_recorded(record, name, known)
    ]


def _set_aside(bucket: Bucket, workdir: Path, names: list[str]) -> None:
    """Moves files of a workdir, or all of it, to a folder beside it."""
    aside = workdir.with_name(f"{workdir.name}.{uuid4().hex[:8]}")
    for name in names:
        (aside / name).parent.mkdir(parents=True, exist_ok=True)
        (workdir / name).rename(aside / name)
    say(f"{bucket.place}: others went on with it; what was not sent from here is in {aside}")


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
        known, session = list_files(bucket), _session(bucket)
        ahead = _is_ahead(session, _session_here(workdir))
        if trains and not ahead:
            raise UsageError(f"{bucket.place}: {_why_not_ahead(session, workdir)}")
        if trains:  # or a step that is saved anew would be mixed with what it was
            _remove_there(bucket, workdir, record, known, _rejected(workdir))
        damaged = _damaged(workdir, changed, record, known)
        gone = [name for name in record if name not in known]
        for name in sorted({*changed, *gone} - {*damaged}, key=_order):
            # Of a run that nobody has trained yet, as an import, a checkpoint is new.
            others = CHECKPOINT.match(name) and (session is not None or name in record)
            if ahead or not (others or not _as_recorded(record, name, known)):
                _send(bucket, workdir, record, name)
        if trains and (steps := saved_steps(Workdir(workdir))):  # newer ones are there now
            _remove_there(bucket, workdir, record, known, range(steps[-1]))
        _write_record(workdir, record)


def _why_not_ahead(session: str | None, workdir: Path) -> str:
    if not workdir.exists():
        return f"{workdir}, which stood for it, was removed; the same command goes on from there"
    what = "was emptied" if session is None else "another machine trains in it now"
    return f"{what}; what was not sent is in {workdir}"


def _rejected(workdir: Path) -> set[int]:
    """The steps of checkpoints that were moved aside."""
    names = (path.name.partition("-")[0] for path in (workdir / "rejected").glob("*-*"))
    return {int(name) for name in names if name.isdecimal()}


def _remove_there(
    bucket: Bucket, workdir: Path, record: Record, known: Known, steps: Container[int]
) -> None:
    """Removes checkpoints of these steps from the bucket, where they are not here any more."""
    for name in sorted(known, key=_order, reverse=True):  # first what says that it is whole
        match = CHECKPOINT.match(name)
        if match and int(match[1]) in steps and not (workdir / name).exists():
            with explain_bucket_errors(bucket), suppress(FileNotFoundError):
                bucket.files.rm_file(f"{bucket.root}/{name}")
            record.pop(name, None)
            del known[name]


def _send(bucket: Bucket, workdir: Path, record: Record, name: str) -> None:
    path = workdir / name
    try:
        both = upload_file(bucket, workdir, name)
    except (FileNotFoundError, UsageError):
        if path.exists():
            raise
        return  # of a checkpoint that is no longer kept
    if both is not None:
        _note(workdir, record, name, Both(*both))


def _order(name: str) -> tuple[bool, bool, str]:
    """A checkpoint says that all before it is there, and its last file that it is whole."""
    return name.startswith("checkpoints/"), PurePath(name).name == LAST, name


def _changed(workdir: Path, record: Record) -> list[str]:
    """The files that are not as they were when both sides had the same."""
    return [
        name
        for name, state in local_files(workdir).items()
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
    write_atomically(workdir / RECORD, "".join(_line(name, both) for name, both in record.items()))


def _note(workdir: Path, record: Record, name: str, both: Both) -> None:
    """At once, as this process may be killed."""
    record[name] = both
    with (workdir / RECORD).open("a") as file:
        file.write(_line(name, both))


def _line(name: str, both: Both) -> str:
    return json.dumps([name, *both.state, both.version]) + "\n"


def _session(bucket: Bucket) -> str | None:
    """Who trained last in a bucket."""
    with explain_bucket_errors(bucket), suppress(FileNotFoundError):
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
        with explain_bucket_errors(bucket):
            bucket.files.pipe_file(f"{bucket.root}/{SESSION}", session.encode())
        write_atomically(workdir / SESSION, session)


class LeaseObject:
    """A lease in an object of the bucket."""

    def __init__(self, bucket: Bucket):
        self._bucket = bucket
        self._path = f"{bucket.root}/{LEASE_NAME}"

    def __str__(self) -> str:
        return self._bucket.place

    def read(self) -> bytes:
        return self._bucket.files.cat_file(self._path)

    def write(self, text: str) -> None:
        self._bucket.files.pipe_file(self._path, text.encode())

    def renew(self, text: str) -> None:
        self.write(text)

    def remove(self) -> None:
        self._bucket.files.rm_file(self._path)


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
                    print_above_bar(f"NOT UP TO DATE: {error}", sys.stderr)
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
            print_above_bar(f"NOT UP TO DATE: {error}", sys.stderr)
        raise
    send()
