"""Archives are unpacked inside their own folder; broken archives are refused and named."""

import bz2
import gzip
import io
import lzma
import os
import tarfile
import zipfile
from contextlib import suppress

import numpy as np
import pytest
from helpers.pairs import (
    PAIRS,
    find_names,
    folder_data,
    list_written,
    make_empty_files,
    make_images,
    make_tarball,
    make_zip,
    read_contents,
)
from helpers.refusals import refusal
from PIL import Image

from pix2pix_jax.data.archives import limits, zip_files
from pix2pix_jax.data.archives.unpack import unpack
from pix2pix_jax.data.images.image_files import encode_png
from pix2pix_jax.data.layout.pairs import find_pairs
from pix2pix_jax.data.layout.walk import Source
from pix2pix_jax.data.prepare import prepare
from pix2pix_jax.errors import UsageError


@pytest.mark.parametrize(
    "names", [PAIRS, ["1.png"], ["x/1.png", "x/2.png"], ["A/1.png", "B/1.png"]]
)
def test_pairs_of_a_tarball_have_the_names_of_pairs_of_its_folder(tmp_path, names):
    root = make_empty_files(tmp_path / "pairs", names)
    with unpack(make_tarball(root), tmp_path / "scratch") as inside:
        again = find_pairs(Source(inside, "SOURCE")).splits
    assert {split: [pair.name for pair in pairs] for split, pairs in again.items()} == {
        split: list(pairs) for split, pairs in find_names(root).items()
    }
    assert list((tmp_path / "scratch").iterdir()) == []


