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
from pix2pix_jax.console import counted, say
from pix2pix_jax.data.sources import SUFFIXES, is_file, walk
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
    root, files = listed(source)
    if output.is_file() or output.suffix.lower() in READABLE:
        kind = "is" if output.is_file() else "is called like"
        raise UsageError(f"--output: {output} {kind} a file; give a folder, which may be new")
    if any(path.resolve().is_relative_to(output.resolve()) for path in files):
        raise UsageError(f"--output: {output} holds images to translate; give a folder of its own")
    if not files:
        raise UsageError(f"--input: {source} holds no images ({', '.join(sorted(READABLE))})")
    names = [Path(os.path.relpath(path, root)) for path in files]
    stems = Counter(name.with_suffix("") for name in names)
    jobs = [  # of one stem, each keeps what tells it apart
        Job(path, str(name.with_suffix("") if stems[name.with_suffix("")] == 1 else name))
        for path, name in zip(files, names, strict=True)
    ]
    claim(output, [*(name for job in jobs for name in outputs_of(job, samples)), PAGE])
    return jobs


def listed(source: str) -> tuple[Path, list[Path]]:
    """A folder, and the files in it that are to be translated, in order.

    Raises:
      UsageError: there is no such thing.
    """
    root = Path(source).expanduser()
    if root.is_dir():
        files = [path for path in walk(root) if _is_readable(path.relative_to(root))]
    elif root.is_file():
        return root.parent, [root]
    elif glob.has_magic(str(root)):
        files = _matched(str(root))
        parts = root.parts[: [glob.has_magic(part) for part in root.parts].index(True)]
        root = Path(*parts)
    else:
        raise UsageError(f"--input: {source} does not exist; mend the path")
    # Of what lies below: whoever gives such a folder itself means what is in it.
    folders = {folder for path in files for folder in path.relative_to(root).parents}
    folders = {root / folder for folder in folders if folder.parts}
    old = {folder / name for folder in folders for name in written(folder)}.intersection(files)
    if old:
        say(
            f"{source}: passed over {counted(len(old), 'file')} that came out of translate; "
            "give their folder itself to translate them"
        )
    return root, [path for path in files if path not in old]


def _matched(pattern: str) -> list[Path]:
    """The files of a pattern, each once where links to folders go in circles."""
    found = set(map(Path, glob.glob(pattern, recursive=True)))
    folders: dict[str, Path] = {}
    for path in sorted(found, key=lambda path: (len(path.parts), path)):
        folders.setdefault(os.path.realpath(path.parent), path.parent)
    return sorted(
        path
        for path in found
        if is_file(path) and folders[os.path.realpath(path.parent)] == path.parent
    )


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


def claim(output: Path, names: list[str]) -> None:
    """Notes what is about to be written, for the next time.

    Raises:
      UsageError: a file of somebody else is in its place, or that lies elsewhere, or two are one.
    """
    ours, twice = written(output), [name for name, count in Counter(names).items() if count > 1]
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
