"""A run remembers its pairs, so that it can say which pairs have changed."""

import shutil

import pytest
from helpers.pairs import folder_data, make_images

from pix2pix_jax.data.data_dir import DataDir
from pix2pix_jax.data.fingerprint import dataset_fingerprint
from pix2pix_jax.data.pair_names import (
    NO_PAIRS,
    PairNames,
    SplitPairs,
    find_pair_names,
    list_pair_names,
    read_pair_names,
)
from pix2pix_jax.data.prepare import prepare

NAMES = [f"train/{number}.png" for number in range(6)] + ["val/a.png"]


@pytest.fixture
def datasets(tmp_path):
    """Two datasets; train of the second has one changed, one missing and four new pairs."""
    source = make_images(tmp_path / "pairs", NAMES)
    first = prepare(folder_data(source))
    make_images(source, [f"train/{number}.png" for number in (3, 6, 7, 8, 9)], seed=1)
    (source / "train" / "0.png").unlink()
    return first, prepare(folder_data(source))


def test_the_numbers_and_the_first_names_of_changed_pairs_are_reported(datasets):
    first, second = map(list_pair_names, datasets)
    assert first.describe_changes(second) == (
        "train had 6 pairs and has 9 (new: 6, 7, 8 and 1 more; missing: 0; with changed images: 3)"
    )
    assert first.describe_changes(first) == ""


def test_for_large_splits_only_the_number_of_pairs_is_reported():
    few, many = SplitPairs(1, {"a": "0"}), SplitPairs(9_000, None)
    first = PairNames("first", {"train": many, "val": few})
    second = PairNames("second", {"train": SplitPairs(9_001, None), "val": NO_PAIRS})
    assert first.describe_changes(second) == (
        "train had 9,000 pairs and has 9,001; val had 1 pair and has 0 (missing: a)"
    )


def test_names_are_read_back_only_for_their_own_dataset(datasets, tmp_path):
    names, path = list_pair_names(datasets[0]), tmp_path / "run" / "names.json"
    assert read_pair_names(path, names.data) is None
    names.write(path)
    assert read_pair_names(path, names.data) == names
    assert read_pair_names(path, "another dataset") is None
    path.write_text(path.read_text()[:-30])
    assert read_pair_names(path, names.data) is None


def test_a_run_of_an_earlier_version_finds_its_pairs_in_the_data_folder(datasets, tmp_path):
    """The dataset of the run stays there when the source changes."""
    data_dir = DataDir(tmp_path / "cache")
    for dataset in datasets:
        found = find_pair_names(dataset_fingerprint(dataset), data_dir)
        assert found == list_pair_names(dataset)
    assert find_pair_names("unknown", data_dir) is None


def test_a_damaged_dataset_of_another_source_is_skipped(datasets, tmp_path):
    data_dir = DataDir(tmp_path / "cache")
    folders = sorted(data_dir.path.glob("paired_images/*"))
    wanted = max(datasets, key=lambda dataset: str(dataset.data_path))
    shutil.copytree(folders[0], folders[0].with_name("a-damaged-set"))
    [info] = folders[0].with_name("a-damaged-set").glob("*/dataset_info.json")
    info.write_text("{")
    assert find_pair_names(dataset_fingerprint(wanted), data_dir) == list_pair_names(wanted)
