"""Hashes that identify datasets: a hash of a source's files, and a hash of a dataset's pairs."""

import hashlib
import os
from pathlib import Path

import tensorflow_datasets as tfds

from pix2pix_jax.data.layout.walk import list_files

RUN_SPLITS = ("train", "val")  # the splits that a run is trained on and validated with
VERSION_DIGITS = 12  # hex digits of the version of a source


def source_version(source: Path, with_path: bool = False) -> str:
    """A hash of the names, sizes and modification times of a source's files.

    Args:
      source: a folder or an archive.
      with_path: whether the hash also depends on the path of the source.
    """
    digest = hashlib.sha256(os.fsencode(source) if with_path else b"")
    for path in list_files(source) if source.is_dir() else [source]:
        name, stat = path.relative_to(source.parent), path.stat()
        line = f"{name} {stat.st_size} {stat.st_mtime_ns}\n"
        digest.update(line.encode(errors="surrogateescape"))  # A name may have any bytes.
    return digest.hexdigest()[:VERSION_DIGITS]


def dataset_fingerprint(
    dataset: tfds.core.DatasetBuilder, splits: tuple[str, ...] = RUN_SPLITS
) -> str:
    """A text that identifies the pairs: datasets with equal texts have the same pairs.

    Args:
      splits: the splits to hash. The default splits are those of training and validation.

    Returns:
      The SHA-256 of the names and files of each split, or the name of a drawn dataset.
    """
    metadata = dataset.info.metadata
    if not metadata:  # The name of a drawn dataset contains all settings that determine its pairs.
        return dataset.info.full_name
    digests = (f"sha256/{split}" for split in splits)
    return " ".join(metadata[digest] for digest in digests if digest in metadata)
