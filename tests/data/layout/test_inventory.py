"""Files are told apart by suffix and content; what systems leave behind is skipped silently."""

import contextlib
import json
import os
import socket

import pytest
from helpers.pairs import find_names, make_empty_files
from helpers.refusals import refusal

from pix2pix_jax.data.images.image_files import SUFFIXES
from pix2pix_jax.data.layout import inventory
from pix2pix_jax.data.layout.own_images import MANIFEST
from pix2pix_jax.data.layout.pairs import find_pairs
from pix2pix_jax.data.layout.walk import Source
from pix2pix_jax.reports.translation import PAGE

PAIRS = ["train/1.png", "val/1.png"]
JUNK = [
    ".DS_Store",
    "Thumbs.db",
    "desktop.ini",
    "train/._1.png",
    "train/@eaDir/1.png/SYNOPHOTO_THUMB_M.jpg",
    "train/.thumbnails/1.png",
    "__MACOSX/train/2.png",
    "#recycle/1.png",
    "$RECYCLE.BIN/1.png",
    ".Trash-1000/files/1.png",
    ".ipynb_checkpoints/1-checkpoint.png",
    ".git/x.png",
    "train/MVI_1.THM",
    "README",
    "train/labels.csv",
]


def find_lines(root):
    return find_pairs(Source(root, "SOURCE")).lines()


def test_what_systems_leave_behind_is_skipped_silently(tmp_path):
    root = make_empty_files(tmp_path / "pairs", PAIRS + JUNK)
    assert find_lines(root) == []
    assert find_names(root) == {"train": {"1": ["train/1.png"]}, "val": {"1": ["val/1.png"]}}


@pytest.mark.parametrize(
    ("names", "line"),
    [
        (["a.heic"], "skipped 1 image in formats that cannot be read: 1 .heic (a.heic); save"),
        (
            [f"train/{number}.exr" for number in range(7)] + ["scan.dcm"],
            "skipped 8 images in formats that cannot be read: 7 .exr, 1 .dcm (scan.dcm, "
            "train/0.exr, train/1.exr, train/2.exr, train/3.exr and 3 more); save images of these "
            "formats as PNG",
        ),
        (["more.zip"], "skipped 1 archive (more.zip); unpack archives that contain pairs"),
        (
            ["train/.2.png.icloud"],
            "skipped 1 file that iCloud has not downloaded (train/.2.png.icloud); download",
        ),
        (["train/.x/2.png"], "skipped 1 hidden image (train/.x/2.png); to read hidden"),
    ],
)
def test_other_files_are_skipped_and_reported(tmp_path, names, line):
    [told] = find_lines(make_empty_files(tmp_path / "pairs", PAIRS + names))
    assert told.startswith(line)


CONTENTS = {
    "no suffix": (b"\xff\xd8\xff\xe0" + bytes(40), "image without a known suffix"),
    "a.foo": (b"\x89PNG\r\n\x1a\n" + bytes(40), "image without a known suffix"),
    "b.dat": (b"P6\n2 2\n255\n" + bytes(12), "image without a known suffix"),
    "c": (b"RIFF\0\0\0\0WEBPVP8 " + bytes(20), "image without a known suffix"),
    "d.bin": (b"\0\0\0\x18ftypheic" + bytes(20), "image in formats that cannot be read"),
    "e": (bytes(128) + b"DICM", "image in formats that cannot be read"),
    "f": (b"v/1\x01" + bytes(20), "image in formats that cannot be read"),
}


@pytest.mark.parametrize("name", CONTENTS)
def test_images_are_known_by_their_first_bytes(tmp_path, name):
    data, described = CONTENTS[name]
    root = make_empty_files(tmp_path / "pairs", PAIRS)
    (root / name).write_bytes(data)
    [line] = find_lines(root)
    assert line.startswith(f"skipped 1 {described}")
    assert f"({name})" in line


@pytest.mark.parametrize("data", [b"", b"BM is not an image", b"P2P network", b"GIF", b"plain"])
def test_texts_do_not_count_as_images(tmp_path, data):
    root = make_empty_files(tmp_path / "pairs", PAIRS)
    (root / "notes").write_bytes(data)
    assert find_lines(root) == []


