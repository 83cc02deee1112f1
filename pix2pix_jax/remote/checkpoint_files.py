"""Tells which files of a run belong to its checkpoints.

A file is named by its path in the workdir. A checkpoint consists of many files, which are uploaded
one after another. The last of these files marks the checkpoint as complete.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePath
from typing import TypeVar

from pix2pix_jax.runs.workdir import Workdir

CHECKPOINTS = Workdir(Path()).checkpoints_folder.as_posix()  # "checkpoints", as in every workdir
LAST_FILE = "_CHECKPOINT_METADATA"  # uploaded last and removed first

_CHECKPOINT_FILE = re.compile(rf"{CHECKPOINTS}/(\d+)/(.*)")
File = TypeVar("File")


def checkpoint_step(name: str) -> int | None:
    """The step of the checkpoint that a file belongs to; None if there is no such checkpoint."""
    match = _CHECKPOINT_FILE.match(name)
    return int(match[1]) if match else None


def complete_files(files: Mapping[str, File]) -> dict[str, File]:
    """All files except the files of checkpoints that are half uploaded or half removed."""
    steps = {
        match[1]
        for name in files
        if (match := _CHECKPOINT_FILE.match(name)) and match[2] == LAST_FILE
    }
    return {
        name: file
        for name, file in files.items()
        if not (match := _CHECKPOINT_FILE.match(name)) or match[1] in steps
    }


def upload_order(names: Iterable[str]) -> list[str]:
    """Sorts files into the order in which they are uploaded or downloaded.

    Checkpoints come after all other files, so that a checkpoint is never there without the metrics
    before its step. The files that mark checkpoints as complete come last.
    """
    return sorted(
        names,
        key=lambda name: (
            name.startswith(f"{CHECKPOINTS}/"), PurePath(name).name == LAST_FILE, name
        ),
    )  # fmt: skip
