"""Single pictures are not cut in two: a test split of them is left out, others are refused."""

from pathlib import Path

import numpy as np
import pytest
from helpers.refusals import refusal
from PIL import Image, ImageFile

from pix2pix_jax.data.contents.single_pictures import (
    check_pictures,
    read_picture_file,
    refuse_one_side,
    warn_of_pictures,
)
from pix2pix_jax.data.layout.walk import Source
from pix2pix_jax.data.synthetic.paint import draw_facade

SOURCE = Source(Path("/"), "SOURCE")
PAIRS = [draw_facade(seed, 64, 64, ambiguous=True) for seed in range(12)]


def write_split(root, split, images, suffix="png"):
    """Writes images into the folder of a split."""
    (root / split).mkdir(parents=True)
    paths = [root / split / f"{index}.{suffix}" for index in range(len(images))]
    for path, image in zip(paths, images, strict=True):
        Image.fromarray(image).save(path)
    return [read_picture_file(path, SOURCE) for path in paths]


def check(**splits):
    return check_pictures(splits, SOURCE)


def folder_source(path):
    return Source(path, str(path))


def pairs(count=8):
    return [np.hstack(pair) for pair in PAIRS[:count]]


def photos(count=8, width=64):
    return [photo[:, :width] for photo, _ in PAIRS[:count]]


def test_pairs_pass_silently(tmp_path):
    splits = {s: write_split(tmp_path, s, pairs()) for s in ("train", "val", "test")}
    assert check(**splits) == (set(), [])
    # A split in which no file is a readable image has no measured files.
    assert check(**splits | {"train": []}) == (set(), [])
    assert check(train=[]) == (set(), [])


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_single_pictures_are_refused_with_the_fix(tmp_path, split):
    splits = {"train": write_split(tmp_path, "train", pairs())} if split == "val" else {}
    splits[split] = write_split(tmp_path, split, photos(12))
    message = refusal(lambda: check(**splits))
    assert message.startswith(
        f"data.source: SOURCE: the images of {split} (12 images, for example "
    )
    assert "look like single pictures" in message
    if split != "val":  # The images of val have the proportions of halves of train.
        assert " of 12 measured images, the left half continues into the right half); " in message
    if split == "val":  # The pairs of train show that halves are right.
        assert "; remove these images, or put pairs in their place; or, if each " in message
    else:
        assert "give A and B in two folders, A/ and B/" in message
    assert message.endswith("give --config.data.form=halves")


def test_images_outside_folders_of_splits_are_named_without_a_split(tmp_path):
    message = refusal(lambda: check(train=write_split(tmp_path, "photos", photos(12))))
    assert "SOURCE: the images (12 images, for example 0.png) look like single" in message
    noise = np.random.default_rng(0).integers(0, 256, (5, 64, 128, 3), np.uint8)
    _, [line] = check(train=write_split(tmp_path, "noise", list(noise)))
    assert "the left and right halves of the images belong together" in line


def test_a_gap_that_moves_b_against_a_gives_a_warning(tmp_path):
    gap = np.full((64, 6, 3), 255, np.uint8)
    images = [np.hstack([a, gap, b]) for a, b in PAIRS]
    files = write_split(tmp_path, "train", images)
    line = (
        "WARNING: in most images of train, a gap between A and B, or a border, moves B against A "
        "by about 3 columns; cut it off, or put A and B without it into two folders, A/ and B/"
    )
    assert check(train=files) == (set(), [line])
    assert warn_of_pictures({"train": files}, SOURCE) == [line]
    framed = [np.pad(x, ((3, 3), (3, 3), (0, 0)), constant_values=255) for x in images]
    assert check(train=write_split(tmp_path / "framed", "train", framed)) == (set(), [])


@pytest.mark.parametrize("width", [64, 63])
def test_a_test_split_of_one_side_is_left_out_and_reported(tmp_path, width):
    train = write_split(tmp_path, "train", pairs())
    test = write_split(tmp_path, "test", [np.zeros((64, width, 3), np.uint8)] * 3)
    left_out, [line] = check(train=train, test=test)
    assert left_out == {file.path for file in test}
    assert line.startswith("left out all 3 images of test, because each shows one picture and not ")
    assert "--config.data.form=halves" in line


def test_a_test_split_of_single_pictures_of_any_size_is_left_out(tmp_path):
    train = write_split(tmp_path, "train", [pair[: 40 + 3 * i] for i, pair in enumerate(pairs())])
    test = write_split(tmp_path, "test", photos(12))
    left_out, _ = check(train=train, test=test)
    assert left_out == {file.path for file in test}


@pytest.mark.parametrize("split", ["val", "test"])
def test_single_pictures_among_the_pairs_of_a_split_are_left_out(tmp_path, split):
    train = write_split(tmp_path, "train", pairs())
    files = write_split(tmp_path, split, [*photos(2), *pairs(6)])
    left_out, [line] = check(**{"train": train, split: files})
    assert left_out == {file.path for file in files[:2]}
    assert line.startswith(f"left out 2 of 8 images of {split}, because each shows one picture ")


def test_images_of_noise_give_a_warning(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (5, 64, 128, 3), np.uint8)
    left_out, [line] = check(train=write_split(tmp_path, "train", list(noise)))
    assert left_out == set()
    assert line.startswith(
        "WARNING: nothing shows that the left and right halves of the images of "
    )
    _, [line] = check(train=write_split(tmp_path / "tiny", "train", [noise[0, :9, :8]]))
    assert "WARNING" in line  # The halves are narrow.
    assert check(train=write_split(tmp_path / "wide", "train", [noise[0, :4, :8]])) == (set(), [])


def test_sizes_are_those_of_upright_images(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    path: Path = tmp_path / "1.jpg"
    Image.new("RGB", (20, 10)).save(path, exif=exif)
    assert read_picture_file(path, SOURCE)[1:] == (20, 10)  # height and width
    Image.new("RGB", (20, 10)).save(tmp_path / "1.png", exif=exif)
    assert read_picture_file(tmp_path / "1.png", SOURCE)[1:] == (20, 10)
    path.write_bytes(b"no image")
    assert "cannot be read as an image" in refusal(read_picture_file, path, SOURCE)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "WEBP"])
def test_sizes_are_read_without_decoding(tmp_path, monkeypatch, kind):
    Image.new("RGB", (20, 10)).save(tmp_path / "1", kind)

    def fail(self):
        raise AssertionError("the image is decoded")

    monkeypatch.setattr(ImageFile.ImageFile, "load", fail)
    assert read_picture_file(tmp_path / "1", SOURCE)[1:] == (10, 20)


@pytest.mark.parametrize(("source", "sibling"), [("A", "B"), ("trainB", "trainA"), ("b", "a")])
def test_a_folder_of_one_side_is_refused_if_the_other_folder_is_next_to_it(
    tmp_path, source, sibling
):
    for name in (source, sibling):
        (tmp_path / name).mkdir()
    message = refusal(refuse_one_side, folder_source(tmp_path / source))
    assert f"{tmp_path / sibling} holds side" in message
    assert f"give {tmp_path}; or" in message


@pytest.mark.parametrize(("source", "sibling"), [("A", "C"), ("photos", "B"), ("A", "trainA")])
def test_other_folders_may_have_any_name(tmp_path, source, sibling):
    for name in (source, sibling):
        (tmp_path / name).mkdir()
    refuse_one_side(folder_source(tmp_path / source))
