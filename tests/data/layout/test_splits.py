"""Splits are read from the names of folders; unclear names are refused or reported."""

import pytest
from helpers.pairs import find_names, make_empty_files
from helpers.refusals import refusal

from pix2pix_jax.data.layout.pairs import find_pairs
from pix2pix_jax.data.layout.walk import Source

WORDS = {
    "train": ("train", "TRAIN", "Training", "trn"),
    "val": ("val", "valid", "Valid", "validation", "Validation", "dev"),
    "test": ("test", "Test", "testing", "TESTING", "tst"),
}
# Where A or B and the name of a split may be.
FORMS = ("{side}/{split}", "{split}/{side}", "{split}{side}", "{split}_{side}", "{split}-{side}")


def find_lines(root, name="SOURCE", form=None):
    """The lines about a source that is not refused."""
    return find_pairs(Source(root, name), form).lines()


@pytest.mark.parametrize("form", [*FORMS, "{side}_{split}", "set/{split}/{side}"])
@pytest.mark.parametrize("choice", range(5))
def test_splits_are_found_by_their_common_names(tmp_path, choice, form):
    words = {split: names[choice % len(names)] for split, names in WORDS.items()}
    names = [
        f"{form.format(split=word, side=side)}/{word}{number}.png"
        for word in words.values()
        for side in "Ab"
        for number in range(3)
    ]
    splits = find_names(make_empty_files(tmp_path / "pairs", names))
    assert {split: list(pairs) for split, pairs in splits.items()} == {
        split: [f"{word}{number}" for number in range(3)] for split, word in words.items()
    }


@pytest.mark.parametrize(
    ("names", "folder", "split"),
    [
        (["train/1.png", "test_images/2.png"], "test_images/", "test"),
        (["street/1.png", "my_test/2.png"], "my_test/", "test"),
        (["train2017/1.png", "val2017/2.png"], "val2017/", "val"),
        (["train_img/1.png", "train_label/1.png", "test_img/2.png"], "test_img/", "test"),
        (["train/1.png", "val/2.png", "02_Test/3.png"], "02_Test/", "test"),
        (["train/1.png", "valset/2.png"], "valset/", "val"),
        (["our485/1.png", "eval15/2.png"], "eval15/", "test"),
        (["test/train_x/1.png", "train/2.png"], "test/train_x/", "train"),
        (["train/1.png", "train/test_x/2.png"], "train/test_x/", "test"),
    ],
)
def test_a_folder_that_only_mentions_a_split_is_refused(tmp_path, names, folder, split):
    message = refusal(find_pairs, Source(make_empty_files(tmp_path / "pairs", names), "SOURCE"))
    assert message.startswith("SOURCE: it is unclear whether 1 image of ")
    assert f" {folder} belong to {split}, because the name contains the word " in message
    is_inside = folder in ("test/train_x/", "train/test_x/")
    assert (f"rename each such folder to {split} " in message) != is_inside
    assert ("move the folder out of the folder of the other split" in message) == is_inside


@pytest.mark.parametrize("folder", ["holdout", "dev_board", "evaluation"])
def test_the_word_that_means_a_split_is_named(tmp_path, folder):
    root = make_empty_files(tmp_path / "pairs", ["street/1.png", f"{folder}/2.png"])
    word = folder.partition("_")[0]
    message = refusal(find_pairs, Source(root, "SOURCE"))
    assert f"because the name contains the word {word}; " in message
    assert message.endswith(f"or to a name without {word}")


@pytest.mark.parametrize("folder", ["test_images", "test"])
def test_with_the_form_folders_splits_of_images_outside_a_and_b_do_not_matter(tmp_path, folder):
    root = make_empty_files(tmp_path / "pairs", ["A/1.png", "B/1.png", f"{folder}/2.png"])
    assert find_lines(root, form="folders") == [
        f"skipped 1 image outside folders A and B ({folder}/2.png)"
    ]