@pytest.mark.parametrize(
    ("kind", "spoil"),
    [
        ("gz", lambda data: data[::-1]),
        ("", lambda data: data[: data.index(b"\x89PNG") + 20]),
        ("", lambda data: data[:20] + bytes([data[20] + 1]) + data[21:]),
        ("gz", lambda data: data[: len(data) // 2]),
        ("gz", lambda data: data[:-8] + bytes(8)),
        ("gz", lambda data: data[:600] + bytes(50) + data[650:]),
        ("bz2", lambda data: data[:600] + bytes(50) + data[650:]),
        ("xz", lambda data: data[:600] + bytes(50) + data[650:]),
    ],
    ids=[
        "backwards",
        "truncated tar",
        "wrong header",
        "truncated",
        "wrong checksum",
        "broken gz",
        "broken bz2",
        "broken xz",
    ],
)
def test_a_broken_tarball_is_refused_and_leaves_no_files(tmp_path, kind, spoil):
    tarball = make_tarball(make_images(tmp_path / "pairs"), kind)
    tarball.write_bytes(spoil(tarball.read_bytes()))
    data = folder_data(tarball)
    assert refusal(prepare, data).startswith(f"{tarball}: cannot be unpacked")
    assert list_written(data) == {}


@pytest.mark.parametrize(
    ("name", "data", "problem"),
    [
        ("pairs.tar.gz", b"", "is an empty file; download"),
        ("pairs.zip", b"", "is an empty file; download"),
        ("pairs.tar", b"<!DOCTYPE html><p>Sign in</p>", "is a web page and not an archive; "),
        ("photo.png", encode_png(Image.new("RGB", (4, 4))), "is a single image; give the folder"),
        ("pairs.7z", b"7z\xbc\xaf'\x1c" + bytes(99), "is a 7z archive; unpack it"),
        ("pairs.rar", b"Rar!\x1a\x07" + bytes(99), "is a RAR archive; unpack it"),
        ("pairs.tar.zst", b"\x28\xb5\x2f\xfd" + bytes(99), "is compressed by zstd; unpack it"),
        ("pairs.npy", b"\x93NUMPY" + bytes(99), "is a NumPy array, but pairs are read from"),
        ("pairs.csv", b"input,target\n1.png,2.png\n", "is a text file and not an archive; give"),
        ("pairs.tar.gz", b"no tarball", "is a text file and not an archive; download"),
        ("read.md", "# Größe\n".encode("latin-1"), "is a text file and not an archive; give"),
        ("pairs.ipynb", b'{"cells": []}', "is a text file and not an archive; give the folder"),
        (
            "pairs.tar.gz",
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n",
            "is a Git LFS pointer and not an archive; run `git lfs pull`",
        ),
        ("batch", b"\x80\x04\x95\xdf" + bytes(99), "is a Python pickle, but pairs are read from"),
        ("m.mat", b"MATLAB 5.0 MAT-file, " + bytes(99), "is a MATLAB file, but pairs are read"),
        ("d.parquet", b"PAR1" + bytes(99), "is a Parquet file, but pairs are read from image"),
        ("db", b"SQLite format 3\0" + bytes(99), "is an SQLite database, but pairs are read"),
        ("p.pdf", b"%PDF-1.4\n" + bytes(99), "is a PDF document, but pairs are read from image"),
        ("v.mp4", b"\0\0\0\x18ftypisom" + bytes(99), "is a video, but pairs are read from"),
        ("v.avi", b"RIFF\0\0\0\0AVI LIST" + bytes(99), "is a video, but pairs are read from"),
        ("t.tfrecord", bytes(range(256)), "is a TFRecord file, but pairs are read from"),
        (
            "1.png.gz",
            gzip.compress(encode_png(Image.new("RGB", (4, 4))), mtime=0),
            "is compressed by gzip, and its content is a single image; give the folder",
        ),
        (
            "list.txt.xz",
            lzma.compress(b"1.png 2.png"),
            "is compressed by xz, and its content is a text file and not an archive; give",
        ),
    ],
)
def test_a_file_that_is_not_an_archive_is_refused_by_what_it_is(tmp_path, name, data, problem):
    (tmp_path / name).write_bytes(data)
    assert refusal(prepare, folder_data(tmp_path / name)).startswith(
        f"{tmp_path / name}: {problem}"
    )


def test_a_pipe_is_refused_and_not_opened(tmp_path):
    os.mkfifo(tmp_path / "pairs.tar")
    message = refusal(prepare, folder_data(tmp_path / "pairs.tar"))
    assert message.startswith(f"{tmp_path / 'pairs.tar'}: is a pipe, socket or device; give")


def test_a_file_of_arrays_is_refused_as_such(tmp_path):
    np.savez(tmp_path / "pairs.npz", a=np.zeros((2, 4, 8, 3)), b=np.zeros((2, 4, 8, 3)))
    message = refusal(prepare, folder_data(tmp_path / "pairs.npz"))
    assert message.startswith(f"{tmp_path / 'pairs.npz'}: contains NumPy arrays")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: data[: len(data) // 2],
        lambda data: data[:-22],
        lambda data: data[:200] + bytes(20) + data[220:],
    ],
    ids=["truncated", "no directory", "broken data"],
)
def test_a_broken_zip_file_is_refused_and_leaves_no_files(tmp_path, spoil):
    packed = make_zip(make_images(tmp_path / "pairs"))
    packed.write_bytes(spoil(packed.read_bytes()))
    data = folder_data(packed)
    assert refusal(prepare, data).startswith(f"{packed}: cannot be unpacked")
    assert list_written(data) == {}


def write_zip(path, members, **fields):
    """Writes a zip file: bytes by name; `fields` are set on the header of the last member."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, (name, data) in enumerate(members.items()):
            member = zipfile.ZipInfo(name)
            member.compress_type = zipfile.ZIP_DEFLATED
            if number == len(members) - 1:
                for field, value in fields.items():
                    setattr(member, field, value)
            archive.writestr(member, data)
    return path


@pytest.mark.parametrize(
    ("name", "fields", "problem"),
    [
        ("train/link", {"external_attr": 0o120777 << 16}, "neither a file nor a folder"),
        ("../evil.png", {}, "outside the folder"),
        ("train/../../evil.png", {}, "outside the folder"),
        ("/tmp/evil.png", {}, "outside the folder"),
        ("..\\evil.png", {}, "outside the folder"),
        ("C:/evil.png", {}, "outside the folder"),
        ("x/1.png/2.png", {}, "cannot be unpacked"),
        (f"{'x' * 300}.png", {}, "cannot be unpacked"),
    ],
)
def test_a_zip_file_writes_nothing_but_files_inside_its_folder(tmp_path, name, fields, problem):
    packed = write_zip(tmp_path / "pairs.zip", {"x/1.png": b"data", name: b"train/1.png"}, **fields)
    message = refusal(prepare, folder_data(packed))
    assert message.startswith(f"{packed}: ")
    assert problem in message
    assert "unpacked-" not in message
    assert list(tmp_path.rglob("evil*")) == []


def test_an_encrypted_zip_file_is_refused(tmp_path):
    packed = write_zip(tmp_path / "pairs.zip", {"1.png": b"data"})
    data = packed.read_bytes()
    at = data.index(b"PK\x01\x02") + 8  # the flags in the directory of the zip file
    packed.write_bytes(data[:at] + bytes([data[at] | 1]) + data[at + 1 :])
    assert refusal(prepare, folder_data(packed)).startswith(f"{packed}: is encrypted; unpack it")


def test_a_zip_file_of_an_unknown_compression_is_refused_with_a_fix(tmp_path):
    packed = write_zip(tmp_path / "pairs.zip", {"1.png": b"data" * 50})
    data = bytearray(packed.read_bytes())
    data[8] = data[data.index(b"PK\x01\x02") + 10] = 9  # Deflate64
    packed.write_bytes(data)
    message = refusal(prepare, folder_data(packed))
    assert message.startswith(f"{packed}: uses a compression that this program cannot unpack (")
    assert message.endswith("; unpack it yourself and give the folder with its content")


def test_a_bug_in_the_check_of_a_zip_file_keeps_its_traceback(tmp_path, monkeypatch):
    packed = write_zip(tmp_path / "pairs.zip", {"1.png": b"data"})

    def fail(*arguments):
        raise ValueError("a bug")

    monkeypatch.setattr(zip_files, "_check_member", fail)
    with pytest.raises(ValueError, match="a bug"):
        prepare(folder_data(packed))


def test_backslashes_between_the_folders_of_a_zip_file_are_read(tmp_path):
    root = make_images(tmp_path / "pairs")
    members = {str(path.relative_to(root)).replace("/", "\\"): path for path in root.rglob("*.*")}
    members = {name: path.read_bytes() for name, path in members.items()}
    packed = write_zip(tmp_path / "pairs.zip", members)
    assert read_contents(prepare(folder_data(packed))) == read_contents(prepare(folder_data(root)))


def test_a_zip_file_that_would_fill_the_disk_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "ALWAYS_ALLOWED", 3_000_000)
    assert_bomb(write_zip(tmp_path / "bomb.zip", {"1.png": bytes(4_000_000)}))


def test_a_broken_image_in_a_tarball_is_named_with_its_tarball(tmp_path):
    root = make_images(tmp_path / "pairs")
    (root / "train/2.jpg").write_bytes(b"")
    tarball = make_tarball(root)
    message = refusal(prepare, folder_data(tarball))
    assert message.startswith(f"{tarball}: ")
    assert "train/2.jpg" in message
    assert "unpacked-" not in message  # The temporary folder is already removed.


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.FIFOTYPE])
def test_a_tarball_with_symbolic_links_or_pipes_is_refused(tmp_path, kind):
    """A long chain of links could lead out of the folder, as was found in 2025."""
    tarball = make_tarball(make_images(tmp_path / "pairs"))
    with tarfile.open(tarball, "w:gz") as archive:
        archive.add(tmp_path / "pairs", "pairs")
        link = tarfile.TarInfo("pairs/link")
        link.type, link.linkname = kind, "pairs/train/1.png"
        archive.addfile(link)
    assert refusal(prepare, folder_data(tarball)).startswith(
        f"{tarball}: contains pairs/link, which is"
    )


@pytest.mark.parametrize("prefix", ["", "/"])
def test_hard_links_in_a_tarball_are_the_same_image(tmp_path, prefix):
    """tar writes a hard link for the second name of a file."""
    root = make_images(tmp_path / "pairs")
    expected = read_contents(prepare(folder_data(make_tarball(root))))
    (root / "train/3.png").hardlink_to(root / "train/1.png")
    tarball = tmp_path / "links.tar"
    with tarfile.open(tarball, "w") as archive:
        for path in sorted(root.rglob("*.*")):
            member = archive.gettarinfo(path)
            member.name = f"{prefix}{path.relative_to(root)}"
            if member.islnk():
                member.linkname = f"{prefix}train/1.png"
            with path.open("rb") as file:
                archive.addfile(member, file if member.isreg() else None)
        assert [m.name for m in archive.getmembers() if m.islnk()] == [f"{prefix}train/3.png"]
    contents = read_contents(prepare(folder_data(tarball)))
    assert contents["train"].pop("3") == contents["train"]["1"]
    assert contents == expected


@pytest.mark.parametrize(
    ("linkname", "problem"),
    [
        ("train/9.png", "a hard link to train/9.png, but this file does not come before the link"),
        ("train", "a hard link to train, but this file does not come before the link"),
        ("../../secret", "outside the destination"),
    ],
)
def test_a_hard_link_to_no_file_of_the_tarball_is_refused(tmp_path, linkname, problem):
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache/secret").write_bytes(b"secret")
    tarball = tmp_path / "pairs.tar"
    with tarfile.open(tarball, "w") as archive:
        archive.add(make_images(tmp_path / "pairs"), "")
        link = tarfile.TarInfo("train/link.png")
        link.type, link.linkname = tarfile.LNKTYPE, linkname
        archive.addfile(link)
    assert problem in refusal(prepare, folder_data(tarball))


@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_files_of_the_same_name_in_an_archive_are_reported(tmp_path, capsys, kind):
    first, last = (make_images(tmp_path / str(seed), seed=seed) for seed in (1, 2))
    packed = tmp_path / f"pairs.{kind}"
    if kind == "tar":
        with tarfile.open(packed, "w") as archive:
            archive.add(first, "")
            archive.add(last / "train/1.png", "./train/1.png")
    else:
        with zipfile.ZipFile(packed, "w") as archive:
            for path in first.rglob("*.*"):
                archive.write(path, path.relative_to(first))
            with pytest.warns(UserWarning, match="Duplicate"):
                archive.write(last / "train/1.png", "train/1.png")
    contents = read_contents(prepare(folder_data(packed)))
    assert contents["train"]["1"] == [(last / "train/1.png").read_bytes()]
    assert contents["train"]["2"] == [(first / "train/2.jpg").read_bytes()]
    assert (
        f"{packed}: contains more than one file named train/1.png; the last file of each name is "
        "used; to use the others, too, give them other names"
    ) in capsys.readouterr().out


@pytest.mark.parametrize("name", ["../evil.png", "../../evil.png", "{root}/evil.png"])
def test_a_tarball_writes_nothing_outside_its_folder(tmp_path, name):
    tarball = make_tarball(make_images(tmp_path / "pairs"))
    with tarfile.open(tarball, "w:gz") as archive:
        archive.add(tmp_path / "pairs", "pairs")
        archive.addfile(tarfile.TarInfo(name.format(root=tmp_path)), io.BytesIO())
    with suppress(UsageError):
        prepare(folder_data(tarball))
    assert list(tmp_path.rglob("evil*")) == []


BOMBS = {
    "zeros": [{"size": 4_000_000}],
    "many": [{"size": 0}] * 900,
    "holes": [
        {"size": 100, "pax_headers": {"GNU.sparse.size": "4000000", "GNU.sparse.map": "0,100"}}
    ],
    "a header": [{"pax_headers": {"comment": "a" * 4_000_000}}],
}


@pytest.mark.parametrize("kind", ["gz", "xz", "bz2"])
@pytest.mark.parametrize("bomb", BOMBS)
def test_a_tarball_that_would_fill_the_disk_is_refused(tmp_path, monkeypatch, bomb, kind):
    monkeypatch.setattr(limits, "ALWAYS_ALLOWED", 3_000_000)
    tarball = tmp_path / "bomb.tar"
    with tarfile.open(tarball, f"w:{kind}") as archive:
        for number, fields in enumerate(BOMBS[bomb]):
            member = tarfile.TarInfo(f"train/{number}.png")
            for name, value in fields.items():
                setattr(member, name, value)
            archive.addfile(member, io.BytesIO(bytes(member.size)))
    assert_bomb(tarball)


@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress, bz2.compress])
def test_bytes_after_the_end_of_a_tarball_count_towards_the_size_limit(tmp_path, monkeypatch, pack):
    monkeypatch.setattr(limits, "ALWAYS_ALLOWED", 3_000_000)
    tarball = make_tarball(make_images(tmp_path / "pairs"), "")
    tarball.write_bytes(pack(tarball.read_bytes()) + pack(bytes(4_000_000)))
    assert_bomb(tarball)


def assert_bomb(tarball):
    """Asserts that a tarball is refused because of its unpacked size, and that no file stays."""
    message = refusal(prepare, folder_data(tarball))
    assert message.startswith(f"{tarball}: unpacks to more than 0.0 GB")
    assert not list((tarball.parent / "cache").rglob("unpacked-*"))
