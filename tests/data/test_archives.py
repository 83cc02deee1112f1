"""Tarballs are unpacked inside their own folder; broken tarballs are refused and named."""

import bz2
import gzip
import io
import lzma
import tarfile
from contextlib import suppress

import pytest
from helpers.pairs import (
    PAIRS,
    find_names,
    folder_data,
    list_written,
    make_empty_files,
    make_images,
    make_tarball,
)
from helpers.refusals import refusal

from pix2pix_jax.data import archives
from pix2pix_jax.data.archives import unpack
from pix2pix_jax.data.layout.pairs import find_pairs
from pix2pix_jax.data.prepare import prepare
from pix2pix_jax.errors import UsageError


@pytest.mark.parametrize(
    "names", [PAIRS, ["1.png"], ["x/1.png", "x/2.png"], ["A/1.png", "B/1.png"]]
)
def test_pairs_of_a_tarball_have_the_names_of_pairs_of_its_folder(tmp_path, names):
    root = make_empty_files(tmp_path / "pairs", names)
    with unpack(make_tarball(root), tmp_path / "scratch") as inside:
        again = find_pairs(inside, "SOURCE").splits
    assert {split: [pair.name for pair in pairs] for split, pairs in again.items()} == {
        split: list(pairs) for split, pairs in find_names(root).items()
    }
    assert list((tmp_path / "scratch").iterdir()) == []


@pytest.mark.parametrize(
    ("kind", "spoil"),
    [
        ("gz", lambda data: b"<html>no tarball</html>"),
        ("gz", lambda data: b""),
        ("gz", lambda data: data[: len(data) // 2]),
        ("gz", lambda data: data[:-8] + bytes(8)),
        ("gz", lambda data: data[:600] + bytes(50) + data[650:]),
        ("bz2", lambda data: data[:600] + bytes(50) + data[650:]),
        ("xz", lambda data: data[:600] + bytes(50) + data[650:]),
    ],
    ids=["text", "empty", "truncated", "wrong checksum", "broken gz", "broken bz2", "broken xz"],
)
def test_a_broken_tarball_is_refused_and_leaves_no_files(tmp_path, kind, spoil):
    tarball = make_tarball(make_images(tmp_path / "pairs"), kind)
    tarball.write_bytes(spoil(tarball.read_bytes()))
    data = folder_data(tarball)
    assert refusal(prepare, data).startswith(f"{tarball}: cannot be unpacked")
    assert list_written(data) == {}


def test_a_broken_image_in_a_tarball_is_named_with_its_tarball(tmp_path):
    root = make_images(tmp_path / "pairs")
    (root / "train/2.jpg").write_bytes(b"")
    tarball = make_tarball(root)
    message = refusal(prepare, folder_data(tarball))
    assert message.startswith(f"{tarball}: ")
    assert "train/2.jpg" in message
    assert "unpacked-" not in message  # The temporary folder is already removed.


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])
def test_a_tarball_with_links_or_pipes_is_refused(tmp_path, kind):
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
    monkeypatch.setattr(archives, "ALWAYS_ALLOWED", 3_000_000)
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
    monkeypatch.setattr(archives, "ALWAYS_ALLOWED", 3_000_000)
    tarball = make_tarball(make_images(tmp_path / "pairs"), "")
    tarball.write_bytes(pack(tarball.read_bytes()) + pack(bytes(4_000_000)))
    assert_bomb(tarball)


def assert_bomb(tarball):
    """Asserts that a tarball is refused because of its unpacked size, and that no file stays."""
    message = refusal(prepare, folder_data(tarball))
    assert message.startswith(f"{tarball}: unpacks to more than 0.0 GB")
    assert not list((tarball.parent / "cache").rglob("unpacked-*"))
