"""Hashes saved beside the files of a checkpoint: Orbax restores a flipped byte without an error."""

import hashlib
import json
from pathlib import Path
from typing import Any

import orbax.checkpoint as ocp

CHECKSUM_FILE = "sha256.json"


class CorruptCheckpoint(Exception):
    """A file on disk differs from the file that was saved."""


class ChecksumHandler(ocp.StandardCheckpointHandler):
    """Saves an item of a checkpoint, and a hash of each of its files in `sha256.json`.

    Orbax writes the module path of this class into a checkpoint's `_CHECKPOINT_METADATA`. Nothing
    reads that path: `orbax_manager` names the handler of every item. So this class may move, and
    checkpoints that name its earlier places stay readable.
    """

    def finalize(self, directory: Any) -> None:  # a path of Orbax's own type
        """Writes the hashes; Orbax calls this once all files of the item are written."""
        super().finalize(directory)
        item = Path(directory)
        content = {"step": _step(item), "files": _file_hashes(item)}
        (item / CHECKSUM_FILE).write_text(json.dumps(content, indent=2))


def _step(item: Path) -> int:
    """The step of an item's checkpoint; an unfinished one has the folder name STEP.SUFFIX."""
    return int(item.parent.name.partition(".")[0])


def check_files(item: Path) -> None:
    """Compares the files of an item with the hashes that `ChecksumHandler` saved.

    Args:
      item: folder `checkpoints/STEP/NAME`.

    Raises:
      CorruptCheckpoint: a file is missing or changed, or the item belongs to another step.
    """
    saved, found = json.loads((item / CHECKSUM_FILE).read_text()), _file_hashes(item)
    if saved["step"] != _step(item):
        raise CorruptCheckpoint(f"{item.name} is of step {saved['step']}")
    for name, digest in saved["files"].items():
        if found.get(name) != digest:
            raise CorruptCheckpoint(f"{item.name}/{name} does not match its saved hash")


def add_hash(content: dict[str, Any]) -> dict[str, Any]:
    """Adds the hash of a JSON object to the object, under `sha256`."""
    return content | {"sha256": _hash(content)}


def check_hash(content: Any, name: str) -> dict[str, Any]:
    """Returns a JSON object without the hash that `add_hash` added.

    Args:
      content: parsed JSON of any type.
      name: of the file, for the error.

    Raises:
      CorruptCheckpoint: the content does not match its hash.
    """
    content = dict(content) if isinstance(content, dict) else {}
    if content.pop("sha256", None) != _hash(content):
        raise CorruptCheckpoint(f"{name} does not match its saved hash")
    return content


def _hash(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _file_hashes(directory: Path) -> dict[str, str]:
    """SHA-256 of every file but the file of hashes itself, by path relative to the folder."""
    hashes = {}
    for path in sorted(directory.rglob("*")):
        if path.is_file() and path.name != CHECKSUM_FILE:
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256")
            hashes[str(path.relative_to(directory))] = digest.hexdigest()
    return hashes
