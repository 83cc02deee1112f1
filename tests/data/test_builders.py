"""Pairs are found in every layout, written once as they are, and refused by name."""

import bz2
import gc
import gzip
import io
import lzma
import os
import shutil
import sys
import tarfile
import tempfile
import threading
import zlib
from contextlib import suppress
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from helpers.refusals import refusal
from PIL import Image

from pix2pix_jax.config import Data
from pix2pix_jax.data import archives, data_dir
from pix2pix_jax.data import prepare as prepare_module
from pix2pix_jax.data.archives import unpack
from pix2pix_jax.data.fingerprint import dataset_fingerprint
from pix2pix_jax.data.palettes import CMP
from pix2pix_jax.data.pipeline import open_split
from pix2pix_jax.data.prepare import prepare
from pix2pix_jax.data.sources import find_pairs, list_files
from pix2pix_jax.errors import UsageError
from pix2pix_jax.runtime import files

PAIRS = ["train/1.png", "train/2.jpg", "train/deep/1.bmp", "val/1.png", "test/1.bmp"]


@pytest.fixture
def website(tmp_path, monkeypatch):
    """A directory that is served where the public sets would be."""
    (tmp_path / "www").mkdir()
    handler = partial(SimpleHTTPRequestHandler, directory=tmp_path / "www")
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        monkeypatch.setattr(
            prepare_module, "URL", f"http://127.0.0.1:{server.server_port}/{{name}}.tar.gz"
        )
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield tmp_path / "www"
        server.shutdown()
        thread.join()


def touched(root: Path, names: list[str]) -> Path:
    """A directory of empty files: `find_pairs` looks at names only."""
    root.mkdir()
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def filled(root: Path, names: list[str] = PAIRS, seed: int = 0) -> Path:
    """A directory of small images, each with pixels of its own."""
    for name in names:
        rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (4, 8, 3), np.uint8)).save(root / name)
    return root


def packed(root: Path, kind: str = "gz") -> Path:
    """A tarball of a directory, beside it."""
    path = root.with_name(f"{root.name}.tar.{kind}")
    with tarfile.open(path, f"w:{kind}") as archive:
        archive.add(root, root.name)
    return path


def found(root: Path) -> dict[str, dict[str, list[str]]]:
    """What `find_pairs` finds: {split: {name: files}}."""
    return {
        split: {pair.name: [str(path.relative_to(root)) for path in pair.files] for pair in pairs}
        for split, pairs in find_pairs(root, "SOURCE").items()
    }


def folder(source: Path) -> Data:
    """The `folder` set of a source, written to a directory beside it."""
    return Data(name="folder", source=str(source), data_dir=str(source.parent / "cache"))


def contents(builder) -> dict[str, dict[str, list[bytes]]]:
    """What was written: {split: {name: bytes of the files}}."""
    return {
        split: {record["name"].decode(): list(record["files"]) for record in records}
        for split in builder.info.splits
        for records in [open_split(builder, split)]
    }


def written(data: Data) -> dict[Path, int]:
    """Every file of the prepared sets, and when it was written."""
    root = Path(data.data_dir)
    files = [path for path in root.rglob("*") if path.is_file() and path.name != ".lock"]
    return {path: path.stat().st_mtime_ns for path in files}


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
    "validation": {
        "train": {"1": ["train/1.png"]},
        "val": {"2": ["validation/2.png"]},
    },
}


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS.keys())
def test_pairs_are_found_in_every_layout(tmp_path, layout):
    names = [file for pairs in layout.values() for files in pairs.values() for file in files]
    assert found(touched(tmp_path / "pairs", names)) == layout


def test_a_name_that_is_no_text_is_refused(tmp_path):
    (tmp_path / os.fsdecode(b"b\xe2t.png")).touch()
    assert refusal(find_pairs, tmp_path, "SOURCE").startswith("SOURCE: b\\udce2t.png: its name is")


