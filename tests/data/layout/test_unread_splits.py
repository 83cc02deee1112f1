"""Lists of splits, and names with the word of a split, are told: only folders make splits."""

import pytest
from helpers.pairs import make_empty_files

from pix2pix_jax.data.layout.pairs import find_pairs
from pix2pix_jax.data.layout.walk import Source

SIDES = [f"{side}/{number}.png" for side in "AB" for number in range(10)]
MOVED = "there is no val/, so 1 of 10 pairs became val"


def find_lines(root, names, texts=()):
    make_empty_files(root, [*names, *texts])
    for text in texts:
        (root / text).write_text("7\n8\n\n9")
    return find_pairs(Source(root, "SOURCE")).lines()


def test_lists_of_splits_are_told_with_their_lines(tmp_path):
    line, moved = find_lines(tmp_path / "pairs", SIDES, ["train.txt", "val.txt"])
    assert moved == MOVED
    assert line == (
        "2 lists of splits are not read (train.txt with 3 lines, val.txt with 3 lines), but only "
        "folders make splits; put the pairs of each split into folders such as valA/ and valB/"
    )


@pytest.mark.parametrize(
    "name",
    [
        *("test.txt", "Sony_test_list.txt", "files/val_ids.csv", "ImageSets/Main/cat_train.txt"),
        *("split.json", "my_splits.csv", "lists/eval.lst"),
    ],
)
def test_a_list_is_known_by_its_name(tmp_path, name):
    line, _ = find_lines(tmp_path / "pairs", SIDES, [name])
    assert line.startswith(f"1 list of splits is not read ({name}")


@pytest.mark.parametrize(
    "name", ["train_masks.csv", "instances_val2017.json", "README.md", "7.txt", "latest.txt"]
)
def test_other_texts_are_no_lists(tmp_path, name):
    assert find_lines(tmp_path / "pairs", SIDES, [name]) == [MOVED]


def test_a_text_beside_each_image_is_no_list(tmp_path):
    names = [f"train/test_{number}.png" for number in range(3)] + ["test/1.png", "val/1.png"]
    assert find_lines(tmp_path / "pairs", names, ["train/test_1.txt", "labels/test_2.txt"]) == []


def test_lists_of_splits_that_folders_make_are_not_told(tmp_path):
    names = ["train/1.png", "val/2.png", "test/3.png"]
    lists = ["train.txt", "val.txt", "ImageSets/trainval.txt", "test.txt"]
    assert find_lines(tmp_path / "pairs", names, lists) == []


@pytest.mark.parametrize(
    ("word", "split"), [("test_{}", "test"), ("7_{}_Valid", "val"), ("dev{}", "val")]
)
@pytest.mark.parametrize(
    ("folders", "places"), [(["A/", "B/"], "{0}A/ and {0}B/"), (["x/"], "{0}/")]
)
def test_names_that_mention_a_split_are_told(tmp_path, word, split, folders, places):
    names = [word.format(number) for number in range(3)] + [
        f"s{number}" for number in range(10, 17)
    ]
    files = [f"{folder}{name}.png" for folder in folders for name in names]
    line, moved = find_lines(tmp_path / "pairs", files)
    assert moved == MOVED
    assert line == (
        f"the names of 3 pairs mention {split} (first {word.format(0)}), but only folders make "
        f"splits; put the pairs of each split into folders such as {places.format(split)}"
    )


def test_both_splits_are_told_in_one_line_unless_a_folder_makes_them(tmp_path):
    names = ["train/val_1.png", "train/test_1.png", "train/test_2.png", "train/contest.png"]
    line, _ = find_lines(tmp_path / "one", names)
    assert line.startswith(
        "the names of 1 pair mention val (first val_1) and of 2 pairs mention test (first test_1), "
    )
    assert find_lines(tmp_path / "two", [*names, "val/x.png", "test/y.png"]) == []
