"""In every folder, each image is in a pair, skipped or refused."""

import io
import os
import tempfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from helpers.pairs import folder_data
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pix2pix_jax.data.images.image_files import SUFFIXES
from pix2pix_jax.data.layout.inventory import TEXT_SUFFIXES
from pix2pix_jax.data.layout.pairs import find_pairs
from pix2pix_jax.data.layout.roles import mentioned_splits
from pix2pix_jax.data.layout.walk import Source
from pix2pix_jax.data.prepare import prepare
from pix2pix_jax.errors import UsageError

SPLIT_FOLDERS = st.sampled_from(
    [
        *("train", "Train", "training", "trn", "val", "valid", "Validation", "dev"),
        *("test", "TESTING", "tst"),
    ]
)
SIDE_FOLDERS = st.sampled_from(["A", "B", "A", "B", "a", "b"])
ODD_FOLDERS = st.sampled_from(
    [
        *("images", "masks", "photos", "labels", "input", "target", "my_test", "test_images"),
        *("train_label", "train2017", "trainval", "valset", "trainA", "train_B", "A_test", "testb"),
        *("AB", "x", "y", "scene1", "scene2", "scene3", "cats", "dogs", "1.png", "a folder"),
        *("caf\u00e9", "cafe\u0301", "CAF\u00c9", ".hidden", "@eaDir", "__MACOSX", ".git"),
        os.fsdecode(b"d\xe9f"),
    ]
)
JUNK_FOLDERS = {"@eaDir", "__MACOSX", ".git"}
STEMS = st.sampled_from(
    [
        *("1", "2", "3", "01", "02", "img1", "img2", "IMG1", "a", "b", "A_1", "B_1", "1_A", "1_B"),
        *("1_mask", "2_mask", "1_photo", "input1", "target1", "x.y", "train_1", "test_1", "-"),
        *("caf\u00e9", "cafe\u0301", ".hidden", "._1", os.fsdecode(b"n\xe9")),
    ]
)
GOOD_SUFFIXES = st.sampled_from([".png", ".png", ".JPG", ".jpg", ".tif", ".bmp"])
ODD_SUFFIXES = st.sampled_from([".heic", ".npy", "", ".foo", ".txt", ".zip", ".json", ".THM"])
JPEG = b"\xff\xd8\xff\xe0" + bytes(20)

folders = st.lists(SPLIT_FOLDERS | SIDE_FOLDERS | ODD_FOLDERS, max_size=3).map(tuple)
# A block of files: folders, stems and suffixes in all combinations, as real layouts are.
blocks = st.tuples(
    st.lists(folders, min_size=1, max_size=4),
    st.lists(STEMS, min_size=1, max_size=4),
    GOOD_SUFFIXES | GOOD_SUFFIXES | ODD_SUFFIXES,
    st.sampled_from(["file", "file", "file", "JPEG", "broken link"]),
)
# Pairs in folders A and B, so that many trees are not refused.
pair_blocks = st.builds(
    lambda above, stems, suffix: ([(*above, "A"), (*above, "B")], stems, suffix, "file"),
    st.lists(SPLIT_FOLDERS, max_size=1),
    st.lists(STEMS, min_size=1, max_size=4),
    GOOD_SUFFIXES,
)
trees = st.lists(blocks, min_size=1, max_size=4) | st.lists(pair_blocks, min_size=1, max_size=3)


def make_file(path: Path, kind: str) -> bool:
    """Makes a file or a broken link, unless a file or a folder is in the way."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    if path.exists() or path.is_symlink():
        return False
    if kind == "broken link":
        path.symlink_to("nowhere")
    else:
        path.write_bytes(JPEG if kind == "JPEG" else b"")
    return True


def is_image(name: str, kind: str) -> bool:
    """Whether a file must be in a pair, skipped or refused."""
    *above, last = Path(name).parts
    if JUNK_FOLDERS & set(above) or last.startswith("._") or last.endswith(".THM"):
        return False
    suffix = Path(name).suffix.lower()
    is_hidden = any(part.startswith(".") for part in Path(name).parts)
    known = suffix in SUFFIXES | {".heic", ".npy"}
    is_jpeg = kind == "JPEG" and not is_hidden and suffix not in TEXT_SUFFIXES
    return known or kind == "broken link" or is_jpeg


def make_tree(root: Path, drawn) -> dict[str, str]:
    """Makes the files of the drawn blocks; returns the kind of each file by its name."""
    kinds = {}
    for places, stems, suffix, kind in drawn:
        for place in places:
            for stem in stems:
                name = "/".join([*place, f"{stem}{suffix}"])
                if make_file(root / name, kind):
                    kinds[name] = kind
    return kinds


def check_tree(root: Path, kinds: dict[str, str], form: str | None) -> None:
    images = {name for name, kind in kinds.items() if is_image(name, kind)}
    try:
        found = find_pairs(Source(root, "SOURCE"), form)
    except UsageError as error:
        line = str(error)
        assert line.startswith("SOURCE: ")
        assert len(line.splitlines()) == 1
        assert "; " in line, "the fix follows the problem"
        # The line names an image, or a folder of images.
        paths = [Path(str(UsageError(name))) for name in images]
        names = {str(path) for path in paths} | {path.name for path in paths}
        names |= {f"{above}/" for path in paths for above in path.parents if above.name}
        assert not images or any(name in line for name in names), line
        return
    in_split = {
        split: {str(path.relative_to(root)) for pair in pairs for path in pair.files}
        for split, pairs in found.splits.items()
    }
    left_out = [name for part in found.left_out for name in part.files]
    paired = [name for names in in_split.values() for name in names]
    # `contents_lines` warns of a single pair, which is in both train and val.
    is_single = found.splits.get("train") == found.splits.get("val")
    assert len(set(paired)) == len(paired) or is_single
    assert len(set(left_out)) == len(left_out)
    assert not set(paired) & set(left_out)
    assert images <= set(paired) | set(left_out)
    assert set(paired) <= images
    told = " ".join(found.lines())
    for part in found.left_out:
        assert str(len(part.files)) in told
    if form is None and "read as train" not in told:
        for name in in_split.get("train", ()):
            assert set(mentioned_splits(Path(name).parent.name)) <= {"train"}, name


@pytest.mark.parametrize("form", [None, "halves", "folders"])
def test_every_image_is_paired_or_skipped_or_refused_by_find_pairs(form):
    @settings(max_examples=100)
    @given(trees)
    def check(drawn):
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder, "source")
            root.mkdir()
            check_tree(root, make_tree(root, drawn), form)

    check()


def encode(suffix: str) -> bytes:
    """The bytes of a small image; of an image of another format if `suffix` is not known."""
    file = io.BytesIO()
    pixels = np.random.default_rng(len(suffix)).integers(0, 256, (4, 8, 3), np.uint8)
    kind = {".png": "PNG", ".jpg": "JPEG", ".tif": "TIFF", ".bmp": "BMP"}.get(suffix.lower(), "GIF")
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


@settings(max_examples=10)
@given(trees)
def test_every_source_is_read_or_refused_by_prepare(drawn):
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder, "source")
        root.mkdir()
        for name, kind in make_tree(root, drawn).items():
            if kind == "file":
                (root / name).write_bytes(encode(Path(name).suffix))
        with suppress(UsageError):  # Any other exception fails the test.
            assert prepare(folder_data(root)).info.splits