def test_without_splits_a_tenth_is_held_out(tmp_path):
    splits = found(touched(tmp_path / "pairs", [f"{i}.png" for i in range(40)]))
    assert splits["val"].keys() == {"8", "9", "29", "39"}
    assert splits["train"].keys() | splits["val"].keys() == {f"{i}" for i in range(40)}
    assert len(splits["train"]) == 36
    both = [f"{side}/{i}.png" for side in "AB" for i in range(40)]
    again = found(touched(tmp_path / "both", both))
    assert {split: list(pairs) for split, pairs in again.items()} == {
        split: list(pairs) for split, pairs in splits.items()
    }


def test_without_val_a_tenth_of_train_is_held_out(tmp_path):
    names = [f"train/{i}.png" for i in range(12)]
    splits = found(touched(tmp_path / "pairs", [*names, "test/1.png"]))
    assert {split: len(pairs) for split, pairs in splits.items()} == {
        "train": 11,
        "val": 1,
        "test": 1,
    }
    assert not splits["train"].keys() & splits["val"].keys()


@pytest.mark.parametrize("split", ["val", "test"])
def test_pairs_to_be_measured_alone_are_not_divided(tmp_path, split):
    names = [f"{split}/{i}.png" for i in range(12)]
    assert {
        split: len(pairs) for split, pairs in found(touched(tmp_path / "pairs", names)).items()
    } == {split: 12}


def test_a_single_pair_is_both(tmp_path):
    pair = {"1": ["A/1.png", "B/1.png"]}
    assert found(touched(tmp_path / "pairs", pair["1"])) == {"train": pair, "val": pair}


def test_what_is_hidden_or_no_image_is_ignored(tmp_path):
    names = ["train/1.png", "val/1.png"]
    others = ["train/._1.png", ".cache/train/2.png", "train/.x/3.png", "train/4.txt", "README"]
    splits = found(touched(tmp_path / "pairs", names + others))
    assert splits == {"train": {"1": ["train/1.png"]}, "val": {"1": ["val/1.png"]}}


@pytest.mark.parametrize(
    ("names", "complaints"),
    [
        (["A/1.png", "B/1.png", "A/2.png"], ["A/2.png: ", "no B"]),
        (["train/A/1.png", "train/B/1.png", "train/B/x/1.jpg"], ["train/B/x/1.jpg: ", "no A"]),
        (["train/1.jpg", "train/1.png"], ["train/1.jpg: ", "1.png"]),
        (["A/1.jpg", "A/1.png", "B/1.png"], ["A/1.jpg: ", "1.png"]),
        (["A/1.png", "B/1.png", "AB/1.png"], ["1.png"]),
        (["A/1.png", "1.png"], ["1.png"]),
        ([], ["SOURCE: ", "no images"]),
        (["1.txt"], ["SOURCE: ", "no images"]),
    ],
)
def test_what_makes_no_pairs_is_refused_by_name(tmp_path, names, complaints):
    message = refusal(find_pairs, touched(tmp_path / "pairs", names), "SOURCE")
    assert all(complaint in message for complaint in complaints)


@pytest.mark.parametrize(
    "names", [PAIRS, ["1.png"], ["x/1.png", "x/2.png"], ["A/1.png", "B/1.png"]]
)
def test_a_tarball_has_the_names_of_its_directory(tmp_path, names):
    root = touched(tmp_path / "pairs", names)
    with unpack(packed(root), tmp_path / "scratch") as inside:
        again = find_pairs(inside, "SOURCE")
    assert {split: [pair.name for pair in pairs] for split, pairs in again.items()} == {
        split: list(pairs) for split, pairs in found(root).items()
    }
    assert list((tmp_path / "scratch").iterdir()) == []


