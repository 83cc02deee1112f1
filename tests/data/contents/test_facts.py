"""Facts about all images are counted, and findings are reported in few lines."""

import json
from dataclasses import replace

import numpy as np
import pytest

from pix2pix_jax.config import Config, Data
from pix2pix_jax.config.resolve import resolve
from pix2pix_jax.data.contents.collector import ContentsCollector
from pix2pix_jax.data.contents.facts import Contents, shows_halves_of
from pix2pix_jax.data.contents.lines import contents_lines
from pix2pix_jax.data.images.decoded_image import DecodedImage

SIDE_BY_SIDE, FOLDERS = "halves", "folders"


def picture(seed, height=32, width=32, channels=3):
    """A colourful picture with values from 0 to 255, in which few pixels equal their neighbours."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(1, 255, (height, width, channels), np.uint8)
    pixels[0, 0], pixels[0, 1] = 0, 255
    return pixels


def blocks(seed, classes, side=32):
    """A label map of numbers of classes, in large areas."""
    small = np.random.default_rng(seed).integers(0, classes, (4, 4)).astype(np.uint8)
    small[0, 0], small[0, 1] = 0, classes - 1
    return np.kron(small, np.ones((side // 4, side // 4), np.uint8))[..., None]


def collect(pairs, form=FOLDERS, splits=("train",) * 8 + ("val",) * 2):
    """The facts about pairs of arrays; a pair is A and B, or a DecodedImage of each."""
    collector = ContentsCollector(form)
    for index, (split, pair) in enumerate(zip(splits, pairs, strict=True)):
        a, b = (x if isinstance(x, DecodedImage) else DecodedImage(x) for x in pair)
        width = a.pixels.shape[1] + (b.pixels.shape[1] if form == SIDE_BY_SIDE else 0)
        collector.add(split, f"{split}/{index}.png", a, b, width)
    return collector.finish()


def describe(contents, **fields):
    fields = {"name": "folder", "source": "pairs", "image_size": 64} | fields
    return contents_lines(contents, resolve(Config(data=Data(**fields))).data)


GOOD = [(picture(i), picture(100 + i)) for i in range(10)]


def findings(pairs, form=FOLDERS, **fields):
    """All lines after the first line."""
    return describe(collect(pairs, form), **fields)[1:]


def test_a_set_without_problems_gives_one_line():
    assert describe(collect(GOOD)) == [
        "A (folder A, 32x32) -> B (folder B), resized to 72x72 and randomly cropped to 64x64; "
        "sizes are width x height"
    ]
    assert describe(collect(GOOD, SIDE_BY_SIDE), direction="BtoA") == [
        "B (right half, 32x32) -> A (left half), resized to 72x72 and randomly cropped to 64x64; "
        "sizes are width x height"
    ]


def test_the_first_line_says_whether_images_are_resized():
    [line] = describe(collect(GOOD), image_size=32, load_scale=1)
    assert "-> B (folder B), not resized; sizes" in line
    [line] = describe(collect(GOOD), image_size=32)  # with the paper's jitter
    assert "-> B (folder B), resized to 36x36 and randomly cropped to 32x32; sizes" in line
    [line] = describe(collect(GOOD), image_size=16, load_size=32)
    assert "-> B (folder B), randomly cropped to 16x16; sizes" in line
    [line] = describe(collect(GOOD), image_size="64,48", load_scale=1)  # height, width
    assert "-> B (folder B), resized to 48x64 (proportions change); sizes" in line


def test_the_first_line_says_that_proportions_change():
    tall = [(picture(i, 40, 30), picture(100 + i, 40, 30)) for i in range(10)]
    [line] = describe(collect(tall, SIDE_BY_SIDE))
    assert line.startswith(
        "A (left half, 30x40) -> B (right half), resized to 72x72 (proportions change) and "
        "randomly cropped to 64x64;"
    )
    assert "change" not in describe(collect(tall), image_size="64,48")[0]
    larger = [(a, picture(i, 80, 60)) for i, (a, _) in enumerate(tall)]
    assert "A (folder A, 30x40) -> B (folder B, 60x80), resized" in describe(collect(larger))[0]
    mixed = [(picture(i, 32, 32 + i), picture(100 + i, 32, 32 + i)) for i in range(10)]
    assert "A (folder A, 32x32 and 9 other sizes) -> B" in describe(collect(mixed))[0]


def test_facts_survive_as_json_and_facts_of_other_versions_are_ignored():
    noted = DecodedImage(picture(1), notes={"frames": "only the first of 3 frames is used"})
    contents = collect([(noted, picture(2)), *GOOD[1:]])
    assert Contents.from_json(json.loads(json.dumps(contents.to_json()))) == contents
    assert Contents.from_json({"form": "circles"}) is None
    assert Contents.from_json(None) is None


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (lambda i: blocks(i, 8), "8 values from 0 to 7 look like class numbers"),
        (lambda i: blocks(i, 2), "2 values from 0 to 1 look like class numbers"),
        (lambda i: np.repeat(blocks(i, 8), 3, 2), "from 0 to 7 look like class numbers"),
        (lambda i: picture(i) // 32, "8 values from 0 to 7, but 255 is white"),
        (
            lambda i: np.where(blocks(i, 8) == 3, 255, blocks(i, 8)).astype("u1"),
            "from 0 to 255 loo",
        ),
        (lambda i: blocks(i, 16).astype(np.uint16), "from 0 to 15 look like class numbers"),
        (lambda i: picture(i) // 3, "86 values from 0 to 85, but 255 is white"),
        (lambda i: picture(i).astype("u2") * 16, "256 values from 0 to 4,080, but 65,535 is white"),
        (lambda i: picture(i).astype("u2") + 40_000, "from 40,000 to 40,255, so the contrast is"),
        (lambda i: np.full((32, 32, 1), 7, np.uint8), "every pixel has the value 7"),
    ],
    ids=["ids", "mask", "rgb", "noise", "ignored", "deep", "dark", "12 bits", "offset", "constant"],
)
def test_values_of_low_contrast_are_reported(image, expected):
    pairs = [(image(i), b) for i, (_, b) in enumerate(GOOD)]
    [line] = [line for line in findings(pairs) if line.startswith("WARNING: ")]
    assert line.startswith("WARNING: A: ")
    assert expected in line
    [line] = [line for line in findings([(b, a) for a, b in pairs]) if "WARNING: " in line]
    assert line.startswith("WARNING: B: ")


def test_many_classes_differ_from_dark_pictures():
    many = [np.arange(16 * i, 16 * i + 16).reshape(4, 4) for i in range(10)]
    ids = [np.kron(x, np.ones((8, 8))).astype(np.uint8)[..., None] for x in many]
    line = findings(list(zip(ids, ids, strict=True)))[0]
    assert "A and B: 160 values from 0 to 159 look like class numbers" in line
    dark = [(picture(i) // 2, b) for i, (_, b) in enumerate(GOOD)]
    assert findings(dark) == []  # A highest value of half of white gives no warning.


@pytest.mark.parametrize(
    "image",
    [
        lambda i: 255 * blocks(i, 2),
        lambda i: 127 * blocks(i, 3),
        lambda i: blocks(i, 2) * np.uint16(65535),
        lambda i: 40 * blocks(i, 7),
        lambda i: picture(i).astype(np.uint16) * 257,
    ],
    ids=["mask", "three", "deep", "greys", "photo"],
)
def test_values_that_reach_from_black_to_white_give_no_warning(image):
    pairs = [(image(i), b) for i, (_, b) in enumerate(GOOD)]
    assert not [line for line in findings(pairs) if "WARNING" in line]


def test_sixteen_bits_are_reported_in_one_line():
    deep = [(a.astype(np.uint16) * 257, b.astype(np.uint16) * 257) for a, b in GOOD]
    assert findings(deep) == [
        "A and B: 16 bits a channel; training uses 8 of them, `pix2pix translate` all 16"
    ]
    assert findings([*deep[:3], *GOOD[3:]]) == [
        "A and B: 16 bits a channel in 3 images; training uses 8 of them, "
        "`pix2pix translate` all 16"
    ]


def test_alpha_does_not_count_as_values_or_colour():
    alpha = picture(0)[..., :1] | 255
    ids = [DecodedImage(np.dstack([blocks(i, 4), alpha]), True) for i in range(10)]
    lines = findings([(image, b) for image, (_, b) in zip(ids, GOOD, strict=True)])
    assert "4 values from 0 to 3 look like" in lines[0]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_values_are_counted_where_transparent_parts_are_white(dtype):
    """Drawings may be black everywhere, and visible by their alpha only."""
    scale = np.iinfo(dtype).max // 255
    black = np.zeros((32, 32, 3), dtype)
    ink = [picture(i, channels=1).astype(dtype) * scale for i in range(10)]
    drawings = [DecodedImage(np.dstack([black, alpha]), True) for alpha in ink]
    pairs = [(image, b) for image, (_, b) in zip(drawings, GOOD, strict=True)]
    assert not [line for line in findings(pairs) if "WARNING" in line]
    levels = collect(pairs).sides["A"].levels[0]
    assert (levels.lowest, levels.highest) == (0, np.iinfo(dtype).max)


@pytest.mark.parametrize("hot", [60_000, 65_535, 40_000])
def test_a_few_faulty_pixels_do_not_hide_dark_images(hot):
    dark = [picture(i, 64, 64, 1).astype("u2") * 16 for i in range(10)]
    dark[3][5, 5] = hot  # one of 40,960 pixels
    pairs = [(image, b) for image, (_, b) in zip(dark, GOOD, strict=True)]
    [line] = [line for line in findings(pairs) if "WARNING" in line]
    assert line == (
        "WARNING: A: nearly all values are from 0 to 4,064, but 65,535 is white, so the network "
        "would see dark images; scale the values to 0..65,535"
    )


def test_notes_of_the_reader_are_counted():
    note = {"alpha": "transparent parts are filled with white"}
    pairs = [(DecodedImage(a, notes=note), b) for a, b in GOOD]
    expected = (
        "in all 10 images{}, transparent parts are filled with white (train/0.png, "
        "train/1.png, train/2.png, train/3.png, train/4.png and 5 more)"
    )
    assert findings(pairs) == [expected.format(" of A")]
    assert findings(pairs, input_channels=4) == []
    whole = [(a, replace(a, pixels=b)) for a, b in pairs]
    assert findings(whole, SIDE_BY_SIDE) == [expected.format("")]


def test_pairs_with_other_proportions_are_counted_and_named():
    turned = [
        (np.rot90(picture(i, 24, 36)) if i in (1, 4) else picture(i, 24, 36)) for i in range(10)
    ]
    pairs = [(a, picture(100 + i, 24, 36)) for i, a in enumerate(turned)]
    [line] = findings(pairs)
    assert line == (
        "WARNING: A and B have different proportions in 2 of 10 pairs (train/1.png, train/4.png); "
        "in 2 of them, width and height are swapped, as if one image had lost its EXIF "
        "orientation; turn or crop these images, so that A and B show the same part of the scene"
    )
    cropped = [(a[:, :30] if i == 8 else a, b) for i, (a, b) in enumerate(GOOD)]
    [line] = findings(cropped)
    assert "in 1 of 10 pairs (val/8.png); turn or crop" in line
    assert findings([(picture(i, 48, 48), b) for i, (_, b) in enumerate(GOOD)]) == []


def test_a_single_picture_among_pairs_and_odd_widths_are_named():
    pairs = [(a[:, :16], b[:, :16]) if i == 3 else (a, b) for i, (a, b) in enumerate(GOOD)]
    [line] = findings(pairs, SIDE_BY_SIDE)
    assert line.startswith("WARNING: 1 of 10 images differ from the rest in their proportions (tra")
    collector = ContentsCollector("halves")
    for index, (a, b) in enumerate(GOOD):
        collector.add("train", f"{index}.png", DecodedImage(a), DecodedImage(b), 64 + (index < 2))
    assert describe(collector.finish())[1:] == [
        "in 2 of 10 images, the width is odd and the middle column is left out (0.png, 1.png)"
    ]


def test_grey_sides_suggest_the_field_of_their_role():
    grey = [np.repeat(a[..., :1], 3, 2) for a, _ in GOOD]
    pairs = [(g, b) for g, (_, b) in zip(grey, GOOD, strict=True)]
    line = (
        "A is grey in all images, but is trained with 3 channels; give {} to train with one "
        "channel, so that outputs have no tint"
    )
    assert findings(pairs) == [line.format("--config.data.input_channels=1")]
    assert findings(pairs, direction="BtoA") == [line.format("--config.data.target_channels=1")]
    assert findings(pairs, input_channels=1) == []
    assert findings(pairs, name="facades") == []  # The fields of the public sets are the paper's.
    both = [(g[..., :1], g + np.uint8(1)) for g in grey]
    [line] = findings(both)
    assert line.startswith("A and B are grey in all images, but are trained with 3 channels; ")
    assert "--config.data.input_channels=1 --config.data.target_channels=1" in line
    assert findings([*pairs[:9], GOOD[9]]) == []


def test_the_values_of_the_file_decide_whether_dark_images_are_grey():
    def hints(images):
        pairs = [(image, b) for image, (_, b) in zip(images, GOOD, strict=True)]
        return [line for line in findings(pairs) if "is grey in all images" in line]

    deep = [a.astype(np.uint16) * 12 for a, _ in GOOD]  # colours of 12 bits in 16 bits
    assert hints(deep) == []
    assert hints([a // 20 for a, _ in GOOD]) == []
    assert len(hints([np.repeat(a[..., :1], 3, 2) for a in deep])) == 1
    noise = np.random.default_rng(0).integers(0, 60, deep[0].shape, np.uint16)
    assert len(hints([np.repeat(a[..., :1], 3, 2) + noise for a in deep])) == 1


def test_copies_in_two_splits_are_reported():
    warning, note = findings([*GOOD[:8], GOOD[0], (picture(50), GOOD[2][1])])
    assert warning == (
        "WARNING: 1 of 2 pairs of val is also in train (val/8.png = train/0.png), so their scores "
        "are too good; remove the copies"
    )
    assert note == (
        "in 1 of 2 pairs of val, image B is also in train, in another pair (val/9.png = "
        "train/2.png), so their scores may be too good; remove such pairs from train if the "
        "images must be new"
    )
    empty = np.zeros((32, 32, 3), np.uint8)  # Empty masks do not count as copies.
    masks = [(a, empty if i in (0, 9) else b) for i, (a, b) in enumerate(GOOD)]
    assert findings(masks) == []


def test_the_same_image_on_both_sides_is_reported():
    [line] = findings([(a, a) if i < 9 else (a, b) for i, (a, b) in enumerate(GOOD)])
    assert line.startswith("WARNING: A and B are the same image in 9 of 10 pairs (train/0.png, ")


def test_a_validation_split_of_one_pair_is_reported():
    one = collect(GOOD, splits=("train",) * 9 + ("val",))
    assert describe(one)[1:] == [
        "val has only 1 pair, so its scores say little about other images; put ten or more pairs "
        "into val/"
    ]
    same = ContentsCollector("folders")
    for split in ("train", "val"):
        same.add(split, "0.png", *map(DecodedImage, (GOOD[0][0], GOOD[0][1][:20])), 32)
    unequal, line = describe(same.finish())[1:]
    assert unequal.startswith(
        "WARNING: A and B have different proportions in the only pair (0.png)"
    )
    assert line.startswith("WARNING: the only pair is used for training and for validation, so ")


def test_many_targets_of_one_input_give_a_line_without_a_warning():
    day = picture(70)
    lines = findings([(picture(i), day) for i in range(10)])
    assert lines == [
        "in all 2 pairs of val, image B is also in train, in another pair (val/8.png = "
        "train/0.png, val/9.png = train/0.png), so their scores may be too good; remove such "
        "pairs from train if the images must be new"
    ]
    nights, days = [picture(1), picture(2)], [picture(3), picture(4)]
    pairs = [(nights[i], days[j]) for i in range(2) for j in range(2)]
    contents = collect(pairs, splits=("train", "train", "train", "val"))
    lines = describe(contents)[1:]
    assert not any(line.startswith("WARNING") for line in lines)
    assert [line[:40] for line in lines[1:]] == [
        "in the only pair of val, image A is also",
        "in the only pair of val, image B is also",
    ]


def test_the_facts_of_an_earlier_version_are_read():
    ids = [(blocks(i, 8), b) for i, (_, b) in enumerate(GOOD)]
    facts = collect(ids).to_json()
    del facts["half_copies"]
    for levels in (levels for side in facts["sides"].values() for levels in side["levels"]):
        del levels["has_numbers"], levels["unit_steps"], levels["highest_usual"]
    contents = Contents.from_json(facts)
    assert contents is not None
    assert describe(contents) == describe(collect(ids))


@pytest.mark.parametrize(("flatness", "are_classes"), [(0.6, False), (0.75, True)])
def test_the_flatness_of_an_earlier_version_has_its_own_limit(flatness, are_classes):
    grey = [(np.repeat(picture(i, channels=1), 3, 2), b) for i, (_, b) in enumerate(GOOD)]
    facts = collect(grey).to_json()
    [levels] = facts["sides"]["A"]["levels"]
    del levels["has_numbers"], levels["unit_steps"]
    levels |= {"count": 200, "highest": 230, "highest_below_white": 230, "flatness": flatness}
    contents = Contents.from_json(facts)
    assert contents is not None
    [line] = describe(contents)[1:]
    assert ("look like class numbers" in line) == are_classes
    assert ("A is grey in all images" in line) != are_classes


def test_files_with_the_proportions_of_halves_are_recognized():
    pairs = collect(GOOD, SIDE_BY_SIDE)
    single = collect([(a[:, :16], b[:, 16:]) for a, b in GOOD], SIDE_BY_SIDE)
    assert shows_halves_of(single, pairs)
    assert not shows_halves_of(pairs, pairs)
    assert not shows_halves_of(single, collect(GOOD, FOLDERS))
