"""Compares datasets of earlier versions with what the names of their source mean now."""

from pathlib import Path

import tensorflow_datasets as tfds

from pix2pix_jax.config.schema import Form
from pix2pix_jax.data.contents import METADATA_KEY
from pix2pix_jax.data.layout.pairs import find_pairs
from pix2pix_jax.runtime.console import say


def check_old_layout(dataset: tfds.core.DatasetBuilder, source: Path, form: Form | None) -> None:
    """Checks the layout of a dataset that an earlier version wrote, and prints what has changed.

    Earlier versions cut single images in half, and overlooked some splits, without a word. The
    dataset stays as it is, because a run may need it.

    Args:
      dataset: the dataset that is to be used.
      source: the folder or archive of the dataset; the content of an archive is not checked.
      form: data.form.

    Raises:
      UsageError: the source would be refused now.
    """
    if METADATA_KEY in (dataset.info.metadata or {}) or not source.is_dir():
        return
    found = find_pairs(source, str(source), form)
    now = {split: len(pairs) for split, pairs in found.splits.items()}
    then = {split: info.num_examples for split, info in dataset.info.splits.items()}
    if now != then:
        say(
            f"{source}: an earlier version read {_count(then)} pairs, and their dataset is used; "
            f"remove {dataset.data_path} to read {_count(now)} pairs in a new run"
        )


def _count(sizes: dict[str, int]) -> str:
    """The numbers of pairs by split, "9 train, 1 val"."""
    return ", ".join(f"{size} {split}" for split, size in sizes.items())
