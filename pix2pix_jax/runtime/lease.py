"""Who is at work in a folder, on disks that several hosts share and that may know no locks.

Whoever is writes its name there, and a new number every few seconds. Clocks are not compared: to
see whether another one lives, its number is watched.
"""

import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from socket import gethostname
from uuid import uuid4

from pix2pix_jax.runtime.console import say
from pix2pix_jax.runtime.files import write_atomically
from pix2pix_jax.runtime.locks import NO_LOCK_ERRNOS

BEAT = 5  # seconds between two numbers
DEAD = 20  # seconds without a new one after which somebody is


def _overwrite(path: Path, text: str) -> None:
    """In place, which needs no room on a full disk."""
    with path.open("r+") as file:
        file.write(text)


@contextmanager
def folder_lease(
    folder: Path,
    flocked: bool,
    read: Callable[[Path], bytes] = Path.read_bytes,
    write: Callable[[Path, str], None] = write_atomically,
    write_again: Callable[[Path, str], None] = _overwrite,
    remove: Callable[[Path], None] = Path.unlink,
) -> Iterator[None]:
    """Holds a folder for the `with` block; the lease of a process that is gone runs out.

    Args:
      folder: to work in.
      flocked: whether it is locked against all processes of this host.
      read, write, write_again, remove: of the file .lease in it.

    Raises:
      BlockingIOError: another process is at work there.
    """
    path, name, host = folder / ".lease", uuid4().hex, _host()
    look = partial(_parsed, read, path)
    found = look()  # or it cannot be known, which is no permission
    if found and not (flocked and found.get("host") == host):
        _watch(folder, found, look)
    named, done = f"process {os.getpid()} on {gethostname()}", threading.Event()

    def text(number: int) -> str:
        return json.dumps({"name": name, "host": host, "named": named, "beat": f"{number:9}"})

    def beat() -> None:
        number = 0
        while not done.wait(BEAT):
            other = {}
            with suppress(Exception):  # whatever a disk or a network has, it may be back soon
                other = look()
            if other.get("name", name) != name:
                # This process was held up for so long that it was taken for dead.
                message = f"{folder}: {other.get('named')} has taken it over; this process ends"
                print(message, file=sys.stderr, flush=True)
                os._exit(2)
            number += 1
            with suppress(Exception):
                write_again(path, text(number))

    try:
        write(path, text(0))
    except OSError as error:
        if error.errno not in NO_LOCK_ERRNOS:
            raise
        yield  # nobody can write here
        return
    if not flocked:  # of two that come at once, the last to write it stays
        time.sleep(BEAT / 2)
        if (other := look()).get("name", name) != name:
            raise BlockingIOError(f"{other.get('named')} is at work in {folder}")
    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        with suppress(Exception):
            if look().get("name") == name:
                remove(path)


def _watch(folder: Path, found: dict, look: Callable[[], dict]) -> None:
    """Raises BlockingIOError unless the one that a lease tells of is dead."""
    say(f"{folder}: watching for {DEAD} s whether {found.get('named')} is still at work there")
    until = time.monotonic() + DEAD
    while time.monotonic() < until:
        time.sleep(BEAT / 5)
        if look() not in (found, {}):
            raise BlockingIOError(f"{found.get('named')} is at work in {folder}")


def _parsed(read: Callable[[Path], bytes], path: Path) -> dict:
    """What stands in a lease; nothing where there is none, or half of one."""
    try:
        content = json.loads(read(path))
    except (FileNotFoundError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _host() -> str:
    """A name that no other host has, nor this one after it was started anew."""
    boot = Path("/proc/sys/kernel/random/boot_id")
    return boot.read_text().strip() if boot.exists() else gethostname()
