"""Datasets are written and read; errors of the disk, damaged files and bugs are told apart."""

import errno
import os
import resource

import pytest
from helpers.pairs import folder_data, list_written, make_images, make_zip
from helpers.refusals import refusal

from pix2pix_jax.config import Data
from pix2pix_jax.data import builders
from pix2pix_jax.data.prepare import prepare
from pix2pix_jax.data.records import open_split
from pix2pix_jax.errors import explain_error


@pytest.fixture
def small_files():
    """Limits the size of files, so that an ArrayRecord file does not fit, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def replace_reader(monkeypatch, dataset, error):
    """Makes TFDS raise an error when a split of the dataset is opened."""

    def fail(*_):
        raise error

    monkeypatch.setattr(type(dataset), "as_data_source", fail)


def test_a_missing_split_is_refused_with_the_splits_that_exist(tmp_path):
    data = Data(image_size=(16, 16), synthetic_pairs=(3, 2, 1), data_dir=str(tmp_path))
    dataset = prepare(data)
    assert [len(open_split(dataset, split)) for split in ("train", "val", "test")] == [3, 2, 1]
    message = refusal(open_split, dataset, "dev")
    assert message == (
        f"--split: {dataset.data_dir} has no split dev; give one of --split=train, --split=val, "
        "--split=test"
    )


def test_the_error_for_a_missing_split_names_the_source_and_the_folder_for_its_pairs(tmp_path):
    pairs = make_images(tmp_path / "pairs", ["train/1.png", "train/2.png", "val/1.png"])
    data = folder_data(pairs)
    message = refusal(open_split, prepare(data), "test")
    assert message == (
        f"--split: {pairs} has no split test; give one of --split=train, --split=val, or put the "
        f"pairs to use into {pairs}/test/"
    )
    archive = make_zip(pairs)
    make_images(pairs / "test", ["3.png", "4.png"])  # as the line says
    assert len(open_split(prepare(data), "test")) == 2
    message = refusal(open_split, prepare(folder_data(archive)), "test")
    assert message.startswith(f"--split: {archive} has no split test; give one of --split=train, ")
    assert message.endswith("put the pairs to use into a folder test/ of this archive")


@pytest.mark.parametrize(
    "spoil",
    [lambda data: data[: len(data) // 2], lambda data: data[:-1], lambda data: b""],
    ids=["half", "all but a byte", "empty"],
)
def test_a_damaged_dataset_is_refused_with_its_folder_and_a_fix(tmp_path, spoil):
    dataset = prepare(folder_data(make_images(tmp_path / "pairs")))
    [path] = dataset.data_path.glob("*-train.array_record*")
    path.write_bytes(spoil(path.read_bytes()))
    message = refusal(open_split, dataset, "train")
    assert message.startswith(f"{dataset.data_path}: is damaged; ")
    assert "remove this folder and run the same command again" in message


def test_a_missing_file_of_a_dataset_is_reported_as_damage(tmp_path):
    dataset = prepare(folder_data(make_images(tmp_path / "pairs")))
    [path] = dataset.data_path.glob("*-val.array_record*")
    path.unlink()
    assert refusal(open_split, dataset, "val").startswith(f"{dataset.data_path}: is damaged; ")


@pytest.mark.parametrize("number", [errno.EACCES, errno.EMFILE])
def test_files_that_the_system_does_not_open_are_not_reported_as_damaged(
    tmp_path, monkeypatch, number
):
    dataset = prepare(folder_data(make_images(tmp_path / "pairs")))
    text = f"open() failed: {os.strerror(number)}; opening PATH"
    replace_reader(monkeypatch, dataset, RuntimeError(text))
    with pytest.raises(OSError, match="cannot be read") as caught:
        open_split(dataset, "train")
    assert caught.value.errno == number
    assert caught.value.filename == str(dataset.data_path)
    line = explain_error(caught.value)
    assert line is not None
    assert line.count("; ") == 1  # The fix follows the "; ".


def test_a_bug_is_not_reported_as_damage(tmp_path, monkeypatch):
    dataset = prepare(folder_data(make_images(tmp_path / "pairs")))
    replace_reader(monkeypatch, dataset, TypeError("a bug"))
    with pytest.raises(TypeError, match="a bug"):
        open_split(dataset, "train")


def test_the_error_for_a_dataset_that_does_not_fit_on_the_disk_has_the_reason(
    tmp_path, small_files
):
    data = folder_data(make_images(tmp_path / "pairs"))
    with pytest.raises(OSError, match="cannot be written") as caught:
        prepare(data)
    assert caught.value.errno == errno.EFBIG
    assert caught.value.filename.startswith(f"{data.data_dir}/paired_images/folder-")
    assert list_written(data) == {}


def test_a_disk_that_is_full_before_a_dataset_is_written_is_reported(tmp_path, monkeypatch):
    """TFDS compares the size of the dataset with the free space, and raises an error of its own."""
    utils = "tensorflow_datasets.core.utils"
    monkeypatch.setattr(f"{utils}.has_sufficient_disk_space", lambda *_, **__: False)
    data = folder_data(make_images(tmp_path / "pairs"))
    with pytest.raises(OSError, match="cannot be written") as caught:
        prepare(data)
    assert caught.value.errno == errno.ENOSPC
    assert caught.value.filename.startswith(f"{data.data_dir}/paired_images/folder-")
    assert explain_error(caught.value) == (
        f"{caught.value.filename}: cannot be written (No space left on device); make room on the "
        "disk"
    )


def test_a_bug_while_writing_keeps_its_type(tmp_path, monkeypatch):
    def fail(*_):
        raise RuntimeError("a bug")

    monkeypatch.setattr(builders, "draw_facade", fail)
    with pytest.raises(RuntimeError, match="a bug"):
        prepare(Data(image_size=(16, 16), synthetic_pairs=(1, 1, 1), data_dir=str(tmp_path)))
