"""Pairs are found in every layout; files that are not pairs are refused and named."""

import errno
import os

import pytest
from helpers.pairs import find_names, make_empty_files
from helpers.refusals import refusal

from pix2pix_jax.data.layout.pairs import find_pairs
from pix2pix_jax.data.layout.walk import Source, list_files

LAYOUTS = {
    "side by side": {
        "train": {"1": ["train/1.png"], "2": ["train/2.jpeg"]},
        "val": {"1": ["val/1.JPG"]},
        "test": {"1": ["test/1.webp"]},
    },
    "A and B, then splits": {
        "train": {"1": ["A/train/1.png", "B/train/1.png"]},
        "val": {"2": ["A/val/2.png", "B/val/2.png"]},
    },
    "splits, then A and B": {
        "train": {"1": ["train/A/1.png", "train/B/1.png"]},
        "val": {"1": ["val/A/1.png", "val/B/1.png"]},
    },
    "suffixes differ": {
        "train": {"1": ["train/A/1.png", "train/B/1.jpg"]},
        "val": {"1": ["val/A/1.tif", "val/B/1.bmp"]},
    },
    "below a folder of their own": {
        "train": {"1": ["facades/train/1.png"]},
        "val": {"1": ["facades/val/1.png"]},
    },
    "below a folder called A": {
        "train": {"1": ["A/train/A/1.png", "A/train/B/1.png"]},
        "val": {"1": ["A/val/A/1.png", "A/val/B/1.png"]},
    },
    "nested": {
        "train": {
            "x/1": ["A/train/x/1.png", "B/train/x/1.png"],
            "y/1": ["A/train/y/1.png", "B/train/y/1.png"],
            "z/1": ["train/z/A/1.png", "train/z/B/1.png"],
        },
        "val": {"x/y/1": ["val/x/A/y/1.png", "val/x/B/y/1.png"]},
    },
    "split and side in one": {
        "train": {"1": ["trainA/1.png", "trainB/1.png"]},
        "val": {"x/2": ["val_A/x/2.png", "val_b/x/2.png"]},
    },
    "letters inside A and B": {
        "train": {
            name: [f"{side}/train/{name}.png" for side in "AB"]
            for name in ("0", "a/0", "a/b/0", "b/0", "c/0")
        },
        "val": {"a/9": ["A/val/a/9.png", "B/val/a/9.png"]},
    },
    "letter a alone inside A and B": {
        "train": {"a/1": ["trainA/a/1.png", "trainB/a/1.png"]},
        "val": {"A/2": ["val/A/A/2.png", "val/B/A/2.png"]},
    },
    "letters inside A and B below a folder called B": {
        "train": {"a/1": ["B/A/train/a/1.png", "B/B/train/a/1.png"]},
        "val": {"b/1": ["B/A/val/b/1.png", "B/B/val/b/1.png"]},
    },
    "scenes a and b around A and B": {
        "train": {"1": ["train/a/A/1.png", "train/a/B/1.png"]},
        "val": {
            "2": ["val/a/A/2.png", "val/a/B/2.png"],
            "3": ["val/b/A/3.png", "val/b/B/3.png"],
        },
    },
    "validation": {
        "train": {"1": ["train/1.png"]},
        "val": {"2": ["validation/2.png"]},
    },
}


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS.keys())
def test_pairs_are_found_in_every_layout(tmp_path, layout):
    names = [file for pairs in layout.values() for files in pairs.values() for file in files]
    assert find_names(make_empty_files(tmp_path / "pairs", names)) == layout


def test_a_name_that_is_not_utf8_is_refused(tmp_path):
    (tmp_path / os.fsdecode(b"b\xe2t.png")).touch()
    assert refusal(find_pairs, Source(tmp_path, "SOURCE")) == (
        "SOURCE: b\\udce2t.png: has a path that is not UTF-8; rename the file or its folder"
    )


def test_without_splits_a_tenth_of_the_pairs_becomes_val(tmp_path):
    splits = find_names(make_empty_files(tmp_path / "pairs", [f"{i}.png" for i in range(40)]))
    assert splits["val"].keys() == {"8", "9", "29", "39"}
    assert splits["train"].keys() | splits["val"].keys() == {f"{i}" for i in range(40)}
    assert len(splits["train"]) == 36
    both = [f"{side}/{i}.png" for side in "AB" for i in range(40)]
    again = find_names(make_empty_files(tmp_path / "both", both))
    assert {split: list(pairs) for split, pairs in again.items()} == {
        split: list(pairs) for split, pairs in splits.items()
    }


