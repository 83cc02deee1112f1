"""Hashes of the files of a checkpoint. The hashes show damage that Orbax does not notice."""

import errno
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orbax.checkpoint as ocp
from pydantic import TypeAdapter, ValidationError

CHECKSUM_FILE = "sha256.json"
# These errors mean that a file is missing or damaged. The user can fix other errors, such as EACCES
# and EMFILE, and then use the checkpoint.
DAMAGE_ERRNOS = (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EIO)


class DamagedCheckpoint(Exception):
    """A file of a checkpoint is missing or damaged, or belongs to another step."""


@dataclass(frozen=True)
class SavedHashes:
    """The content of `sha256.json`.

    Attributes:
      step: the step of the checkpoint.
      files: the SHA-256 of every file of the item, by its path relative to the item.
    """

    step: int
    files: dict[str, str]


class ChecksumHandler(ocp.StandardCheckpointHandler):
    """Saves an item of a checkpoint, and writes the hashes of its files to `sha256.json`.

    Orbax writes the module path of this class into a checkpoint's `_CHECKPOINT_METADATA`. Nothing
    reads that path, so this class may move to another module.
    """

    def finalize(self, directory: Any) -> None:
        """Writes the hashes; Orbax calls this method after it has written all files of the item.

        Args:
          directory: the folder of the item, in the path type of Orbax.
        """
        super().finalize(directory)
        item = Path(directory)
        content = SavedHashes(_step(item), _file_hashes(item))
        (item / CHECKSUM_FILE).write_text(json.dumps(asdict(content), indent=2))


def _step(item: Path) -> int:
    """The step of an item's checkpoint, from its folder: STEP, or STEP.SUFFIX while unfinished."""
    return int(item.parent.name.partition(".")[0])


def check_files(item: Path) -> None:
    """Compares the files of an item with the hashes that `ChecksumHandler` saved.

    Args:
      item: the folder `checkpoints/STEP/NAME`.

    Raises:
      DamagedCheckpoint: a file is missing or changed, or the item belongs to another step.
      OSError: a file cannot be read for another reason.
    """
    with explain_damage():
        content, hashes = (item / CHECKSUM_FILE).read_bytes(), _file_hashes(item)
    try:
        saved = TypeAdapter(SavedHashes).validate_json(content, strict=True)
    except ValidationError as error:
        raise DamagedCheckpoint(f"{item.name}/{CHECKSUM_FILE} is damaged") from error
    if saved.step != _step(item):
        raise DamagedCheckpoint(f"{item.name} was saved at step {saved.step}")
    for name, digest in saved.files.items():
        if hashes.get(name) != digest:
            raise DamagedCheckpoint(f"{item.name}/{name} does not match its saved hash")


@contextmanager
def explain_damage() -> Iterator[None]:
    """Raises DamagedCheckpoint if a file that the `with` block reads is missing or damaged."""
    try:
        yield
    except OSError as error:
        if error.errno not in DAMAGE_ERRNOS:
            raise
        raise DamagedCheckpoint(f"{error.filename}: {error.strerror}") from error


def add_hash(content: dict[str, Any]) -> dict[str, Any]:
    """Returns a copy of a JSON object that has the hash of the object under the key `sha256`."""
    return content | {"sha256": _hash(content)}


def check_hash(content: Any, name: str) -> dict[str, Any]:
    """Checks the hash of a JSON object, and returns the object without the hash.

    Args:
      content: parsed JSON of any type, with a hash if it is a result of `add_hash`.
      name: the name of the object, for the error.

    Raises:
      DamagedCheckpoint: the content does not match its hash.
    """
    content = dict(content) if isinstance(content, dict) else {}
    if content.pop("sha256", None) != _hash(content):
        raise DamagedCheckpoint(f"{name} does not match its saved hash")
    return content


def _hash(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _file_hashes(folder: Path) -> dict[str, str]:
    """The SHA-256 of every file except `sha256.json`, by its path relative to the folder."""
    hashes = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name != CHECKSUM_FILE:
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256")
            hashes[str(path.relative_to(folder))] = digest.hexdigest()
    return hashes
