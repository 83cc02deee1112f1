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
        (directory / SEAL).write_text(json.dumps(_file_hashes(Path(directory)), indent=2))


def check_seal(item: Path) -> None:
    """Raises Rejected where a file is not what SealedHandler saved."""
    saved, found = json.loads((item / SEAL).read_text()), _file_hashes(item)
    for place, digest in saved.items():
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
