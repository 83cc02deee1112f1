"""Compares datasets of earlier versions with what the names of their source mean now."""

from pathlib import Path

import tensorflow_datasets as tfds

from pix2pix_jax.config.schema import Form
from pix2pix_jax.data.contents.facts import METADATA_KEY
from pix2pix_jax.data.layout.pairs import find_pairs
from pix2pix_jax.data.layout.splits import DoubtfulSplitError
from pix2pix_jax.runtime.console import say


def check_old_layout(dataset: tfds.core.DatasetBuilder, source: Path, form: Form | None) -> None:
    """Checks the layout of a dataset that an earlier version wrote, and prints what has changed.

    Earlier versions cut single images in half, and overlooked some splits, silently. The dataset
    stays as it is, because a run may need it. It is used even if the split of some images is in
    doubt now, because no field could say that the dataset is meant.

    Args:
      dataset: the dataset that is to be used.
      source: the folder or archive of the dataset; the content of an archive is not checked.
      form: data.form.

    Raises:
      UsageError: the source would be refused now, and data.form is the way out.
    """
    if METADATA_KEY in (dataset.info.metadata or {}) or not source.is_dir():
        return
    try:
        found = find_pairs(source, str(source), form)
    except DoubtfulSplitError as error:
        say(f"WARNING: {error}; until then, the dataset of an earlier version is used")
        return
    now = {split: len(pairs) for split, pairs in found.splits.items()}
    then = {split: info.num_examples for split, info in dataset.info.splits.items()}
    if now != then:
        say(
            f"{source}: the dataset of an earlier version has {_count(then)} pairs and is used; "
            f"remove {dataset.data_path} to read {_count(now)} pairs in a new run"
        )


def _count(sizes: dict[str, int]) -> str:
    """The numbers of pairs by split, "9 train, 1 val"."""
    return ", ".join(f"{size} {split}" for split, size in sizes.items())
