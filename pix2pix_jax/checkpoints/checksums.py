"""Hashes beside what is saved, since Orbax restores a flipped byte without a word."""

import hashlib
import json
from pathlib import Path
from typing import Any

import orbax.checkpoint as ocp

CHECKSUM_FILE = "sha256.json"


class CorruptCheckpoint(Exception):
    """What is on disk is not what was saved."""


class ChecksumHandler(ocp.StandardCheckpointHandler):
    """Saves a hash of every file beside them."""

    def finalize(self, directory: Path) -> None:
        """Called when all is written, before the checkpoint gets its name."""
        super().finalize(directory)
        content = {"step": _step(directory), "files": _file_hashes(Path(directory))}
        (directory / CHECKSUM_FILE).write_text(json.dumps(content, indent=2))


def _step(item: Path) -> int:
    """Of the checkpoint that an item is of; while it is written, its name has more to it."""
    return int(item.parent.name.partition(".")[0])


def check_files(item: Path) -> None:
    """Raises Rejected where a file is not what SealedHandler saved, or is of another step."""
    saved, found = json.loads((item / CHECKSUM_FILE).read_text()), _file_hashes(item)
    if saved["step"] != _step(item):
        raise CorruptCheckpoint(f"{item.name} is of step {saved['step']}")
    for place, digest in saved["files"].items():
        if found.get(place) != digest:
            raise CorruptCheckpoint(f"{item.name}/{place} is not what was saved")


def add_hash(content: dict[str, Any]) -> dict[str, Any]:
    """JSON with its own hash in it."""
    return content | {"sha256": _hash(content)}


def check_hash(content: Any, name: str) -> dict[str, Any]:
    """What was hashed by `add_hash`; raises Rejected where it is something else."""
    content = dict(content) if isinstance(content, dict) else {}
    if content.pop("sha256", None) != _hash(content):
        raise CorruptCheckpoint(f"{name} is not what was saved")
    return content


def _hash(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _file_hashes(directory: Path) -> dict[str, str]:
    """SHA-256 of all files but the seal itself, by their place."""
    hashes = {}
    for path in sorted(directory.rglob("*")):
        if path.is_file() and path.name != CHECKSUM_FILE:
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256")
            hashes[str(path.relative_to(directory))] = digest.hexdigest()
    return hashes
