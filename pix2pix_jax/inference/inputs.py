"""What is to be translated, and where it goes."""

import glob
import json
import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple

from pix2pix_jax.data.sources import SUFFIXES, walk
from pix2pix_jax.errors import UsageError
from pix2pix_jax.reports.translation import PAGE
from pix2pix_jax.runtime.console import plural, say
from pix2pix_jax.runtime.files import is_address, local_path

WRITTEN = ".translated.jsonl"  # in the output folder: the names of what is from here
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
    root, files = list_inputs(source)
    if output.is_file() or output.suffix.lower() in READABLE:
        kind = "is" if output.is_file() else "is called like"
        raise UsageError(f"--output: {output} {kind} a file; give a folder, which may be new")
    if any(_is_in(path, output) for path in files):
        raise UsageError(f"--output: {output} holds images to translate; give a folder of its own")
    if not files:
        raise UsageError(f"--input: {source} holds no images ({', '.join(sorted(READABLE))})")
    names = [path.relative_to(root) for path in files]
    stems = Counter(name.with_suffix("") for name in names)
    jobs = [  # of one stem, each keeps what tells it apart
        Job(path, str(name.with_suffix("") if stems[name.with_suffix("")] == 1 else name))
        for path, name in zip(files, names, strict=True)
    ]
    check_outputs(output, [*(name for job in jobs for name in output_names(job, samples)), PAGE])
    return jobs


def list_inputs(source: str) -> tuple[Path, list[Path]]:
    """A folder, and the files in it that are to be translated, in order.

    Raises:
      UsageError: there is no such thing.
    """
    if is_address(source):
        raise UsageError(f"--input: {source} is an address; give a path")
    root, pattern = local_path(source), ("**",)
    if root.is_file():
        return root.parent, [root]
    if not root.is_dir():
        magic = [glob.has_magic(part) for part in root.parts]
        if not any(magic):
            raise UsageError(f"--input: {source} does not exist; mend the path")
        place = magic.index(True)
        root, pattern = Path(*root.parts[:place]), root.parts[place:]
    found = walk(root, lambda folder: _leads(folder.relative_to(root).parts, pattern), True)
    files = [
        path
        for path in found
        if path.suffix.lower() in READABLE and _matches(path.relative_to(root).parts, pattern)
    ]
    # Of what lies below: whoever gives such a folder itself means what is in it.
    folders = {folder for path in files for folder in path.relative_to(root).parents}
    folders = {root / folder for folder in folders if folder.parts}
    old = {folder / name for folder in folders for name in recorded_outputs(folder)}.intersection(
        files
    )
    if old:
        say(
            f"{source}: passed over {plural(len(old), 'file')} that came out of translate; "
            "give their folder itself to translate them"
        )
    return root, [path for path in files if path not in old]


def _matches(parts: tuple[str, ...], pattern: tuple[str, ...]) -> bool:
    """Whether the parts of a path are those of a pattern, where ** is any that are not hidden."""
    if not pattern or not parts:
        return not parts and all(part == "**" for part in pattern)
    if pattern[0] == "**":
        if _matches(parts, pattern[1:]):
            return True
        return not parts[0].startswith(".") and _matches(parts[1:], pattern)
    return _is_like(parts[0], pattern[0]) and _matches(parts[1:], pattern[1:])


def _leads(parts: tuple[str, ...], pattern: tuple[str, ...]) -> bool:
    """Whether a folder may hold what a pattern matches."""
    if not parts:
        return True
    if pattern[0] == "**":
        named = any(part.startswith(".") for part in pattern)
        return named or not any(part.startswith(".") for part in parts)
    return len(pattern) > 1 and _is_like(parts[0], pattern[0]) and _leads(parts[1:], pattern[1:])


def _is_like(part: str, pattern: str) -> bool:
    hidden = part.startswith(".") and not pattern.startswith(".")
    return fnmatchcase(part, pattern) and not hidden


def _is_in(path: Path, folder: Path) -> bool:
    """Whether a path leads to below a folder, of which neither needs to exist."""
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))


def output_names(job: Job, samples: int) -> list[str]:
    """All that a job may write, below the output folder."""
    parts = [f"_sample{number}" for number in range(1, samples + 1)] if samples > 1 else [""]
    return [job.name + part + suffix for part in parts for suffix in (".png", ".npy")]


def recorded_outputs(output: Path) -> set[str]:
    """What was written there before, and may be replaced."""
    try:
        lines = (output / WRITTEN).read_text("utf-8", "replace").splitlines()
    except OSError:
        return set()
    names = set()
    for line in lines:
        with suppress(ValueError):  # of half a line, which a killed process left
            names.add(str(json.loads(line)))
    return names


@contextmanager
def noted(output: Path) -> Iterator[Callable[[str], None]]:
    """Notes what is about to be written to a folder, one name at a time.

    Raises:
      UsageError: it cannot be written to.
    """
    output.mkdir(parents=True, exist_ok=True)
    ours, path = recorded_outputs(output), output / WRITTEN
    with path.open("ab", buffering=0) as file:

        def note(name: str) -> None:
            if name in ours:
                return
            try:
                file.write(f"\n{json.dumps(name)}\n".encode())
            except OSError as error:
                raise UsageError(
                    f"{path}: cannot be written ({error.strerror}); mend that, and give the "
                    "command again"
                ) from error
            ours.add(name)

        yield note


def check_outputs(output: Path, names: list[str]) -> None:
    """Raises UsageError where one would take the place of another, or of what is not from here."""
    ours, twice = (
        recorded_outputs(output),
        [name for name, count in Counter(names).items() if count > 1],
    )
    if twice:
        raise UsageError(f"--input: two images would become {twice[0]}; rename one")
    for name in names:
        path = output / name
        if not _is_in(path, output):
            raise UsageError(f"--output: {path} lies elsewhere; give a folder without such links")
        if name not in ours and os.path.lexists(path):
            raise UsageError(f"--output: {path} is there, and not from here; give another folder")
