"""What is to be translated, and where it goes."""

import glob
import json
import os
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from pydantic import TypeAdapter, ValidationError

from pix2pix_jax.before_after import PAGE
from pix2pix_jax.config import UsageError
from pix2pix_jax.data.sources import SUFFIXES, walk
from pix2pix_jax.files import write_whole

WRITTEN = ".translated.json"  # in the output folder: the names of what is from here
READABLE = SUFFIXES | {".npy"}


class Job(NamedTuple):
    """A file to translate."""

    path: Path
    name: str  # of what comes out, below the output folder and without its suffix


def find_jobs(source: str, output: Path, samples: int = 1) -> list[Job]:
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
        found = sorted(Path(os.path.normpath(p)) for p in glob.glob(str(root), recursive=True))
        files = [path for path in found if path.is_file()]
        parts = root.parts[: [glob.has_magic(part) for part in root.parts].index(True)]
        root = Path(*parts)
    else:
        raise UsageError(f"--input: {source} does not exist; mend the path")
    if output.is_file() or output.suffix.lower() in READABLE:
        raise UsageError(f"--output: {output} is a file; give a folder, which may be a new one")
    ours = written(output)
    inside = {path for path in files if path.resolve().is_relative_to(output.resolve())}
    if any(str(path.resolve().relative_to(output.resolve())) not in ours for path in inside):
        raise UsageError(f"--output: {output} holds images to translate; give a folder of its own")
    files = [path for path in files if path not in inside]  # those of the last time
    if not files:
        raise UsageError(f"--input: {source} holds no images ({', '.join(sorted(READABLE))})")
    names = [Path(os.path.relpath(path, root)) for path in files]
    stems = Counter(name.with_suffix("") for name in names)
    jobs = [  # of one stem, each keeps what tells it apart
        Job(path, str(name.with_suffix("") if stems[name.with_suffix("")] == 1 else name))
        for path, name in zip(files, names, strict=True)
    ]
    claim(output, [*(name for job in jobs for name in outputs_of(job, samples)), PAGE], ours)
    return jobs


def outputs_of(job: Job, samples: int) -> list[str]:
    """All that a job may write, below the output folder."""
    parts = [f"_sample{number}" for number in range(1, samples + 1)] if samples > 1 else [""]
    return [job.name + part + suffix for part in parts for suffix in (".png", ".npy")]


def written(output: Path) -> set[str]:
    """What was written there before, and may be replaced."""
    try:
        return set(TypeAdapter(list[str]).validate_json((output / WRITTEN).read_bytes()))
    except (OSError, ValidationError):
        return set()


def claim(output: Path, names: list[str], ours: set[str]) -> None:
    """Notes what is about to be written, for the next time.

    Raises:
      UsageError: a file of somebody else is in its place, or that lies elsewhere, or two are one.
    """
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise UsageError(f"--input: two images would become {twice[0]}; rename one")
    for name in names:
        path = output / name
        if not path.resolve().is_relative_to(output.resolve()):
            raise UsageError(f"--output: {path} lies elsewhere; give a folder without such links")
        if name not in ours and path.exists():
            raise UsageError(f"--output: {path} is there, and not from here; give another folder")
    write_whole(output / WRITTEN, json.dumps(sorted(ours | set(names))))


def _is_readable(path: Path) -> bool:
    hidden = any(part.startswith(".") for part in path.parts)
    return path.suffix.lower() in READABLE and not hidden
