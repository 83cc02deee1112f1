"""Locks on folders that several processes may want at the same time."""

import errno
import fcntl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

NO_LOCK_ERRNOS = (errno.EACCES, errno.EROFS, errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS)


@contextmanager
def folder_lock(folder: Path, wait: bool) -> Iterator[bool]:
    """Holds a folder for the `with` block; the lock is gone with the process, however it ends.

    Args:
      folder: is made if it is not there.
      wait: for whoever holds it.

    Yields:
      Whether it is ours alone: not so on disks that are read-only or have no locks.

    Raises:
      BlockingIOError: another process holds it, and `wait` is False.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        try:
            file = stack.enter_context((folder / ".lock").open("w"))
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if not wait:
                    raise
                print(f"{folder}: waiting for another process to finish there", flush=True)
                fcntl.flock(file, fcntl.LOCK_EX)
        except OSError as error:
            if error.errno not in NO_LOCK_ERRNOS:
                raise
            yield False
        else:
            yield True