def test_a_path_with_two_splits_is_refused(tmp_path):
    root = make_empty_files(tmp_path / "pairs", ["train/1.png", "test/x/training/1.png"])
    message = refusal(find_pairs, Source(root, "SOURCE"))
    assert message.startswith("SOURCE: the path test/x/training names more than one split")


def test_a_folder_around_all_images_may_mention_a_split(tmp_path):
    names = [f"my_test_set/{split}/{number}.png" for split in ("train", "val") for number in (1, 2)]
    root = make_empty_files(tmp_path / "pairs", names)
    assert {split: len(pairs) for split, pairs in find_names(root).items()} == {
        "train": 2,
        "val": 2,
    }
    assert find_lines(root) == []


@pytest.mark.parametrize("inside", ["", "my_test/"])
def test_training_on_a_folder_called_test_is_reported(tmp_path, inside):
    root = make_empty_files(tmp_path / "test", [f"{inside}{number}.png" for number in range(20)])
    told, moved = find_lines(root, str(root))
    assert told.startswith(f"the images are below a folder named {inside.strip('/') or 'test'}, ")
    assert "all 20 are read as train" in told
    assert moved == "there is no val/, so 2 of 20 pairs became val"


@pytest.mark.parametrize("name", ["train_set", "trainingdata", "my train", "train1"])
def test_a_folder_that_mentions_train_is_read_as_train_and_reported(tmp_path, name):
    names = [f"{name}/1.png", f"{name}/2.png", "val/1.png", "other/3.png"]
    root = make_empty_files(tmp_path / "pairs", names)
    assert {split: len(pairs) for split, pairs in find_names(root).items()} == {
        "train": 3,
        "val": 1,
    }
    assert find_lines(root) == [
        f"{name}/: 2 images are read as train, because of the name",
        "1 image outside val and test is read as train, because there is no train/",
    ]


@pytest.mark.parametrize("name", ["contest", "latest", "trainer", "strain", "developed"])
def test_words_that_contain_the_word_of_a_split_do_not_mean_a_split(tmp_path, name):
    names = [f"{name}/{number}.png" for number in range(4)] + ["other/5.png", "other/x6.png"]
    root = make_empty_files(tmp_path / "pairs", names)
    assert find_names(root).keys() == {"train", "val"}


def test_images_outside_val_and_test_are_reported_as_train(tmp_path):
    root = make_empty_files(tmp_path / "pairs", ["1.png", "2.png", "x/3.png", "val/4.png"])
    assert find_lines(root) == [
        "3 images outside val and test are read as train, because there is no train/"
    ]


def test_loose_images_beside_the_splits_are_reported(tmp_path):
    names = ["train/1.png", "val/1.png", *(f"{number}.png" for number in range(7)), "extra/x.png"]
    root = make_empty_files(tmp_path / "pairs", [*names, "train_extra/9.png"])
    assert find_lines(root) == [
        "skipped 9 images outside the folders train, val and test (0.png, 1.png, 2.png, 3.png, "
        "4.png and 4 more)"
    ]


def test_loose_images_beside_pairs_in_a_and_b_are_reported(tmp_path):
    names = ["train/A/1.png", "train/B/1.png", "val/A/1.png", "val/B/1.png", "preview.jpg"]
    root = make_empty_files(tmp_path / "pairs", names)
    assert find_names(root).keys() == {"train", "val"}
    assert find_lines(root) == [
        "skipped 1 image outside the folders train, val and test (preview.jpg)"
    ]


def test_pairs_that_become_val_are_reported(tmp_path):
    root = make_empty_files(tmp_path / "pairs", [f"train/{number}.png" for number in range(30)])
    assert find_lines(root) == ["there is no val/, so 3 of 30 pairs became val"]
    root = make_empty_files(tmp_path / "pair", ["1.png"])
    assert find_lines(root) == []  # `contents_lines` warns of a single pair.
