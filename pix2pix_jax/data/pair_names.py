"""Stores the names of the pairs of a run, and describes how a dataset differs from them."""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import tensorflow_datasets as tfds
from pydantic import TypeAdapter, ValidationError

from pix2pix_jax.data.builders import PairedImages
from pix2pix_jax.data.data_dir import INFO, DataDir
from pix2pix_jax.data.fingerprint import RUN_SPLITS, dataset_fingerprint
from pix2pix_jax.data.records import open_split
from pix2pix_jax.runtime.console import name_some, plural
from pix2pix_jax.runtime.storage.files import write_atomically

# For a larger split, only the number of pairs is stored, because reading the names takes long.
MAX_PAIRS = 5_000
MAX_NAMED = 3  # at most this number of new, missing or changed pairs is named
HASH_DIGITS = 12


@dataclass(frozen=True)
class SplitPairs:
    """The pairs of a split.

    Attributes:
      count: the number of pairs.
      hashes: the hash of the files of each pair, by its name; None if there are too many pairs.
    """

    count: int
    hashes: dict[str, str] | None


NO_PAIRS = SplitPairs(0, {})


@dataclass(frozen=True)
class PairNames:
    """The names of the pairs of a dataset.

    Attributes:
      data: the fingerprint of the dataset.
      splits: the pairs of each of RUN_SPLITS; NO_PAIRS for a split that the dataset lacks.
    """

    data: str
    splits: dict[str, SplitPairs]

    def write(self, path: Path) -> None:
        """Writes the names as JSON."""
        write_atomically(path, json.dumps(asdict(self), indent=1) + "\n")

    def describe_changes(self, new: "PairNames") -> str:
        """Says in which splits the pairs of `new` differ, with their numbers and first names."""
        return "; ".join(
            _describe_split(split, self.splits[split], new.splits[split])
            for split in RUN_SPLITS
            if self.splits[split] != new.splits[split]
        )


def list_pair_names(dataset: tfds.core.DatasetBuilder) -> PairNames:
    """Lists the pairs of a dataset.

    Raises:
      UsageError: the dataset is damaged.
      OSError: the dataset cannot be read for another reason.
    """
    splits = {split: _list_split(dataset, split) for split in RUN_SPLITS}
    return PairNames(dataset_fingerprint(dataset), splits)


def _list_split(dataset: tfds.core.DatasetBuilder, split: str) -> SplitPairs:
    if split not in dataset.info.splits:
        return NO_PAIRS
    records = open_split(dataset, split)
    if len(records) > MAX_PAIRS:
        return SplitPairs(len(records), None)
    named = (records[index] for index in range(len(records)))
    hashes = {record["name"].decode(): _hash(list(record["files"])) for record in named}
    return SplitPairs(len(records), hashes)


def read_pair_names(path: Path, data: str) -> PairNames | None:
    """Reads the file of `PairNames.write`, if it has the pairs of the dataset `data`.

    Returns:
      The names; None if the file cannot be read, or has the pairs of another dataset.
    """
    names = _parse(path)
    has_splits = names and names.data == data and {*RUN_SPLITS} <= names.splits.keys()
    return names if has_splits else None


def count_training_pairs(path: Path) -> int | None:
    """The number of training pairs in a file of `PairNames.write`; None if it cannot be read."""
    names = _parse(path)
    return names and names.splits.get("train", NO_PAIRS).count


def _parse(path: Path) -> PairNames | None:
    """Reads a file of `PairNames.write`; None if it cannot be read or is damaged."""
    try:
        return TypeAdapter(PairNames).validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None


def find_pair_names(data: str, data_dir: DataDir) -> PairNames | None:
    """Lists the pairs of the dataset with the fingerprint `data`; None if it is not in data_dir."""
    for info in sorted(data_dir.path.glob(f"{PairedImages.name}/*/*/{INFO}")):
        try:
            dataset = tfds.builder_from_directory(info.parent)
        except Exception:  # A damaged dataset must not hide the line about the pairs of the run.
            continue
        if dataset_fingerprint(dataset) == data:
            return list_pair_names(dataset)
    return None


def _describe_split(split: str, old: SplitPairs, new: SplitPairs) -> str:
    text = f"{split} had {plural(old.count, 'pair')} and has {new.count:,}"
    if old.hashes is None or new.hashes is None:
        return text
    lists = {
        "new": [name for name in new.hashes if name not in old.hashes],
        "missing": [name for name in old.hashes if name not in new.hashes],
        "with changed images": [
            name for name, value in new.hashes.items() if old.hashes.get(name, value) != value
        ],
    }
    details = "; ".join(
        f"{kind}: {name_some(sorted(names), MAX_NAMED)}" for kind, names in lists.items() if names
    )
    return f"{text} ({details})" if details else text


def _hash(files: list[bytes]) -> str:
    digest = hashlib.sha256()
    for data in files:
        digest.update(hashlib.sha256(data).digest())
    return digest.hexdigest()[:HASH_DIGITS]
