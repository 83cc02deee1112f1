"""Datasets of earlier versions are used, unless their layout would be refused now."""

from dataclasses import replace

import pytest
from helpers.pairs import folder_data, list_written, make_images, read_contents
from helpers.refusals import refusal

from pix2pix_jax.data import prepare as prepare_module
from pix2pix_jax.data.builders import PairedImages, PairsConfig
from pix2pix_jax.data.contents.facts import METADATA_KEY
from pix2pix_jax.data.fingerprint import dataset_fingerprint, source_version
from pix2pix_jax.data.layout import pairs as pairs_module
from pix2pix_jax.data.layout.pairs import find_pairs
from pix2pix_jax.data.layout.walk import Source
from pix2pix_jax.data.prepare import prepare
from pix2pix_jax.data.records import write_dataset


def write_as_before(data, root):
    """Writes a dataset as earlier versions did: without facts about its images."""
    source = Source(root, str(root))
    splits = find_pairs(source, "halves").splits
    config = PairsConfig(f"folder-{source_version(root)}", source=source, splits=splits)
    builder = write_dataset(PairedImages(data_dir=data.data_dir, config=config))
    info = builder.data_path / prepare_module.INFO
    metadata = builder.data_path / "metadata.json"
    assert METADATA_KEY in metadata.read_text()
    metadata.write_text(metadata.read_text().replace(METADATA_KEY, "removed"))
    assert info.exists()
    return builder


def test_a_refused_set_of_an_earlier_version_can_be_read_with_the_form(tmp_path):
    names = [f"{folder}/{number}.png" for folder in ("photos", "labels") for number in range(4)]
    root = make_images(tmp_path / "pairs", names)
    data = folder_data(root)
    old = write_as_before(data, root)
    message = refusal(prepare, data)
    assert message.endswith("give --config.data.form=halves")
    again = prepare(replace(data, form="halves"))
    assert again.data_path != old.data_path
    assert dataset_fingerprint(again) == dataset_fingerprint(old)


def test_other_numbers_of_pairs_are_reported(tmp_path, capsys):
    root = make_images(tmp_path / "pairs", ["train/1.png", "train/2.png", "valid/3.png"])
    data = folder_data(root)
    valid = root / "valid"
    valid.rename(tmp_path / "valid")
    version = source_version(root)
    old = write_as_before(data, root)
    (tmp_path / "valid").rename(valid)
    # The earlier version knew no folder valid, but counted its files in the name of the dataset.
    folder = old.data_path.parent
    folder.rename(folder.with_name(folder.name.replace(version, source_version(root))))
    before = list_written(data)
    capsys.readouterr()
    used = prepare(data)
    assert list_written(data) == before
    assert read_contents(used).keys() == {"train", "val"}
    assert capsys.readouterr().out == (
        f"{root}: the dataset that an earlier version wrote is used, with these pairs: 1 train, 1 "
        f"val; to use 2 train, 1 val in a new run, remove {used.data_path}\n"
    )


def test_a_set_whose_splits_are_in_doubt_now_is_used_with_a_warning(tmp_path, capsys, monkeypatch):
    names = [f"{folder}/{number}.png" for folder in ("street", "test_images") for number in "123"]
    root = make_images(tmp_path / "pairs", names)
    data = folder_data(root)
    with monkeypatch.context() as patch:
        patch.setattr(pairs_module, "check_split_names", lambda *_: [])
        old = write_as_before(data, root)
    capsys.readouterr()
    assert prepare(data).data_path == old.data_path
    [line] = capsys.readouterr().out.splitlines()
    assert line.startswith(f"WARNING: {root}: it is unclear whether 3 images of test_images/ ")
    assert line.endswith(
        "; the dataset that an earlier version wrote is used until the folders are renamed"
    )


@pytest.mark.parametrize("names", [["train/1.png", "val/2.png"], ["1.png", "2.png", "3.png"]])
def test_an_unchanged_set_of_an_earlier_version_is_used_silently(tmp_path, capsys, names):
    root = make_images(tmp_path / "pairs", names)
    data = folder_data(root)
    old = write_as_before(data, root)
    capsys.readouterr()
    assert prepare(data).data_path == old.data_path
    assert capsys.readouterr().out == ""
