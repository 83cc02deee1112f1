"""A and B are joined by their names; images without a partner are counted and named."""

import os

import pytest
from helpers.pairs import find_names, make_empty_files
from helpers.refusals import refusal

from pix2pix_jax.data.layout.inventory import SKIPPED_KINDS
from pix2pix_jax.data.layout.pairs import find_pairs
from pix2pix_jax.data.layout.walk import Source


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("caf\u00e9", "cafe\u0301"),
        ("IMG_1", "img_1"),
        ("Stra\u00dfe", "STRASSE"),
        ("\u00c9x/1", "e\u0301X/1"),
    ],
)
def test_case_and_unicode_form_do_not_separate_a_pair(tmp_path, a, b):
    pair = [f"A/{a}.png", f"B/{b}.JPG"]
    root = make_empty_files(tmp_path / "pairs", [*pair, "A/2.png", "B/2.png"])
    found = [files for pairs in find_names(root).values() for files in pairs.items()]
    assert (a, pair) in found


def test_equal_names_are_joined_before_similar_names(tmp_path):
    names = [f"{side}/{name}.png" for side in "AB" for name in ("x", "X", "\u00e9", "e\u0301")]
    found = find_names(make_empty_files(tmp_path / "pairs", names))
    assert {name: files for pairs in found.values() for name, files in pairs.items()} == {
        name: [f"A/{name}.png", f"B/{name}.png"] for name in ("x", "X", "\u00e9", "e\u0301")
    }


def test_names_that_are_equal_except_for_the_case_are_refused_if_they_collide(tmp_path):
    root = make_empty_files(tmp_path / "pairs", ["A/x.png", "A/X.png", "B/x.png"])
    message = refusal(find_pairs, Source(root, "SOURCE"))
    assert "A/X.png (the name of A/x.png differs only in case)" in message


def test_images_without_a_partner_are_counted_and_named_with_the_nearest_name(tmp_path):
    names = [f"A/{number:03}.png" for number in range(1, 8)] + ["A/same.png", "B/same.png"]
    names += [*(f"B/{number}.png" for number in range(3)), "B/003_mask.png"]
    message = refusal(find_pairs, Source(make_empty_files(tmp_path / "pairs", names), "SOURCE"))
    assert message == (
        "SOURCE: 11 images (7 of A and 4 of B) have no partner of the same name on the other "
        "side: A/001.png (nearest: B/1.png), A/002.png (nearest: B/2.png), A/003.png (nearest: "
        "B/003_mask.png), A/004.png, A/005.png and 6 more; give A and B of a pair the same name, "
        "in the same folders below A/ and B/, or remove the images without a partner"
    )


@pytest.mark.parametrize(
    ("partner", "reason", "fix"),
    [
        ("B/1.heic", "B/1.heic has a format that cannot be read", "save images of these formats"),
        ("B/1.nii.gz", "B/1.nii.gz has a format that cannot be read", "save images of these "),
        ("B/.1.png.icloud", "B/.1.png.icloud has not been downloaded by iCloud", "download the"),
        ("B/.1.png", "B/.1.png is a hidden file", "to read hidden images, remove the dot at"),
        ("B/1.zip", "B/1.zip is an archive", "unpack archives that contain pairs"),
        ("test/B/1.png", "test/B/1.png has this name, but is in another split", "give A and B of"),
    ],
)
def test_a_partner_that_cannot_be_used_is_named(tmp_path, partner, reason, fix):
    names = ["A/1.png", "A/2.png", "B/2.png", "test/A/3.png", "test/B/3.png", partner]
    message = refusal(find_pairs, Source(make_empty_files(tmp_path / "pairs", names), "SOURCE"))
    assert f"A/1.png ({reason})" in message
    assert f"; {fix}" in message
    assert message.endswith(", or remove the images without a partner")
    assert ("give A and B of a pair the same name" in message) == (reason.endswith("split"))


def test_a_broken_link_is_named_as_the_partner(tmp_path):
    root = make_empty_files(tmp_path / "pairs", ["A/1.png", "A/2.png", "B/2.png"])
    os.symlink(tmp_path / "nowhere.png", root / "B/1.png")
    message = refusal(find_pairs, Source(root, "SOURCE"))
    assert "A/1.png (B/1.png is a broken link); repair or remove broken links, or" in message


def test_a_partner_in_the_folder_of_a_run_is_named_with_its_own_fix(tmp_path):
    names = ["A/1.png", "B/1.png", "B/config.json", "B/metrics.jsonl"]
    message = refusal(find_pairs, Source(make_empty_files(tmp_path / "pairs", names), "SOURCE"))
    assert (
        "A/1.png (B/1.png is in the folder of a run); to read these images as data, copy them out "
        "of the folder of the run, or remove the images without a partner"
    ) in message


