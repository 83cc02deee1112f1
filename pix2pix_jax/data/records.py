"""Writes datasets as ArrayRecord with TFDS, and opens them to read records by index."""

import errno
import os
import shutil
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import tensorflow_datasets as tfds

from pix2pix_jax.errors import DISK_ERRORS, UsageError
from pix2pix_jax.runtime.console import say
from pix2pix_jax.suggestions import give_one_of


def write_dataset(builder: tfds.core.DatasetBuilder) -> tfds.core.DatasetBuilder:
    """Writes a dataset, and opens it.

    Raises:
      UsageError: image files are broken; the message names the first five.
      OSError: the dataset cannot be written, for example on a full disk.
    """
    # An interrupted download from a bucket leaves an incomplete folder.
    shutil.rmtree(builder.data_path, ignore_errors=True)
    say(f"writing {builder.data_path}")
    try:
        with redirect_stdout(None):  # TFDS prints its own notices.
            builder.download_and_prepare(file_format="array_record")
    except (RuntimeError, OSError) as error:
        if system_error := _system_error(error, builder, "cannot be written"):
            raise system_error from error
        raise
    return open_dataset(builder)


def open_dataset(builder: tfds.core.DatasetBuilder) -> tfds.core.DatasetBuilder:
    """Opens a written dataset, with the metadata that was written."""
    return tfds.builder_from_directory(builder.data_path)


def open_split(
    dataset: tfds.core.DatasetBuilder, split: str, max_pairs: int | None = None
) -> Sequence[dict]:
    """Opens the records of a split.

    Args:
      dataset: a written dataset.
      split: the name of the split.
      max_pairs: data.max_pairs, the largest number of records to open; None: all.

    Returns:
      The records by index. Each record has `name`, as bytes, and `files`: the bytes of one
      side-by-side image, or of A and B.

    Raises:
      UsageError: the dataset has no such split, or is damaged.
      OSError: the operating system refuses to read the files.
    """
    if split not in dataset.info.splits:
        raise _explain_missing_split(dataset, split)
    try:
        open_records: Any = dataset.as_data_source  # TFDS hides the parameters of this method.
        is_limited = count_pairs(dataset, split, max_pairs) < count_pairs(dataset, split)
        records = open_records(f"{split}[:{max_pairs}]" if is_limited else split)
        _ = records[0], records[len(records) - 1]
    # For damaged files ArrayRecord raises RuntimeError; for an empty file TFDS raises ValueError.
    except (RuntimeError, ValueError) as error:
        if system_error := _system_error(error, dataset, "cannot be read"):
            raise system_error from error
        raise UsageError(
            f"{dataset.data_dir}: is damaged",
            "remove this folder and run the same command again, which writes the dataset again",
        ) from error
    return records


def count_pairs(dataset: tfds.core.DatasetBuilder, split: str, max_pairs: int | None = None) -> int:
    """The number of pairs of an existing split, at most data.max_pairs."""
    return limit_pairs(dataset.info.splits[split].num_examples, max_pairs)


def limit_pairs(count: int, max_pairs: int | None) -> int:
    """The number of pairs that are used of a split with `count` pairs."""
    return count if max_pairs is None else min(count, max_pairs)


def _explain_missing_split(dataset: tfds.core.DatasetBuilder, split: str) -> UsageError:
    """The error for a split that a dataset does not have; it names the source of the pairs."""
    source = (dataset.info.metadata or {}).get("source")
    fix = give_one_of(f"--split={name}" for name in dataset.info.splits)
    if source and Path(source).is_dir():
        fix += f", or put the pairs to use into {source}/{split}/"
    elif source and Path(source).is_file():
        fix += f", or put the pairs to use into a folder {split}/ of this archive"
    return UsageError(f"--split: {source or dataset.data_dir} has no split {split}", fix)


def _system_error(
    error: Exception, dataset: tfds.core.DatasetBuilder, problem: str
) -> OSError | None:
    """Finds the error of the operating system in the text of an error of ArrayRecord or TFDS.

    ArrayRecord raises a RuntimeError with a text like "write() failed: No space left on device;
    writing PATH". If the disk is too full to begin, TFDS raises an OSError without a number, "Not
    enough disk space. Needed: ...".

    Returns:
      An error that names the folder of the dataset, to which `explain_error` adds the fix; None if
      the operating system is not the cause.
    """
    folder = str(dataset.data_path.parent)  # TFDS writes to a temporary folder in this folder.
    is_own = str(getattr(error, "filename", "")).startswith(folder)
    own_number = error.errno if isinstance(error, OSError) and is_own else None
    for number in (*DISK_ERRORS, errno.EACCES, errno.EPERM):
        reason = os.strerror(number)
        is_full = number == errno.ENOSPC and str(error).startswith("Not enough disk space")
        if is_full or own_number == number or f" failed: {reason};" in str(error):
            return OSError(number, f"{problem} ({reason})", str(dataset.data_path))
    return None
