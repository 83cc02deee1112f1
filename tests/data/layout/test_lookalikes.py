"""Images whose names show them to be sides of pairs are refused, and not cut in half."""

import re

import pytest
from helpers.pairs import find_names, make_empty_files
from helpers.refusals import refusal

from pix2pix_jax.data.layout.pairs import find_pairs
from pix2pix_jax.data.layout.walk import Source
from pix2pix_jax.data.layout.words import fold_name

SIBLINGS = {
    "images and masks": ["images/{}.jpg", "masks/{}.png"],
    "names of a split": ["train_img/{}.png", "train_label/{}.png"],
    "inside a split": ["train/images/{}.jpg", "train/masks/{}.png"],
    "above a split": ["images/train/{}.jpg", "masks/train/{}.jpg"],
    "above a split, suffixes differ": ["images/train/{}.jpg", "masks/train/{}.png"],
    "three folders": ["photos/{}.png", "labels/{}.png", "depth/{}.png"],
    "a suffix in one folder": ["photos/{}.png", "labels/{}_label.png"],
    "a suffix in both folders": ["photos/{}_rgb.png", "labels/{}_seg.png"],
    "a prefix in both folders": ["x/img_{}.png", "y/gt_{}.png"],
    "several targets of each input": ["photos/{}.png", "labels/{}_ids.png", "labels/{}_colour.png"],
    "channels": ["C1/{}.tif", "C2/{}.tif", "C3/{}.tif"],
    "deep": ["set/one/left/deep/{}.png", "set/one/right/deep/{}.png"],
    "leading zeros in one folder": ["photos/{}.png", "labels/00{}.png"],
    "A beside another folder": ["A/{}.png", "targets/{}.png"],
    "A beside another folder, inside a split": ["train/a/{}.png", "train/gt/{}.png"],
    "Cityscapes": [
        "leftImg8bit/train/ulm/ulm_{}_000019_leftImg8bit.png",
        "gtFine/train/ulm/ulm_{}_000019_gtFine_color.png",
        "gtFine/train/ulm/ulm_{}_000019_gtFine_labelIds.png",
    ],
    "targets in a folder of the inputs": ["{}.jpg", "masks/{}.png"],
    "targets beside the splits": ["train/{}.jpg", "masks/{}.png"],
    "targets beside the splits, named like them": ["train/{}.jpg", "trainannot/{}.png"],
    "targets deeper than inputs": ["images/{}.jpg", "annotations/trimaps/{}.png"],
    "other cases and Unicode forms": ["photos/caf\u00e9{}.png", "labels/CAFE\u0301{}.png"],
}
ONE_FOLDER = {
    "A and B behind": ["{}_A.png", "{}_B.png"],
    "A and B without a separator": ["{}A.png", "{}B.png"],
    "A and B in front": ["A_{}.png", "B_{}.png"],
    "a plain name and a suffix": ["{}.jpg", "{}_mask.png"],
    "words behind": ["{}-left.png", "{}-right.png"],
    "words in front": ["input{}.png", "target{}.png"],
    "words in the middle": ["v1_photo_{}_x.png", "v1_label_{}_x.png"],
    "several words": ["{}_leftImg8bit.png", "{}_gtFine_color.png"],
    "three words": ["{}_rgb.png", "{}_depth.png", "{}_seg.png"],
    "inside a split": ["train/{}_in.png", "train/{}_gt.png"],
    "a folder for each pair": ["scene{}/before.png", "scene{}/after.png"],
    "a folder for each pair, numbered images": ["scene{}/1.png", "scene{}/2.png"],
    "a folder for each pair, with other names": ["s{0}/x{0}7.png", "s{0}/{0}y9{0}.png"],
    "a folder for each pair, with its name": ["s{0}/s{0}_image.png", "s{0}/s{0}_mask.png"],
}


def fill(root, patterns, numbers=("01", "02", "07", "10", "11")):
    """Makes a folder of empty files: each pattern with each number."""
    return make_empty_files(root, [p.format(number) for number in numbers for p in patterns])


@pytest.mark.parametrize("patterns", SIBLINGS.values(), ids=SIBLINGS.keys())
def test_two_folders_with_names_in_common_are_refused(tmp_path, patterns):
    message = refusal(find_pairs, Source(fill(tmp_path / "pairs", patterns), "SOURCE"))
    assert message.startswith("SOURCE: ")
    assert "names in common" in message
    assert message.endswith("give --config.data.form=halves")
    stems = {fold_name(pattern.rpartition("/")[2].partition(".")[0]) for pattern in patterns}
    may_be_renamed = len(stems) == 1 and not {"annotations/trimaps/{}.png", "{}.jpg"} & {*patterns}
    assert ("rename each folder of inputs to " in message) == may_be_renamed
    assert ("move the inputs into A/ and one target each into B/" in message) != may_be_renamed


@pytest.mark.parametrize("patterns", ONE_FOLDER.values(), ids=ONE_FOLDER.keys())
def test_names_in_one_folder_that_differ_by_a_word_are_refused(tmp_path, patterns):
    message = refusal(find_pairs, Source(fill(tmp_path / "pairs", patterns), "SOURCE"))
    assert message.startswith("SOURCE: ")
    assert re.search("move the inputs into A/ and (the targets|one target each) into B/", message)
    assert message.endswith("give --config.data.form=halves")


