"""Locks on folders that several processes of one host need."""

import errno
import fcntl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from pix2pix_jax.runtime.console import say

# Errors of the system for disks that are read-only or that offer no locks.
NO_LOCK_ERRNOS = (errno.EACCES, errno.EROFS, errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS)


@contextmanager
def folder_lock(folder: Path, wait: bool) -> Iterator[bool]:
    """Locks a folder for the `with` block.

    The operating system frees the lock when the process ends, even if the process is killed. On
    some network disks the lock stops only processes of this host; `FolderLease` stops other hosts.

    Args:
      folder: the folder to lock; created if it does not exist.
      wait: whether to print a line and wait while another process holds the lock.

    Yields:
      True if the folder is locked; False if the block runs without a lock, because the disk is
      read-only or offers no locks.

    Raises:
      BlockingIOError: another process holds the lock, and `wait` is False.
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
                say(f"{folder}: waiting until another process releases this folder")
                fcntl.flock(file, fcntl.LOCK_EX)
        except OSError as error:
            if error.errno not in NO_LOCK_ERRNOS:
                error.filename = str(folder)  # The user does not know the file of the lock.
                raise
            yield False
        else:
            yield True
