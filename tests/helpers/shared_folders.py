"""Folders that take long to make, and that all workers of pytest-xdist share.

Every worker makes the fixtures of a session or a module for itself.
"""

import fcntl
import os
import shutil


def make_once(tmp_path_factory, name, make):
    """The folder `name`, which `make(folder)` fills in the first worker that needs it.

    The folder is for reading: several workers use it at the same time.
    """
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_TESTRUNUID" in os.environ:  # a worker's folder is inside that of the session
        base = base.parent
    folder, done = base / name, base / f"{name}.done"
    with (base / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)  # what another worker left when it failed
            folder.mkdir()
            make(folder)
            done.touch()
    return folder


def copy_once(tmp_path_factory, name, make):
    """A worker's own copy of the folder that `make_once` makes; tests may change the copy."""
    folder = make_once(tmp_path_factory, name, make)
    return shutil.copytree(folder, tmp_path_factory.mktemp(name), dirs_exist_ok=True)