def test_few_files_of_unknown_suffixes_are_opened(tmp_path, monkeypatch):
    root = make_empty_files(tmp_path / "pairs", PAIRS)
    for name in "abcd":
        (root / name).write_bytes(b"\xff\xd8\xff\xe0" + bytes(40))
    opened = []
    monkeypatch.setattr(inventory, "_image_kind", lambda path: opened.append(path.name) or "suffix")
    monkeypatch.setattr(inventory, "MAX_OPENED", 3)
    [line] = find_lines(root)
    assert line.startswith("skipped 3 images without a known suffix (a, b, c); ")
    assert opened == ["a", "b", "c"]


def test_broken_links_are_reported(tmp_path):
    root = make_empty_files(tmp_path / "pairs", PAIRS)
    os.symlink("nowhere.png", root / "train/2.png")
    os.symlink("itself", root / "itself")
    assert find_lines(root) == [
        "skipped 2 broken links (itself, train/2.png); repair or remove broken links"
    ]


def make_special(root):
    """Makes a pipe, a socket and a link to a device; opening the pipe or the device never ends."""
    os.mkfifo(root / "pipe.png")
    (root / "zero.jpg").symlink_to("/dev/zero")
    with contextlib.chdir(root), socket.socket(socket.AF_UNIX) as server:
        server.bind("socket.png")  # A long path would be refused.


def test_pipes_sockets_and_devices_are_reported(tmp_path):
    root = make_empty_files(tmp_path / "pairs", PAIRS)
    make_special(root / "train")
    os.mkfifo(root / ".hidden")
    [line] = find_lines(root)
    assert line == (
        "skipped 3 files of type pipe, socket or device (train/pipe.png, train/socket.png, "
        "train/zero.jpg); replace each by an image"
    )
    assert find_names(root)["train"] == {"1": ["train/1.png"]}


def test_a_pipe_in_place_of_a_partner_is_named(tmp_path):
    root = make_empty_files(tmp_path / "pairs", ["A/1.png", "B/1.png", "B/pipe.png"])
    os.mkfifo(root / "A/pipe.png")
    message = refusal(find_pairs, Source(root, "SOURCE"))
    assert "B/pipe.png (A/pipe.png is a pipe, socket or device); replace each by an " in message


TRANSLATED = ["A/1.png", "A/2.png", "B/1.png", "B/2.png"]


def add_translations(folder, names=("1.png", "deep/2.npy", "x.tif", PAGE), mine=()):
    """Adds an output folder of translate: files, and the manifest without the names `mine`."""
    for name in (*names, *mine):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    (folder / MANIFEST).write_text("".join(f"{json.dumps(name)}\n" for name in names) + '"cut')


@pytest.mark.parametrize(
    ("names", "form"),
    [
        (TRANSLATED, None),
        (TRANSLATED, "folders"),
        (["1.png", "2.png"], None),
        (["1.png", "2.png"], "halves"),
        (["A/1.png", "A/2.png"], "halves"),
    ],
)
@pytest.mark.parametrize("place", ["out", "A/out", "A/deep/out", "train/out"])
def test_translations_in_a_source_are_skipped_and_reported(tmp_path, names, form, place):
    root = make_empty_files(tmp_path / "pairs", names)
    before = find_names(root, form)
    add_translations(root / place)
    assert find_names(root, form) == before
    lines = find_pairs(Source(root, "SOURCE"), form).lines()
    assert [line for line in lines if line.startswith("skipped")] == [
        f"skipped 3 images that translate wrote ({place}/1.png, {place}/deep/2.npy, "
        f"{place}/x.tif); to read these images as data, remove {MANIFEST} from their folder"
    ]


def test_images_of_the_user_in_an_output_folder_are_read(tmp_path):
    root = make_empty_files(tmp_path / "pairs", ["1.png"])
    add_translations(root / "out", mine=["5.png"])
    assert find_names(root, "halves")["train"] == {"out/5": ["out/5.png"]}


@pytest.mark.parametrize("place", ["A", "trainA", "train/A", "A/train", "set/A_train"])
def test_translations_may_be_one_side_of_pairs(tmp_path, place):
    """A second network may be trained on the outputs of a first network."""
    other = place.replace("A", "B")
    root = make_empty_files(tmp_path / "pairs", [f"{other}/1.png", f"{other}/2.png"])
    add_translations(root / place, ["1.png", "2.png"])
    pairs = find_names(root)
    assert sum(map(len, pairs.values())) == 2
    assert not any("translate" in line for line in find_lines(root))


def test_a_source_of_translations_is_read(tmp_path):
    add_translations(tmp_path / "out", ["1.png", "2.png"])
    assert find_names(tmp_path / "out").keys() == {"train", "val"}
    add_translations(tmp_path / "more/out", ["1.png"])
    message = refusal(find_pairs, Source(tmp_path / "more", "SOURCE"))
    assert "but 1 image that translate wrote (out/1.png)" in message


