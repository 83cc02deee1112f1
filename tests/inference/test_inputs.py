"""Paths and patterns name images, and images name their translations."""

import glob
import os

import pytest
from helpers.refusals import refusal

from pix2pix_jax.data.layout.own_images import MANIFEST
from pix2pix_jax.inference.inputs import find_inputs, list_images
from pix2pix_jax.reports.translation import PAGE


def test_images_are_found_and_their_translations_are_named(tmp_path, capsys):
    for name in ("a.png", "a.jpg", "b.PNG", "deep/er/c.webp", "deep/d.npy", "out/old.png", "x.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()

    def names(source, output="out"):
        return [file.name for file in find_inputs(str(tmp_path / source), tmp_path / output)]

    assert "contains images to translate" in refusal(names, "")  # It could replace out/old.png.
    # An earlier translation wrote old.png, and then was killed.
    (tmp_path / "out" / MANIFEST).write_text(f'"old.png"\n"{PAGE}"\n"hal')
    everything = ["a.jpg", "a.png", "b", "deep/d", "deep/er/c"]
    assert names("") == names("", "new1") == names("**") == names("**/*") == everything
    assert "skipped 1 file that translate wrote" in capsys.readouterr().out
    (tmp_path / "out" / PAGE).touch()
    # A folder of translations can be the input of another translation.
    assert names("out", "new4") == names("out/*", "new5") == ["old"]
    assert "contains images to translate" in refusal(names, "out/old.png")
    assert names("deep/../*.PNG", "new2") == ["b"]
    assert names("a.png") == ["a"]
    assert names("*.png") == ["a"]
    assert names("deep/**/*.webp") == ["er/c"]
    assert names("**/c.*") == ["deep/er/c"]
    nowhere = tmp_path / "new"
    assert "does not exist" in refusal(find_inputs, str(tmp_path / "z.png"), nowhere)
    for wrong in ("dep", "dep/d.bmp", "dep/*"):
        message = refusal(find_inputs, str(tmp_path / wrong), nowhere)
        assert message.startswith(f"--input: {tmp_path}/dep")
        right = tmp_path / wrong.replace("dep", "deep").rstrip("/*")
        assert message.endswith(
            f"; did you mean {right}?" if right.exists() else "correct the path"
        )
    assert "contains no images" in refusal(find_inputs, str(tmp_path / "*.gif"), nowhere)
    (tmp_path / "void").mkdir()
    assert "contains no images" in refusal(find_inputs, str(tmp_path / "void"), nowhere)
    assert "contains images to translate" in refusal(find_inputs, str(tmp_path), tmp_path)
    assert "contains images to translate" in refusal(
        find_inputs, str(tmp_path), tmp_path / "deep" / "er"
    )
    nowhere.mkdir()
    (nowhere / "d.png").touch()
    deep = str(tmp_path / "deep")
    assert "new/d.png exists and was not written by translate" in refusal(
        find_inputs, deep, nowhere
    )
    assert "is a file" in refusal(find_inputs, str(tmp_path), tmp_path / "x.txt")
    assert "has the name of an image file" in refusal(
        find_inputs, str(tmp_path), tmp_path / "new.png"
    )


def test_circular_links_are_followed_once(tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "a.png").touch()
    (tmp_path / "deep" / "loop").symlink_to(tmp_path)
    (tmp_path / "deep" / "loop2").symlink_to(tmp_path)  # Two loops give 2^40 paths.
    (tmp_path / "a_link").symlink_to(tmp_path / "deep")
    (tmp_path / "also.png").symlink_to(tmp_path / "deep" / "a.png")
    for source in (tmp_path, f"{tmp_path}/**/*.png"):
        files = find_inputs(str(source), tmp_path / "out")
        assert [file.name for file in files] == ["a_link/a", "also", "deep/a"]
    files = find_inputs(f"{tmp_path}/*k/*.png", tmp_path / "out")
    assert [file.name for file in files] == ["a_link/a"]


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("**", ["a.png", "b/c.png", "b/d/e.png"]),
        ("**/*.png", ["a.png", "b/c.png", "b/d/e.png"]),
        ("*/*.png", ["b/c.png"]),
        ("b/**/*.png", ["b/c.png", "b/d/e.png"]),
        ("**/d/*", ["b/d/e.png"]),
        ("**/.h/*", [".h/x.png", "b/.h/y.png"]),
        (".h/*", [".h/x.png"]),
        ("*/.*/*", ["b/.h/y.png"]),
        ("[ab].png", ["a.png"]),
        ("?/?.png", ["b/c.png"]),
    ],
)
def test_patterns_match_as_in_the_shell(tmp_path, pattern, found):
    for name in ("a.png", "b/c.png", "b/d/e.png", ".h/x.png", "b/.h/y.png", ".z.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    # In Python, ** at the end matches folders only.
    own = glob.glob(
        pattern.removesuffix("**") + "**/*.png" if pattern == "**" else pattern,
        root_dir=tmp_path,
        recursive=True,
    )
    root, files = list_images(f"{tmp_path}/{pattern}")
    assert sorted(str(path.relative_to(tmp_path)) for path in files) == sorted(own) == found


def test_only_folders_that_can_match_are_read(tmp_path, monkeypatch):
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "a.png").touch()
    read, scandir = [], os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: read.append(str(path)) or scandir(path))
    assert len(list_images(f"{tmp_path}/*.png")[1]) == 1
    assert read == [str(tmp_path)]


def test_pipes_and_devices_are_not_opened(tmp_path, capsys):
    (tmp_path / "a.png").touch()
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "zero.jpg").symlink_to("/dev/zero")
    assert [file.name for file in find_inputs(str(tmp_path), tmp_path / "out")] == ["a"]
    assert capsys.readouterr().out.splitlines() == [
        f"{tmp_path}: skipped 2 files of type pipe, socket or device (pipe.png, zero.jpg); "
        "replace each by an image"
    ]
    message = refusal(find_inputs, str(tmp_path / "pipe.png"), tmp_path / "out")
    assert "pipe.png is a pipe, socket or device; give a file or folder" in message


def test_skipped_files_are_reported_once(tmp_path, capsys):
    """Thumbnails that a network drive or a system left behind are skipped silently."""
    names = ["a.png", "@eaDir/a.png/THUMB_M.jpg", "__MACOSX/a.png", "Thumbs.db", "notes.txt"]
    for name in [*names, *(f"scan{number}.heic" for number in range(7)), os.fsdecode(b"n\xe9.exr")]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "photo").write_bytes(b"\xff\xd8\xff\xe0" + bytes(20))
    inputs = find_inputs(str(tmp_path), tmp_path / "out")
    assert [file.name for file in inputs] == ["a"]
    assert capsys.readouterr().out.splitlines() == [
        f"{tmp_path}: skipped 8 images in formats that cannot be read: 7 .heic, 1 .exr "
        "(n\\udce9.exr, scan0.heic, scan1.heic, scan2.heic, scan3.heic and 3 more); save images "
        "of these formats as PNG",
        f"{tmp_path}: skipped 1 image without a known suffix (photo); add the right "
        "suffix, such as .png or .jpg, to the names",
    ]
    thumbs = find_inputs(str(tmp_path / "@eaDir" / "*" / "*"), tmp_path / "out")
    assert [file.path.name for file in thumbs] == ["THUMB_M.jpg"]
