"""Finds the other parts of an archive that was split into several files."""

import re
from contextlib import suppress
from pathlib import Path

from pix2pix_jax.runtime.console import FEW_NAMED, name_some, plural

# Names of parts: pairs-20261130T101010Z-001.zip, as Google Drive writes them, and pairs_part2.zip.
PART = re.compile(r"(.*(?:-(?=\d{3}\.)|part[-_ ]?))\d+(\..*)", re.IGNORECASE)


def describe_other_parts(archive: Path) -> list[str]:
    """The line about archives beside an archive whose names differ only by the number of a part."""
    match = PART.fullmatch(archive.name)
    others: list[str] = []
    if match and not archive.is_dir():
        with suppress(OSError):  # The user may not be allowed to list the folder.
            others = [
                path.name
                for path in sorted(archive.parent.iterdir())
                if path.name != archive.name and _is_part_of(path.name, match.groups())
            ]
    if not others:
        return []
    return [
        f"WARNING: {plural(len(others), 'archive')} beside this archive may be other parts of it, "
        f"but only this archive is read ({name_some(others, FEW_NAMED)}); unpack all parts into "
        "one folder and give this folder"
    ]


def _is_part_of(name: str, same: tuple[str, ...]) -> bool:
    """Whether the name of a file has these texts around the number of a part."""
    match = PART.fullmatch(name)
    return match is not None and match.groups() == same
