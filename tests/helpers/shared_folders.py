"""Folders that take long to make, and that all workers of pytest-xdist share.

Every worker makes its own fixtures, even those of a session. A fixture that calls `make_once` gets
the same folder in all workers.
"""

import fcntl
import os
import shutil


def make_once(tmp_path_factory, name, make):
    """The folder `name`, which `make(folder)` fills in the first worker that needs it.

    Tests must not change the folder, because several workers use it at the same time.
    """
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_TESTRUNUID" in os.environ:  # The folder above is the session's.
        base = base.parent
    folder, done = base / name, base / f"{name}.done"
    with (base / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)  # Another worker may have failed.
            folder.mkdir()
            make(folder)
            done.touch()
    return folder


def copy_once(tmp_path_factory, name, make):
    """A worker's own copy of the folder that `make_once` makes; tests may change the copy."""
    folder = make_once(tmp_path_factory, name, make)
    return shutil.copytree(folder, tmp_path_factory.mktemp(name), dirs_exist_ok=True)