def test_without_val_a_tenth_of_train_becomes_val(tmp_path):
    names = [f"train/{i}.png" for i in range(12)]
    splits = find_names(make_empty_files(tmp_path / "pairs", [*names, "test/1.png"]))
    assert {split: len(pairs) for split, pairs in splits.items()} == {
        "train": 11,
        "val": 1,
        "test": 1,
    }
    assert not splits["train"].keys() & splits["val"].keys()


def test_a_missing_partner_below_letters_inside_a_and_b_is_named(tmp_path):
    names = [f"{side}/{letter}/{i}.png" for side in "AB" for letter in "ab" for i in range(3)]
    root = make_empty_files(tmp_path / "pairs", [*names, "A/b/7.png"])
    message = refusal(find_pairs, Source(root, "SOURCE"))
    assert (
        "1 image (1 of A) has no partner of the same name on the other side: A/b/7.png" in message
    )


@pytest.mark.parametrize("split", ["val", "test"])
def test_without_train_no_pairs_are_moved_to_another_split(tmp_path, split):
    names = [f"{split}/{i}.png" for i in range(12)]
    assert {
        split: len(pairs)
        for split, pairs in find_names(make_empty_files(tmp_path / "pairs", names)).items()
    } == {split: 12}


def test_a_single_pair_is_in_both_train_and_val(tmp_path):
    pair = {"1": ["A/1.png", "B/1.png"]}
    assert find_names(make_empty_files(tmp_path / "pairs", pair["1"])) == {
        "train": pair,
        "val": pair,
    }


def test_hidden_files_and_other_files_than_images_are_ignored(tmp_path):
    names = ["train/1.png", "val/1.png"]
    others = ["train/._1.png", ".cache/train/2.png", "train/.x/3.png", "train/4.txt", "README"]
    splits = find_names(make_empty_files(tmp_path / "pairs", names + others))
    assert splits == {"train": {"1": ["train/1.png"]}, "val": {"1": ["val/1.png"]}}


@pytest.mark.parametrize(
    ("names", "problems"),
    [
        (["A/1.png", "B/1.png", "A/2.png"], ["1 image (1 of A)", "A/2.png"]),
        (["train/A/1.png", "train/B/1.png", "train/B/x/1.jpg"], ["train/B/x/1.jpg", "(1 of B)"]),
        (["train/1.jpg", "train/1.png"], ["train/1.jpg", "train/1.png"]),
        (["A/1.jpg", "A/1.png", "B/1.png"], ["A/1.jpg", "1.png"]),
        (["A/1.png", "B/1.png", "AB/1.png"], ["1.png"]),
        (["A/1.png", "1.png"], ["A/ (1 image)"]),
        ([], ["SOURCE: ", "no images"]),
        (["1.txt"], ["SOURCE: ", "no images"]),
    ],
)
def test_files_that_are_not_pairs_are_refused_and_named(tmp_path, names, problems):
    message = refusal(find_pairs, Source(make_empty_files(tmp_path / "pairs", names), "SOURCE"))
    assert all(problem in message for problem in problems)


def test_links_to_folders_are_followed_but_not_in_circles(tmp_path):
    root, elsewhere = tmp_path / "root", tmp_path / "elsewhere"
    for folder in (root / "z", elsewhere / "deep"):
        folder.mkdir(parents=True)
        (folder / "a.png").touch()
    (root / "a_link").symlink_to(root / "z")
    (root / "z" / "up").symlink_to(root)
    for name in ("c_link", "b_link"):
        (root / name).symlink_to(elsewhere)
    (root / "broken.png").symlink_to(root / "nowhere")
    (root / "itself.png").symlink_to(root / "itself.png")
    found = ["a_link/a.png", "b_link/deep/a.png", "c_link/deep/a.png", "z/a.png"]
    assert [str(path.relative_to(root)) for path in list_files(root)] == found
    every = [str(path.relative_to(root)) for path in list_files(root, only_files=False)]
    assert every == sorted([*found, "broken.png", "itself.png"])


def test_a_folder_that_cannot_be_read_is_an_error(tmp_path, monkeypatch):
    """Without the error, nobody would notice that pairs are missing from the dataset."""
    make_empty_files(tmp_path / "pairs", ["train/1.png", "train/closed/2.png"])
    scan = os.scandir

    def scan_open_folders(path):
        if os.path.basename(path) == "closed":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", scan_open_folders)
    with pytest.raises(PermissionError, match="closed"):
        list_files(tmp_path / "pairs")
    assert list_files(tmp_path / "missing") == []