def test_records_hold_the_bytes_of_the_files(tmp_path):
    layout = {
        "train": {
            "1": ["train/A/1.png", "train/B/1.jpg"],
            "x/2": ["train/A/x/2.bmp", "train/B/x/2.png"],
        },
        "val": {"1": ["val/A/1.webp", "val/B/1.jpg"]},
    }
    names = [file for pairs in layout.values() for files in pairs.values() for file in files]
    root = filled(tmp_path / "pairs", names)
    assert contents(prepare(folder(root))) == {
        split: {
            name: [(root / file).read_bytes() for file in files] for name, files in pairs.items()
        }
        for split, pairs in layout.items()
    }


@pytest.mark.parametrize("kind", ["", "gz", "xz"])
def test_a_tarball_is_as_good_as_its_directory(tmp_path, kind):
    root = filled(tmp_path / "pairs")
    directory, tarball = prepare(folder(root)), prepare(folder(packed(root, kind)))
    assert directory.data_path != tarball.data_path
    assert contents(directory) == contents(tarball)
    assert dataset_fingerprint(directory) == dataset_fingerprint(tarball)


@pytest.mark.parametrize(("name", "same"), [("train/1", False), ("val/1", False), ("test/1", True)])
def test_what_a_run_sees_has_a_fingerprint(tmp_path, name, same):
    root = filled(tmp_path / "pairs")
    before = prepare(folder(root))
    [path] = root.glob(f"{name}.*")
    filled(root, [str(path.relative_to(root))], seed=1)
    after = prepare(folder(root))
    assert contents(before)["train"].keys() == contents(after)["train"].keys()
    assert (dataset_fingerprint(before) == dataset_fingerprint(after)) is same


@pytest.mark.parametrize("pack", [Path, packed])
def test_a_dataset_is_written_once(tmp_path, capsys, pack):
    data = folder(pack(filled(tmp_path / "pairs")))
    builder = prepare(data)
    found, writing = capsys.readouterr().out.splitlines()
    assert found == (
        f"{data.source}: 3 train, 1 val, 1 test; "
        "A and B are left and right half of one image, in 1.png 4x4 and 4x4 (width x height)"
    )
    assert writing == f"writing {builder.data_path}"
    before = written(data)
    assert before
    assert prepare(data).data_path == builder.data_path
    assert written(data) == before
    assert capsys.readouterr().out == ""


def test_nothing_is_left_in_the_folder_for_temporary_files(tmp_path, monkeypatch):
    data = folder(filled(tmp_path / "pairs"))
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    prepare(data)
    prepare(replace(data, name="synthetic_facades", source=None, image_size=(16, 16)))
    assert list(temporary.iterdir()) == []


def test_single_images_taken_for_pairs_are_doubted(tmp_path, capsys):
    (tmp_path / "photos").mkdir()
    for size in ((8, 8), (8, 9)):
        Image.new("RGB", size).save(tmp_path / "photos" / "1.png")
        prepare(folder(tmp_path / "photos"))
        assert "4x8 (width x height); are these pairs?" in capsys.readouterr().out.replace("9", "8")


def test_what_a_killed_process_left_is_swept(tmp_path):
    data = folder(filled(tmp_path / "pairs"))
    done = prepare(data)
    theirs = tmp_path / "cache/unpacked-mine/1.png", tmp_path / "cache/a/b/incomplete.1/a"
    for path in theirs:
        path.parent.mkdir(parents=True)
        path.touch()
    before = written(data)
    for left in (
        ".unpacking/unpacked-x1y2/train/1.png",
        "paired_images/facades-0/incomplete.1.0.0/a",
    ):
        path = tmp_path / "cache" / left
        path.parent.mkdir(parents=True)
        path.touch()
    assert prepare(data).data_path == done.data_path
    assert written(data).keys() == before.keys()