def test_images_in_the_folder_of_a_run_are_skipped_and_reported(tmp_path):
    samples = ["run/report/samples/1.png", "run/report/evaluation_val/input/2.png"]
    root = make_empty_files(tmp_path / "pairs", [*TRANSLATED, *samples])
    (root / "run/config.json").touch()
    refusal(find_pairs, Source(root, "SOURCE"))
    (root / "run/metrics.jsonl").touch()
    assert find_lines(root) == [
        "there is no val/, so 1 of 2 pairs became val",
        f"skipped 2 images in folders of runs ({samples[1]}, {samples[0]}); to read these "
        "images as data, copy them out of the folder of the run",
    ]
    (root / "config.json").touch()
    (root / "metrics.jsonl").touch()
    assert len(find_lines(root)) == 2


def test_the_error_for_a_source_without_images_names_its_content(tmp_path):
    names = ["a.zip", "b.heic", "c.txt", "d.txt", "e"]
    message = refusal(find_pairs, Source(make_empty_files(tmp_path / "pairs", names), "SOURCE"))
    assert message == (
        "SOURCE: contains no images (PNG, JPEG, WEBP, TIFF, BMP, GIF, PPM), but 1 archive (a.zip), "
        "1 image in formats that cannot be read: 1 .heic (b.heic), files of other kinds (2 .txt, 1 "
        "without suffix); unpack a.zip first, or save images of these formats as PNG"
    )


def test_only_images_need_names_in_utf8(tmp_path):
    root = make_empty_files(tmp_path / "pairs", PAIRS)
    (root / os.fsdecode(b"n\xe9.txt")).touch()
    assert find_lines(root) == []
    for name in (b"n\xe9.png", b"\xe9/1.png"):
        path = root / os.fsdecode(name)
        path.parent.mkdir(exist_ok=True)
        path.touch()
    assert refusal(find_pairs, Source(root, "SOURCE")) == (
        "SOURCE: 2 images have names that are not UTF-8: n\\udce9.png, \\udce9/1.png; rename these "
        "files and folders"
    )


def test_every_suffix_is_in_one_table_only():
    sets = (
        SUFFIXES,
        inventory.OTHER_SUFFIXES,
        inventory.TEXT_SUFFIXES,
        inventory.ARCHIVE_SUFFIXES,
        inventory.JUNK_SUFFIXES,
    )
    assert len(set().union(*sets)) == sum(map(len, sets))


def test_texts_are_not_opened(tmp_path, monkeypatch):
    root = make_empty_files(tmp_path / "pairs", [*PAIRS, "train/1.txt", "train/1.json"])

    def fail(path):
        raise AssertionError(path)

    monkeypatch.setattr(inventory, "read_start", fail)
    assert find_lines(root) == []


def test_the_error_for_archives_in_a_folder_says_which_to_give(tmp_path):
    root = make_empty_files(tmp_path / "one", ["pairs.zip"])
    assert refusal(find_pairs, Source(root, str(root))).endswith(f"; give {root / 'pairs.zip'}")
    root = make_empty_files(tmp_path / "two", ["pairs-001.zip", "pairs-002.zip"])
    message = refusal(find_pairs, Source(root, str(root)))
    assert message.endswith("; unpack all archives into one folder and give this folder")


@pytest.mark.parametrize(
    ("name", "can_be_given"),
    [
        *((f"pairs.{end}", True) for end in ("zip", "tar", "TGZ", "tar.gz", "tar.bz2", "tar.xz")),
        *((f"pairs.{end}", False) for end in ("7z", "rar", "txt.gz", "bz2")),
    ],
)
def test_only_archives_that_can_be_read_are_to_be_given(tmp_path, name, can_be_given):
    root = make_empty_files(tmp_path / "my pairs", [name])
    message = refusal(find_pairs, Source(root, str(root)))
    fix = f"give '{root / name}'" if can_be_given else f"unpack '{root / name}' first"
    assert message.endswith(f"; {fix}")


def test_compressed_images_are_no_archives(tmp_path):
    root = make_empty_files(tmp_path / "pairs", ["ct/1.nii.gz", "mr/1.nii.gz"])
    message = refusal(find_pairs, Source(root, "SOURCE"))
    assert "2 images in formats that cannot be read: 2 .nii.gz (ct/1.nii.gz, " in message
    assert message.endswith("; save images of these formats as PNG")