def test_an_unread_image_of_another_split_is_not_named_as_the_partner(tmp_path):
    names = [f"{split}/{side}/0.png" for split in ("train", "val") for side in "AB"]
    names += ["val/A/1.png", "train/B/1.heic"]
    message = refusal(find_pairs, Source(make_empty_files(tmp_path / "pairs", names), "SOURCE"))
    assert "side: val/A/1.png; give A and B of a pair the same name" in message


def test_every_kind_of_skipped_files_has_a_fix():
    assert all(fix and each for _, _, fix, each in SKIPPED_KINDS.values())


@pytest.mark.parametrize(
    ("names", "nearest"),
    [
        (["A/X4/0011x4", "B/0014", "B/0011", "B/0011y"], "B/0011"),
        (["A/img_1", "B/img_003_mask", "B/img_001_mask"], "B/img_001_mask"),
        (["A/ann/t1/7", "B/bob/t2/7", "B/ann/t2/7"], "B/ann/t2/7"),
        (["A/left5", "B/left6x", "B/lefft5"], "B/lefft5"),
    ],
)
def test_the_nearest_name_has_the_same_number(tmp_path, names, nearest):
    names = [f"{name}.png" for name in names]
    message = refusal(find_pairs, Source(make_empty_files(tmp_path / "pairs", names), "SOURCE"))
    assert f"{names[0]} (nearest: {nearest}.png)" in message


def test_one_side_alone_is_refused(tmp_path):
    root = make_empty_files(tmp_path / "pairs", ["A/1.png", "A/2.png"])
    message = refusal(find_pairs, Source(root, "SOURCE"))
    assert message.startswith("SOURCE: 2 images (2 of A) have no ")


@pytest.mark.parametrize(
    ("names", "fix"),
    [
        (["A/1"], "put the targets into B/, or remove the images without a partner"),
        (["A/1", "B/1", "valB/2"], "put the inputs of val into valA/, or remove the images "),
        (["A/1", "B/1", "B/3", "valB/2"], "put the inputs of val into valA/, give A and B of a "),
    ],
)
def test_the_side_that_a_split_lacks_is_named(tmp_path, names, fix):
    root = make_empty_files(tmp_path / "pairs", [f"{name}.png" for name in names])
    assert f"; {fix}" in refusal(find_pairs, Source(root, "SOURCE"))


def test_images_of_test_outside_a_and_b_are_not_lost(tmp_path):
    names = ["trainA/1.png", "trainB/1.png", "valB/x_L.png", "val/x.png", "test/2.png"]
    root = make_empty_files(tmp_path / "pairs", names)
    assert (
        "; move inputs into valA/ and testA/ and targets into valB/ and testB/, or give "
        "--config.data.form=folders to leave out all other images, or "
    ) in refusal(find_pairs, Source(root, "SOURCE"))


def test_a_test_split_of_one_side_is_skipped(tmp_path):
    names = ["train/A/1.png", "train/B/1.png", "val/A/1.png", "val/B/1.png"]
    tests = [f"test/A/{number}.png" for number in range(3)]
    found = find_pairs(Source(make_empty_files(tmp_path / "pairs", names + tests), "SOURCE"))
    assert found.splits.keys() == {"train", "val"}
    assert found.lines() == [
        "skipped 3 images of test without a partner (test/A/0.png, test/A/1.png, "
        "test/A/2.png); pix2pix translate reads images without targets"
    ]


def test_with_the_form_folders_other_images_are_skipped(tmp_path):
    names = ["A/1.png", "B/1.png", "AB/1.png", "preview.png"]
    root = make_empty_files(tmp_path / "pairs", names)
    assert "--config.data.form=folders" in refusal(find_pairs, Source(root, "SOURCE"))
    found = find_pairs(Source(root, "SOURCE"), "folders")
    assert found.form == "folders"
    assert found.lines() == ["skipped 2 images outside folders A and B (AB/1.png, preview.png)"]


def test_with_the_form_folders_a_source_needs_a_and_b(tmp_path):
    root = make_empty_files(tmp_path / "pairs", ["1.png"])
    message = refusal(find_pairs, Source(root, "SOURCE"), "folders")
    assert message.startswith("SOURCE: data.form is folders, but the only image is outside ")


def test_with_the_form_halves_folders_a_and_b_have_no_meaning(tmp_path):
    root = make_empty_files(tmp_path / "pairs", ["A/1.png", "B/1.png", "trainA/2.png"])
    assert find_names(root, "halves") == {
        "train": {"A/2": ["trainA/2.png"]},
        "val": {"A/2": ["trainA/2.png"]},
    }


def test_the_error_names_folders_that_need_another_name(tmp_path):
    names = [
        f"{folder}/{n}.png" for folder in ("trainA", "trainB", "val", "valannot") for n in "12"
    ]
    message = refusal(find_pairs, Source(make_empty_files(tmp_path / "pairs", names), "SOURCE"))
    assert message.startswith("SOURCE: val/ (2 images) and valannot/ (2 images) look like A and B")
    assert "rename each folder of inputs to valA and each folder of targets to valB" in message
