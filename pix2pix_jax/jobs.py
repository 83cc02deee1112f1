"""What is to be translated, and where it goes."""

import glob
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from pix2pix_jax.before_after import PAGE
from pix2pix_jax.config import UsageError
from pix2pix_jax.data.sources import SUFFIXES, walk

READABLE = SUFFIXES | {".npy"}


class Job(NamedTuple):
    """A file to translate."""

    path: Path
    name: str  # of what comes out, below the output folder and without its suffix


def find_jobs(source: str, output: Path) -> list[Job]:
    """What is to be translated, in order.

    Raises:
      UsageError: there is nothing, or outputs would take the place of what is not theirs.
    """
    root = Path(source).expanduser()
    if root.is_dir():
        files = [path for path in walk(root) if _is_readable(path.relative_to(root))]
    elif root.is_file():
        root, files = root.parent, [root]
    elif glob.has_magic(str(root)):
        found = sorted(map(Path, glob.glob(str(root), recursive=True)))
        files = [path for path in found if path.is_file()]
        parts = root.parts[: [glob.has_magic(part) for part in root.parts].index(True)]
        root = Path(*parts)
    else:
        raise UsageError(f"--input: {source} does not exist; mend the path")
    if output.is_file() or output.suffix.lower() in READABLE:
        raise UsageError(f"--output: {output} is a file; give a folder, which may be a new one")
    ours, within = (output / PAGE).exists(), output.resolve()
    inside = [path for path in files if path.resolve().is_relative_to(within)]
    if inside and not ours:
        raise UsageError(f"--output: {output} holds images to translate; give a folder of its own")
    files = [path for path in files if path not in inside]  # those of the last time
    if not files:
        raise UsageError(f"--input: {source} holds no images ({', '.join(sorted(READABLE))})")
    stems = Counter(path.relative_to(root).with_suffix("") for path in files)
    jobs = []
    for path in files:
        name = path.relative_to(root)
        alone = stems[name.with_suffix("")] == 1  # or both keep what tells them apart
        jobs.append(Job(path, str(name.with_suffix("") if alone else name)))
    there = [output / (job.name + suffix) for job in jobs for suffix in (".png", ".npy")]
    lost = next((path for path in there if path.exists()), None)
    if lost and not ours:
        raise UsageError(f"--output: {lost} is there, and not from here; give another folder")
    return jobs


def _is_readable(path: Path) -> bool:
    hidden = any(part.startswith(".") for part in path.parts)
    return path.suffix.lower() in READABLE and not hidden
