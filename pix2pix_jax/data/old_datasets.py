"""Compares a dataset of an earlier version with the pairs that this version finds in its source."""

from pathlib import Path

import tensorflow_datasets as tfds

from pix2pix_jax.config.schema import Form
from pix2pix_jax.data.contents.facts import METADATA_KEY
from pix2pix_jax.data.layout.pairs import find_pairs
from pix2pix_jax.data.layout.split_doubts import DoubtfulSplitError
from pix2pix_jax.data.layout.walk import Source
from pix2pix_jax.runtime.console import say


def check_old_layout(dataset: tfds.core.DatasetBuilder, source: Path, form: Form | None) -> None:
    """Checks the layout of a dataset that an earlier version wrote, and prints what has changed.

    Earlier versions cut single images in half and missed some splits, without a message. The
    dataset stays as it is, because a run may need it. The dataset is also used if the split of some
    images is unclear now, because no config field can choose the old dataset.

    The content of an archive is not checked.

    Raises:
      UsageError: this version refuses the source unless data.form is set.
    """
    if METADATA_KEY in (dataset.info.metadata or {}) or not source.is_dir():
        return
    try:
        found = find_pairs(Source(source, str(source)), form)
    except DoubtfulSplitError as error:
        say(
            f"WARNING: {error}; the dataset that an earlier version wrote is used until the "
            "folders are renamed"
        )
        return
    now = {split: len(pairs) for split, pairs in found.splits.items()}
    then = {split: info.num_examples for split, info in dataset.info.splits.items()}
    if now != then:
        say(
            f"{source}: the dataset that an earlier version wrote is used, with these pairs: "
            f"{_describe_sizes(then)}; to use {_describe_sizes(now)} in a new run, remove "
            f"{dataset.data_path}"
        )


def _describe_sizes(sizes: dict[str, int]) -> str:
    """The numbers of pairs by split, "9 train, 1 val"."""
    return ", ".join(f"{size} {split}" for split, size in sizes.items())
