"""Datasets have equal fingerprints if and only if they have equal pairs."""

from dataclasses import replace

import pytest
from helpers.pairs import folder_data, make_images, read_contents

from pix2pix_jax.config import Data
from pix2pix_jax.data.fingerprint import dataset_fingerprint
from pix2pix_jax.data.prepare import prepare


@pytest.mark.parametrize(("name", "same"), [("train/1", False), ("val/1", False), ("test/1", True)])
def test_changed_pairs_of_train_or_val_change_the_fingerprint(tmp_path, name, same):
    root = make_images(tmp_path / "pairs")
    before = prepare(folder_data(root))
    [path] = root.glob(f"{name}.*")
    make_images(root, [str(path.relative_to(root))], seed=1)
    after = prepare(folder_data(root))
    assert read_contents(before)["train"].keys() == read_contents(after)["train"].keys()
    assert (dataset_fingerprint(before) == dataset_fingerprint(after)) is same


def test_facades_of_different_sizes_have_different_fingerprints(tmp_path):
    small, large = (
        prepare(Data(image_size=side, synthetic_pairs=(1, 1, 1), data_dir=str(tmp_path)))
        for side in (16, 32)
    )
    assert dataset_fingerprint(small) != dataset_fingerprint(large)


def test_ambiguous_facades_have_another_fingerprint_and_other_pictures(tmp_path):
    data = Data(image_size=32, synthetic_pairs=(2, 1, 1), data_dir=str(tmp_path))
    plain, ambiguous = prepare(data), prepare(replace(data, synthetic_ambiguous=True))
    assert dataset_fingerprint(plain) != dataset_fingerprint(ambiguous)
    assert read_contents(plain)["train"].keys() == read_contents(ambiguous)["train"].keys()
    assert read_contents(plain) != read_contents(ambiguous)


def test_a_fingerprint_covers_the_given_splits(tmp_path):
    builder = prepare(folder_data(make_images(tmp_path / "pairs")))
    whole = dataset_fingerprint(builder, ("train", "val", "test"))
    assert whole == f"{dataset_fingerprint(builder)} {dataset_fingerprint(builder, ('test',))}"
    assert len(set(whole.split())) == 3