@pytest.mark.parametrize("spoil", [lambda data: data[: len(data) // 2], lambda data: b""])
def test_a_damaged_dataset_is_named_with_its_mend(tmp_path, spoil):
    builder = prepare(folder(filled(tmp_path / "pairs")))
    [path] = builder.data_path.glob("*-train.array_record*")
    path.write_bytes(spoil(path.read_bytes()))
    message = refusal(open_split, builder, "train")
    assert message.startswith(f"{builder.data_path}: is damaged (")
    assert "remove it" in message


@pytest.mark.parametrize("name", ["train/9.png", "train/deep/1.bmp"])  # one more; of equal size
def test_a_changed_source_is_written_anew_beside_the_old(tmp_path, name):
    root = filled(tmp_path / "pairs")
    data = folder(root)
    old = prepare(data)
    before = written(data)
    filled(root, [name], seed=1)
    train = contents(old)["train"]
    pair = name.removeprefix("train/").partition(".")[0]
    assert contents(prepare(data))["train"] == train | {pair: [(root / name).read_bytes()]}
    assert before.items() < written(data).items()


def test_a_source_that_is_gone_is_served_as_it_was_last(tmp_path, capsys, monkeypatch):
    root = filled(tmp_path / "pairs", ["train/0.png", "val/0.png"])
    for count in range(1, 6):
        filled(root, [f"train/{count}.png"])
        last = prepare(folder(root))
    root.rename(tmp_path / "elsewhere")
    capsys.readouterr()
    assert prepare(folder(root)).data_path == last.data_path
    assert capsys.readouterr().out.startswith(f"{root}: is gone; taking what was prepared")
    (tmp_path / "other_project").mkdir()  # where a folder of the same name never was
    monkeypatch.chdir(tmp_path / "other_project")
    assert refusal(prepare, replace(folder(root), source="pairs")).endswith("mend the path")


def test_a_missing_source_is_named(tmp_path):
    prepare(folder(filled(tmp_path / "pairs")))
    message = refusal(prepare, folder(tmp_path / "pears"))
    assert message.startswith(f"data.source: {tmp_path / 'pears'} does not exist")
    message = refusal(prepare, Data(name="folder", data_dir=str(tmp_path)))
    assert message.startswith("data.source: ")
    assert "--config.data.source=" in message


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
def test_a_broken_tarball_is_named_and_leaves_nothing(tmp_path, kind, spoil):
    tarball = packed(filled(tmp_path / "pairs"), kind)
    tarball.write_bytes(spoil(tarball.read_bytes()))
    data = folder(tarball)
    assert refusal(prepare, data).startswith(f"{tarball}: cannot be unpacked")
    assert written(data) == {}


def test_a_broken_image_is_named_and_can_be_mended(tmp_path):
    root = filled(tmp_path / "pairs")
    whole = (root / "train/2.jpg").read_bytes()
    (root / "train/2.jpg").write_bytes(whole[:-50])
    assert refusal(prepare, folder(root)).startswith(f"{root / 'train/2.jpg'}: ")
    assert written(folder(root)) == {}
    (root / "train/2.jpg").write_bytes(whole)
    assert contents(prepare(folder(root)))["train"]["2"] == [whole]


def test_all_broken_images_are_named_at_once(tmp_path):
    root = filled(tmp_path / "pairs")
    for number in range(7):
        (root / f"train/broken{number}.png").write_bytes(b"")
    message = refusal(prepare, folder(root))
    assert message.count("it is empty") == 5
    assert message.endswith("; and 2 more")


def test_a_broken_image_in_a_tarball_is_named_by_both(tmp_path):
    root = filled(tmp_path / "pairs")
    (root / "train/2.jpg").write_bytes(b"")
    tarball = packed(root)
    message = refusal(prepare, folder(tarball))
    assert message.startswith(f"{tarball}: ")
    assert "train/2.jpg" in message
    assert "unpacked-" not in message  # that directory is gone by now


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])
def test_a_tarball_of_more_than_files_and_folders_is_refused(tmp_path, kind):
    """Through a long chain of links one could get out, as was found in 2025."""
    tarball = packed(filled(tmp_path / "pairs"))
    with tarfile.open(tarball, "w:gz") as archive:
        archive.add(tmp_path / "pairs", "pairs")
        link = tarfile.TarInfo("pairs/link")
        link.type, link.linkname = kind, "pairs/train/1.png"
        archive.addfile(link)
    assert refusal(prepare, folder(tarball)).startswith(f"{tarball}: holds pairs/link, which is")


@pytest.mark.parametrize("name", ["../evil.png", "../../evil.png", "{root}/evil.png"])
def test_a_tarball_writes_nothing_outside_itself(tmp_path, name):
    tarball = packed(filled(tmp_path / "pairs"))
    with tarfile.open(tarball, "w:gz") as archive:
        archive.add(tmp_path / "pairs", "pairs")
        archive.addfile(tarfile.TarInfo(name.format(root=tmp_path)), io.BytesIO())
    with suppress(UsageError):
        prepare(folder(tarball))
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
def test_what_unpacks_to_much_more_than_it_is_is_refused(tmp_path, monkeypatch, bomb, kind):
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
def test_what_comes_after_the_end_of_a_tarball_counts(tmp_path, monkeypatch, pack):
    monkeypatch.setattr(archives, "ALWAYS_ALLOWED", 3_000_000)
    tarball = packed(filled(tmp_path / "pairs"), "")
    tarball.write_bytes(pack(tarball.read_bytes()) + pack(bytes(4_000_000)))
    assert_bomb(tarball)


def assert_bomb(tarball):
    message = refusal(prepare, folder(tarball))
    assert message.startswith(f"{tarball}: unpacks to more than 0.0 GB")
    assert not list((tarball.parent / "cache").rglob("unpacked-*"))


def test_a_public_set_is_downloaded_once(tmp_path, website):
    root = filled(tmp_path / "facades")
    packed(root).rename(website / "facades.tar.gz")
    data = Data(name="facades", data_dir=str(tmp_path / "cache"))
    builder = prepare(data)
    assert contents(builder) == contents(prepare(folder(root)))
    (website / "facades.tar.gz").unlink()
    assert prepare(data).data_path == builder.data_path


def test_a_missing_download_is_refused_with_a_way_out(tmp_path, website):
    data = Data(name="maps", data_dir=str(tmp_path / "cache"))
    message = refusal(prepare, data)
    assert message.startswith(prepare_module.URL.format(name="maps"))
    assert "404" in message
    assert "--config.data.source=PATH_TO/maps.tar.gz" in message
    gc.collect()  # where a connection left open would be noticed


def test_a_server_that_is_down_is_refused_with_a_way_out(tmp_path, monkeypatch):
    monkeypatch.setattr(prepare_module, "URL", "http://127.0.0.1:9/{name}.tar.gz")
    message = refusal(prepare, Data(name="maps", data_dir=str(tmp_path / "cache")))
    assert message.startswith("http://127.0.0.1:9/maps.tar.gz: ")
    assert "--config.data.source=PATH_TO/maps.tar.gz" in message


def test_a_download_that_was_no_tarball_is_not_kept(tmp_path, website):
    data = Data(name="maps", data_dir=str(tmp_path / "cache"))
    (website / "maps.tar.gz").write_text("<html>please log in</html>")
    refusal(prepare, data)
    packed(filled(tmp_path / "maps")).rename(website / "maps.tar.gz")
    assert contents(prepare(data)).keys() == {"train", "val", "test"}


def test_a_download_that_does_not_fit_is_kept(tmp_path, website, monkeypatch):
    data = Data(name="facades", data_dir=str(tmp_path / "cache"))
    packed(filled(tmp_path / "facades")).rename(website / "facades.tar.gz")
    with monkeypatch.context() as full:
        full.setattr(archives.shutil, "disk_usage", lambda _: SimpleNamespace(free=9999))
        with pytest.raises(OSError, match="needs more than the 0.0 GB that are free in"):
            prepare(data)
    (website / "facades.tar.gz").write_text("not asked for again")
    assert contents(prepare(data)).keys() == {"train", "val", "test"}


def test_of_a_bucket_only_what_is_asked_for_is_fetched(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "BUCKET_COPIES", tmp_path / "copies")
    data = replace(folder(filled(tmp_path / "pairs")), data_dir="gs://bucket/data")
    prefixes = {"download_folder": [], "upload_folder": []}
    for name, asked in prefixes.items():
        monkeypatch.setattr(
            data_dir,
            name,
            lambda _address, _folder, prefix, _last, asked=asked: asked.append(prefix),
        )
    place = str(prepare(data).data_path.relative_to(tmp_path / "copies" / "gs" / "bucket" / "data"))
    assert set(prefixes["download_folder"]) == set(prefixes["upload_folder"]) == {f"{place}/"}
    assert place.startswith("paired_images/folder-")
    prepare(data)
    shutil.rmtree(data.source)
    prepare(data)
    assert prefixes["download_folder"][-1] == "paired_images/folder-"


def test_what_was_half_fetched_is_written_anew(tmp_path):
    data = folder(filled(tmp_path / "pairs"))
    expected = contents(builder := prepare(data))
    (builder.data_path / data_dir.INFO).unlink()
    assert contents(prepare(data)) == expected


def test_tensorflow_is_never_imported(tmp_path):
    contents(prepare(folder(packed(filled(tmp_path / "pairs")))))
    assert "tensorflow" not in sys.modules


def test_facades_are_drawn_alike_everywhere(tmp_path):
    one, two = (
        Data(image_size=(32, 48), synthetic_pairs=(5, 3, 2), data_dir=str(tmp_path / name))
        for name in ("one", "two")
    )
    drawn = contents(prepare(one))
    assert {split: len(pairs) for split, pairs in drawn.items()} == {
        "train": 5,
        "val": 3,
        "test": 2,
    }
    files = [file for pairs in drawn.values() for [file] in pairs.values()]
    assert len(set(files)) == 10
    assert drawn == contents(prepare(two))
    assert dataset_fingerprint(prepare(one)) == dataset_fingerprint(prepare(two))
    for file in files:
        pixels = np.asarray(Image.open(io.BytesIO(file)))
        assert pixels.shape == (32, 96, 3)
        assert set(map(tuple, pixels[:, 48:].reshape(-1, 3).tolist())) <= set(CMP.classes.values())


def test_facades_of_another_size_have_another_fingerprint(tmp_path):
    small, large = (
        prepare(Data(image_size=side, synthetic_pairs=(1, 1, 1), data_dir=str(tmp_path)))
        for side in (16, 32)
    )
    assert dataset_fingerprint(small) != dataset_fingerprint(large)


def test_ambiguous_facades_are_another_dataset(tmp_path):
    data = Data(image_size=32, synthetic_pairs=(2, 1, 1), data_dir=str(tmp_path))
    told, untold = prepare(data), prepare(replace(data, synthetic_ambiguous=True))
    assert dataset_fingerprint(told) != dataset_fingerprint(untold)
    assert contents(told)["train"].keys() == contents(untold)["train"].keys()
    assert contents(told) != contents(untold)


def test_a_fingerprint_is_of_the_splits_that_were_asked_for(tmp_path):
    builder = prepare(folder(filled(tmp_path / "pairs")))
    whole = dataset_fingerprint(builder, ("train", "val", "test"))
    assert whole == f"{dataset_fingerprint(builder)} {dataset_fingerprint(builder, ('test',))}"
    assert len(set(whole.split())) == 3


def test_folders_are_found_by_every_way_but_not_in_circles(tmp_path):
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
    every = [str(path.relative_to(root)) for path in list_files(root, broken_links=True)]
    assert every == sorted([*found, "broken.png", "itself.png"])
