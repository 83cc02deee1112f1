"""Downloads and uploads folders of files that never change, such as prepared datasets."""

from collections.abc import Iterable
from pathlib import Path, PurePath

from pix2pix_jax.runtime.storage.bucket import Bucket, local_files


def download_folder(address: str, folder: Path, prefix: str, marker: str) -> None:
    """Downloads the complete subfolders whose path begins with `prefix`.

    Args:
      address: the address of the folder in the bucket.
      folder: the local copy of that folder.
      prefix: the first part of a path in the folder, for example "paired_images/facades-".
      marker: the name of the file that `upload_folder` uploads last. A subfolder without this file
        is incomplete and is skipped.

    Raises:
      UsageError: the bucket cannot be reached, or a name in the bucket is outside the folder.
      OSError: a file cannot be read or written on this machine.
    """
    bucket = Bucket(address)
    files = {name: file for name, file in bucket.list_files().items() if name.startswith(prefix)}
    complete = {PurePath(name).parent for name in files if PurePath(name).name == marker}
    for name in _marker_last(files, marker):
        if PurePath(name).parent in complete and not bucket.has_same_content(
            folder, name, files[name]
        ):
            bucket.download_file(folder, name)


def upload_folder(address: str, folder: Path, prefix: str, marker: str) -> None:
    """Uploads the files that the bucket lacks, if their path begins with `prefix`.

    A prepared dataset never changes under the same name, so files that the bucket has already
    are not compared.

    Args: as in `download_folder`.

    Raises:
      UsageError: the bucket cannot be reached, or the upload damaged a file.
      OSError: a file cannot be read on this machine.
    """
    bucket = Bucket(address)
    existing = bucket.list_files()
    new = [name for name in local_files(folder) if name.startswith(prefix) and name not in existing]
    for name in _marker_last(new, marker):
        bucket.upload_file(folder, name)


def _marker_last(names: Iterable[str], marker: str) -> list[str]:
    """Sorts files for a transfer: markers come last, so a subfolder with a marker is complete."""
    return sorted(names, key=lambda name: (PurePath(name).name == marker, name))
