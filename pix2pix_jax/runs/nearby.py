"""Finds the runs near a folder that is not a run, so that an error can name them.

Every command imports this module, so it imports no library that loads slowly.
"""

import os
from collections.abc import Iterator
from difflib import SequenceMatcher
from itertools import islice
from pathlib import Path

from pix2pix_jax.errors import UsageError
from pix2pix_jax.runs.workdir import SweepFolder, Workdir

MAX_NAMED = 3  # the most runs that an error names
# A search looks at a limited number of files and folders, because each may take a millisecond on a
# network disk.
MAX_ENTRIES = 600
MAX_ENTRIES_OF_FOLDER = 200


def explain_no_run(workdir: Workdir) -> UsageError:
    """The error for a workdir that is not the workdir of a run; it names runs nearby.

    Args:
      workdir: the workdir, which may not exist.
    """
    examples = name_runs_nearby(workdir)
    if SweepFolder(workdir.path).results_file.exists():
        problem = f"--workdir: {workdir} is the folder of a sweep"
        return UsageError(problem, f"give the folder of one of the runs inside it{examples}")
    is_elsewhere = not (examples or workdir.address or workdir.path.is_absolute())
    place = f" in {Path.cwd()}" if is_elsewhere else ""  # The run may be in another folder.
    return UsageError(
        f"{workdir.config_file}: not found{place}, so {workdir} is not the workdir of a run",
        f"give the --workdir of a run{examples}, or start a run with `pix2pix train --config=FILE`",
    )


def name_runs_nearby(workdir: Workdir) -> str:
    """A part of an error line, ", such as RUN or RUN"; "" if there are no runs near a workdir."""
    runs = [] if workdir.address else find_runs_nearby(workdir.path)
    return f", such as {' or '.join(runs)}" if runs else ""


def find_runs_nearby(folder: Path) -> list[str]:
    """The paths of at most MAX_NAMED runs near a folder, the most similar path first.

    A folder inside a run belongs to this run. Otherwise, the runs nearby are inside the folder or
    beside it; if these are few, also those inside the current folder.

    Args:
      folder: the folder, which may not exist.
    """
    for parent in folder.parents:
        if is_run(parent):
            return [str(parent)]
    existing = next((place for place in (folder, *folder.parents) if place.is_dir()), Path())
    search = _Search()
    found: dict[Path, str] = {}  # paths as the user would write them, by absolute path
    for place in (existing, existing.parent, Path()):
        if len(found) < MAX_NAMED and place.resolve() != Path(place.anchor or "/"):
            found |= {run.resolve(): str(run) for run in search.runs_inside(place)}
    likeness = {run: SequenceMatcher(None, run, str(folder)).ratio() for run in found.values()}
    return sorted(likeness, key=lambda run: -likeness[run])[:MAX_NAMED]


def is_run(folder: Path) -> bool:
    """Whether a folder is the workdir of a run with a config and checkpoints."""
    workdir = Workdir(folder)
    return workdir.config_file.is_file() and workdir.checkpoints_folder.is_dir()


class _Search:
    """A search for runs that ends after MAX_ENTRIES files and folders."""

    def __init__(self) -> None:
        self._entries = MAX_ENTRIES  # the number of entries that are left

    def runs_inside(self, folder: Path) -> Iterator[Path]:
        """Yields the runs in a folder and in its folders."""
        children = list(self._folders(folder))
        yield from filter(is_run, children)
        for child in children:
            yield from filter(is_run, self._folders(child))

    def _folders(self, folder: Path) -> Iterator[Path]:
        """Yields the folders in a folder; nothing if the folder cannot be read."""
        if not self._entries:
            return
        try:
            with os.scandir(folder) as entries:
                for entry in islice(entries, min(self._entries, MAX_ENTRIES_OF_FOLDER)):
                    self._entries -= 1
                    if not entry.name.startswith(".") and entry.is_dir():
                        yield folder / entry.name
        except OSError:
            return