@pytest.mark.parametrize(
    "patterns", [*SIBLINGS.values(), *ONE_FOLDER.values()], ids=[*SIBLINGS, *ONE_FOLDER]
)
def test_with_the_form_halves_every_image_is_a_pair(tmp_path, patterns):
    root = fill(tmp_path / "pairs", patterns)
    found = find_pairs(Source(root, "SOURCE"), "halves")
    files = [
        str(p.relative_to(root)) for pairs in found.splits.values() for [p] in dict(pairs).values()
    ]
    loose = [name for left_out in found.left_out for name in left_out.files]
    assert sorted(files + loose) == sorted(str(p.relative_to(root)) for p in root.rglob("*.*"))
    assert bool(loose) == ("train/{}.jpg" in patterns)


def test_folders_that_differ_by_more_than_a_number_are_named_first(tmp_path):
    names = [f"clip{clip}/{side}/{{}}.png" for clip in (1, 2) for side in ("blur", "sharp")]
    message = refusal(find_pairs, Source(fill(tmp_path / "pairs", names), "SOURCE"))
    assert message.startswith("SOURCE: clip1/blur/ (5 images) and clip1/sharp/ (5 images) look ")


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_a_split_and_a_folder_with_its_names_get_two_names(tmp_path, split):
    root = fill(tmp_path / "pairs", [f"{split}/{{}}.png", "more/{}.png"])
    message = refusal(find_pairs, Source(root, "SOURCE"))
    assert (
        f"; rename each folder of inputs to {split}A and each folder of targets to {split}B, or, "
    ) in message


def test_a_single_pair_in_two_folders_is_refused(tmp_path):
    root = make_empty_files(tmp_path / "pairs", ["images/1.jpg", "masks/1.png"])
    assert "(1 name in common)" in refusal(find_pairs, Source(root, "SOURCE"))


def test_a_few_masks_of_many_images_are_noticed(tmp_path):
    names = [f"{number:03}.jpg" for number in range(60)]
    root = make_empty_files(tmp_path / "pairs", [*names, "007_mask.png", "010_mask.png"])
    assert "007_mask.png" in refusal(find_pairs, Source(root, "SOURCE"))


def test_folders_named_like_sides_are_refused_even_without_names_in_common(tmp_path):
    names = [f"photos/IMG_{number}.jpg" for number in (7301, 7318)]
    root = make_empty_files(tmp_path / "pairs", [*names, "my labels/street.png"])
    message = refusal(find_pairs, Source(root, "SOURCE"))
    assert message.startswith("SOURCE: photos/ (2 images) and my labels/ (1 image) are named like")


HALVES = {
    "one folder": ["{}.jpg"],
    "AB in all names": ["train/{}_AB.jpg", "val/{}_AB.jpg"],
    "splits with equal names": ["train/{}.jpg", "val/{}.jpg", "test/{}.jpg"],
    "many sequences": [f"clip{clip}/{{}}.jpg" for clip in range(9)],
    "many classes": [f"{name}/{{}}.jpg" for name in ["ant", "bee", "cat", "dog", "elk", "fox"]],
    "classes with names of their own": ["cats/tom{}.jpg", "dogs/{}9/x.jpg"],
    "hexadecimal names": ["{}3f.jpg", "a{}e4.jpg", "7b{}.jpg"],
    "two images in each split": ["train/a{}.jpg", "val/a{}.jpg", "test/a{}.jpg"],
    "two numbers": ["{}_1.jpg", "{}_2.jpg"],
}


def test_the_names_in_common_of_many_folders_are_counted(tmp_path):
    folders = ("rgb", "depth", "normal", "seg", "edge", "ir")
    names = [f"{folder}/{number:02}.png" for folder in folders for number in range(12)]
    root = make_empty_files(tmp_path / "pairs", names)
    message = refusal(find_pairs, Source(root, "SOURCE"))
    assert (
        " are named like the sides of pairs (12 names in common); move the inputs into" in message
    )
    assert message.startswith("SOURCE: rgb/ (12 images) and ")
    assert "and other images out of the source" in message


def test_numbered_folders_inside_similar_folders_are_named_too(tmp_path):
    """ROIs of two seasons are scenes; s1 and s2 are radar and colour images."""
    names = [
        f"ROIs_{season}/s{kind}_{place}/ROIs_{season}_s{kind}_{place}_p{number}.png"
        for season in ("fall", "spring")
        for kind in (1, 2)
        for place in (5, 6)
        for number in range(4)
    ]
    message = refusal(find_pairs, Source(make_empty_files(tmp_path / "pairs", names), "SOURCE"))
    assert message.startswith(
        "SOURCE: ROIs_fall/ (16 images) and ROIs_spring/ (16 images) look like A and B (16 similar "
        "names in common), and so do ROIs_fall/s1_5/ and ROIs_fall/s2_5/; move the inputs into A/ "
    )


@pytest.mark.parametrize("patterns", HALVES.values(), ids=HALVES.keys())
def test_images_that_show_both_sides_are_not_refused(tmp_path, patterns):
    root = fill(tmp_path / "pairs", patterns)
    splits = find_names(root)
    assert sum(map(len, splits.values())) == 5 * len(patterns)
    assert splits == find_names(root, "halves")
