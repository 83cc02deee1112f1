"""Hashes beside what is saved, since Orbax restores a flipped byte without a word."""

import hashlib
import json
from pathlib import Path
from typing import Any

import orbax.checkpoint as ocp

SEAL = "sha256.json"


class Rejected(Exception):
    """What is on disk is not what was saved."""


class SealedHandler(ocp.StandardCheckpointHandler):
    """Saves a hash of every file beside them."""

    def finalize(self, directory: Path) -> None:
        """Called when all is written, before the checkpoint gets its name."""
        super().finalize(directory)
        content = {"step": _step(directory), "files": _file_hashes(Path(directory))}
        (directory / SEAL).write_text(json.dumps(content, indent=2))


def _step(item: Path) -> int:
    """Of the checkpoint that an item is of; while it is written, its name has more to it."""
    return int(item.parent.name.partition(".")[0])


def check_seal(item: Path) -> None:
    """Raises Rejected where a file is not what SealedHandler saved, or is of another step."""
    saved, found = json.loads((item / SEAL).read_text()), _file_hashes(item)
    if saved["step"] != _step(item):
        raise Rejected(f"{item.name} is of step {saved['step']}")
    for place, digest in saved["files"].items():
        if found.get(place) != digest:
            raise Rejected(f"{item.name}/{place} is not what was saved")


def sealed(content: dict[str, Any]) -> dict[str, Any]:
    """JSON with its own hash in it."""
    return content | {"sha256": _hash(content)}


def unsealed(content: Any, name: str) -> dict[str, Any]:
    """What was `sealed`; raises Rejected where it is something else."""
    content = dict(content) if isinstance(content, dict) else {}
    if content.pop("sha256", None) != _hash(content):
        raise Rejected(f"{name} is not what was saved")
    return content


def _hash(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _file_hashes(directory: Path) -> dict[str, str]:
    """SHA-256 of all files but the seal itself, by their place."""
    hashes = {}
    for path in sorted(directory.rglob("*")):
        if path.is_file() and path.name != SEAL:
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256")
            hashes[str(path.relative_to(directory))] = digest.hexdigest()
    return hashes
