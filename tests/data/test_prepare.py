"""Datasets are written once, keep the bytes of their files, and are found again."""

import errno
import gc
import io
import json
import os
import shutil
import sys
import tempfile
import threading
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from helpers.pairs import (
    folder_data,
    list_written,
    make_images,
    make_tarball,
    make_zip,
    read_contents,
)
from helpers.refusals import refusal
from PIL import Image

from pix2pix_jax.config import Config, Data
from pix2pix_jax.config.resolve import resolve
from pix2pix_jax.data import data_dir, download
from pix2pix_jax.data import prepare as prepare_module
from pix2pix_jax.data.archives import unpack
from pix2pix_jax.data.contents.collector import ContentsCollector
from pix2pix_jax.data.contents.facts import METADATA_KEY, Sizes, dataset_contents
from pix2pix_jax.data.contents.lines import dataset_lines
from pix2pix_jax.data.fingerprint import dataset_fingerprint
from pix2pix_jax.data.images.palettes import CMP
from pix2pix_jax.data.prepare import check_source, prepare
from pix2pix_jax.data.synthetic.paint import draw_facade
from pix2pix_jax.runtime.storage import files


@pytest.fixture
def website(tmp_path, monkeypatch):
    """A folder; a local server offers its files in place of the public sets."""
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


def test_records_hold_the_bytes_of_the_files(tmp_path):
    layout = {
        "train": {
            "1": ["train/A/1.png", "train/B/1.jpg"],
            "x/2": ["train/A/x/2.bmp", "train/B/x/2.png"],
        },
        "val": {"1": ["val/A/1.webp", "val/B/1.jpg"]},
    }
    names = [file for pairs in layout.values() for files in pairs.values() for file in files]
    root = make_images(tmp_path / "pairs", names)
    assert read_contents(prepare(folder_data(root))) == {
        split: {
            name: [(root / file).read_bytes() for file in files] for name, files in pairs.items()
        }
        for split, pairs in layout.items()
    }


@pytest.mark.parametrize("kind", ["", "gz", "xz", "zip"])
def test_an_archive_and_its_folder_give_equal_datasets(tmp_path, kind):
    root = make_images(tmp_path / "pairs")
    packed = make_zip(root) if kind == "zip" else make_tarball(root, kind)
    folder, archive = prepare(folder_data(root)), prepare(folder_data(packed))
    assert folder.data_path != archive.data_path
    assert read_contents(folder) == read_contents(archive)
    assert dataset_fingerprint(folder) == dataset_fingerprint(archive)


@pytest.mark.parametrize("pack", [Path, make_tarball])
def test_a_dataset_is_written_once(tmp_path, capsys, pack):
    data = folder_data(pack(make_images(tmp_path / "pairs")))
    builder = prepare(data)
    found, writing = capsys.readouterr().out.splitlines()
    assert found == f"{data.source}: 3 train, 1 val, 1 test pairs"
    assert writing == f"writing {builder.data_path}"
    before = list_written(data)
    assert before
    assert prepare(data).data_path == builder.data_path
    assert list_written(data) == before
    assert capsys.readouterr().out == ""


def test_writing_a_dataset_leaves_no_temporary_files(tmp_path, monkeypatch):
    data = folder_data(make_images(tmp_path / "pairs"))
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    prepare(data)
    prepare(replace(data, name="synthetic_facades", source=None, image_size=(16, 16)))
    assert list(temporary.iterdir()) == []


def write_single_pictures(folder, count=12):
    """Writes pictures of facades, without their label maps."""
    folder.mkdir(parents=True)
    for seed in range(count):
        Image.fromarray(draw_facade(seed, 64, 96, True)[0]).save(folder / f"{seed}.png")


def test_single_pictures_are_refused_unless_data_form_says_that_they_are_pairs(tmp_path, capsys):
    write_single_pictures(tmp_path / "photos")
    data = folder_data(tmp_path / "photos")
    message = refusal(prepare, data)
    assert message.startswith(f"data.source: {data.source}: the images (12 images, for exam")
    assert message.endswith("give --config.data.form=halves")
    assert list_written(data) == {}
    assert read_contents(prepare(replace(data, form="halves"))).keys() == {"train", "val"}
    assert (
        "WARNING: the images (12 images, for example 0.png) look like single pictures, "
        "not like A and B side by side (in "
    ) in (out := capsys.readouterr().out)
    assert (
        "; they are cut in half, because data.form is halves; if they are single pictures, leave "
        "out --config.data.form, or data.form in the experiment, and the images are refused\n"
    ) in out


def test_a_val_that_is_part_of_train_is_judged_with_train(tmp_path, capsys):
    """In few pairs, val is one pair, which alone may look like a single picture."""
    (tmp_path / "pairs").mkdir()
    for seed in range(6):
        photo, label = draw_facade(seed, 64, 64, True)
        Image.fromarray(np.hstack([photo, label])).save(tmp_path / "pairs" / f"{seed}.png")
    first = prepare(folder_data(tmp_path / "pairs"))
    [val] = read_contents(first)["val"]
    photo = draw_facade(20, 64, 128, True)[0]
    Image.fromarray(photo).save(tmp_path / "pairs" / f"{val}.png")
    assert read_contents(prepare(folder_data(tmp_path / "pairs"))).keys() == {"train", "val"}
    assert "single picture" not in capsys.readouterr().out


def test_side_by_side_files_in_two_folders_give_a_warning(tmp_path):
    for side, first in (("A", 0), ("B", 100)):
        (tmp_path / "pairs" / side).mkdir(parents=True)
        for seed in range(8):
            pair = np.hstack(draw_facade(first + seed, 64, 64, True))
            Image.fromarray(pair).save(tmp_path / "pairs" / side / f"{seed}.png")
    data = folder_data(tmp_path / "pairs")
    _, line, *_ = dataset_lines(prepare(data), data)
    assert line == (
        "WARNING: A and B: all images are twice as wide as high, and their left and right halves "
        "look like A and B side by side; if each file shows a whole pair, give "
        "--config.data.form=halves"
    )
    data = replace(data, form="halves")
    assert not any("WARNING: A" in line for line in dataset_lines(prepare(data), data))


def test_a_test_split_of_single_pictures_is_left_out(tmp_path, capsys):
    root = tmp_path / "pairs"
    for split, count in (("train", 6), ("val", 2)):
        (root / split).mkdir(parents=True)
        for seed in range(count):
            pair = np.hstack(draw_facade(seed, 64, 96, True))
            Image.fromarray(pair).save(root / split / f"{seed}.png")
    write_single_pictures(root / "test")
    assert read_contents(prepare(folder_data(root))).keys() == {"train", "val"}
    assert f"{root}: left out all 12 images of test, because each " in capsys.readouterr().out
    data = replace(folder_data(root), form="halves")
    assert read_contents(prepare(data)).keys() == {"train", "val", "test"}


def test_facts_about_the_images_are_kept_in_the_dataset(tmp_path):
    data = resolve(Config(data=folder_data(make_images(tmp_path / "pairs")))).data
    prepare(data)
    contents = dataset_contents(prepare(data), data)  # read from the disk
    assert contents.form == "halves"
    assert contents.pairs == {"train": 3, "val": 1, "test": 1}
    assert contents.sides["B"].sizes == Sizes(4, 4, 0, [1.0])
    assert contents.sides["A"].levels[0].images == 5
    assert dataset_lines(prepare(data), data)[0].startswith("A (left half, 4x4) -> B (right half)")


def test_the_facts_are_counted_once_for_all_splits(tmp_path, monkeypatch):
    counted, finish = [], ContentsCollector.finish

    def count(self):
        counted.append(finish(self))
        return counted[-1]

    monkeypatch.setattr(ContentsCollector, "finish", count)
    prepare(folder_data(make_images(tmp_path / "pairs")))
    assert [contents.pairs for contents in counted] == [{"train": 3, "val": 1, "test": 1}]


def test_a_dataset_of_an_earlier_version_has_no_lines(tmp_path):
    data = folder_data(make_images(tmp_path / "pairs"))
    path = prepare(data).data_path / "metadata.json"
    metadata = json.loads(path.read_text())
    del metadata[METADATA_KEY]
    path.write_text(json.dumps(metadata))
    assert dataset_contents(prepare(data), data) is None
    assert dataset_lines(prepare(data), data) == []


def test_unfinished_folders_of_a_killed_process_are_removed(tmp_path):
    data = folder_data(make_images(tmp_path / "pairs"))
    done = prepare(data)
    theirs = tmp_path / "cache/unpacked-mine/1.png", tmp_path / "cache/a/b/incomplete.1/a"
    for path in theirs:
        path.parent.mkdir(parents=True)
        path.touch()
    before = list_written(data)
    for left in (
        ".unpacking/unpacked-x1y2/train/1.png",
        "paired_images/facades-0/incomplete.1.0.0/a",
    ):
        path = tmp_path / "cache" / left
        path.parent.mkdir(parents=True)
        path.touch()
    assert prepare(data).data_path == done.data_path
    assert list_written(data).keys() == before.keys()


@pytest.mark.parametrize("name", ["train/9.png", "train/deep/1.bmp"])  # a new pair; a changed pair
def test_a_changed_source_is_written_again_and_the_old_dataset_stays(tmp_path, name):
    root = make_images(tmp_path / "pairs")
    data = folder_data(root)
    old = prepare(data)
    before = list_written(data)
    make_images(root, [name], seed=1)
    train = read_contents(old)["train"]
    pair = name.removeprefix("train/").partition(".")[0]
    assert read_contents(prepare(data))["train"] == train | {pair: [(root / name).read_bytes()]}
    assert before.items() < list_written(data).items()


def test_two_sources_with_equal_names_sizes_and_times_have_datasets_of_their_own(tmp_path):
    roots = [tmp_path / number / "pairs" for number in "12"]
    for seed, root in enumerate(roots):
        for path in map(root.joinpath, ("train/0.bmp", "val/0.bmp")):
            make_images(root, [str(path.relative_to(root))], seed)
            os.utime(path, (1, 1))
    options = folder_data(roots[0]), replace(folder_data(roots[0]), source=str(roots[1]))
    first, second = map(prepare, options)
    for root, dataset in zip(roots, (first, second), strict=True):
        assert read_contents(dataset)["train"] == {"0": [(root / "train/0.bmp").read_bytes()]}
    assert [prepare(data).data_path for data in options] == [first.data_path, second.data_path]


def test_without_its_source_the_last_dataset_is_used(tmp_path, capsys, monkeypatch):
    root = make_images(tmp_path / "pairs", ["train/0.png", "val/0.png"])
    for count in range(1, 6):
        make_images(root, [f"train/{count}.png"])
        last = prepare(folder_data(root))
    root.rename(tmp_path / "elsewhere")
    capsys.readouterr()
    assert prepare(folder_data(root)).data_path == last.data_path
    assert capsys.readouterr().out.startswith(f"{root}: does not exist any more; using ")
    check_source(folder_data(root))
    assert capsys.readouterr().out == ""
    (tmp_path / "other_project").mkdir()  # This folder never had a folder "pairs".
    monkeypatch.chdir(tmp_path / "other_project")
    assert refusal(prepare, replace(folder_data(root), source="pairs")).endswith("correct the path")


def test_the_error_for_a_missing_source_names_the_source(tmp_path):
    prepare(folder_data(make_images(tmp_path / "pairs")))
    message = refusal(prepare, folder_data(tmp_path / "pears"))
    expected = f"data.source: {tmp_path}/pears does not exist; did you mean {tmp_path}/pairs?"
    assert message == expected
    assert refusal(check_source, folder_data(tmp_path / "pears")) == message
    missing = Data(name="folder", data_dir=str(tmp_path))
    message = refusal(prepare, missing)
    assert message.startswith("data.source: ")
    assert "--config.data.source=" in message
    assert refusal(check_source, missing) == message


def test_a_broken_image_is_named_and_can_be_repaired(tmp_path):
    root = make_images(tmp_path / "pairs")
    whole = (root / "train/2.jpg").read_bytes()
    (root / "train/2.jpg").write_bytes(whole[:-50])
    assert refusal(prepare, folder_data(root)).startswith(f"{root / 'train/2.jpg'}: ")
    assert list_written(folder_data(root)) == {}
    (root / "train/2.jpg").write_bytes(whole)
    assert read_contents(prepare(folder_data(root)))["train"]["2"] == [whole]


def test_the_partner_of_a_broken_image_is_named(tmp_path):
    root = make_images(tmp_path / "pairs", [f"{side}/{n}.png" for side in "AB" for n in range(4)])
    (root / "A/1.png").write_bytes((root / "A/1.png").read_bytes()[:60])
    (root / "B/2.png").write_bytes(b"")
    message = refusal(prepare, folder_data(root))
    for broken, partner in (("A/1.png", "B/1.png"), ("B/2.png", "A/2.png")):
        problem = message.partition(f"{root / broken}: cannot be read as an image")[2]
        partners = f"remove the file, and then {root / partner} as well, because it is the partner"
        assert problem.partition("; ")[2].startswith(f"repair or {partners}")
    for name in ("A/1.png", "B/1.png", "B/2.png", "A/2.png"):
        (root / name).unlink()
    assert prepare(folder_data(root))


def test_several_broken_images_are_named_in_one_line(tmp_path):
    root = make_images(tmp_path / "pairs")
    for number in range(7):
        (root / f"train/broken{number}.png").write_bytes(b"")
    message = refusal(prepare, folder_data(root))
    assert message.count("the file is empty") == 5
    assert message.endswith("; and 2 more files cannot be used")


def test_a_public_set_is_downloaded_once(tmp_path, website):
    root = make_images(tmp_path / "facades")
    make_tarball(root).rename(website / "facades.tar.gz")
    data = Data(name="facades", data_dir=str(tmp_path / "cache"))
    builder = prepare(data)
    assert read_contents(builder) == read_contents(prepare(folder_data(root)))
    (website / "facades.tar.gz").unlink()
    assert prepare(data).data_path == builder.data_path


def test_the_error_for_a_file_missing_on_the_server_has_a_fix(tmp_path, website):
    data = Data(name="maps", data_dir=str(tmp_path / "cache"))
    message = refusal(prepare, data)
    assert message.startswith(prepare_module.URL.format(name="maps"))
    assert "404" in message
    assert "--config.data.source=PATH_TO/maps.tar.gz" in message
    gc.collect()  # Python would warn here if a connection had been left open.


def test_a_full_disk_is_not_reported_as_a_failed_download(tmp_path, website, monkeypatch):
    def fill_disk(*_):
        raise OSError(errno.ENOSPC, "No space left on device", "downloads/facades.tar.gz")

    make_tarball(make_images(tmp_path / "facades")).rename(website / "facades.tar.gz")
    monkeypatch.setattr(download.tfds.download.DownloadManager, "download", fill_disk)
    with pytest.raises(OSError, match="No space left on device"):
        prepare(Data(name="facades", data_dir=str(tmp_path / "cache")))


def test_the_error_for_a_server_that_is_down_has_a_fix(tmp_path, monkeypatch):
    monkeypatch.setattr(prepare_module, "URL", "http://127.0.0.1:9/{name}.tar.gz")
    message = refusal(prepare, Data(name="maps", data_dir=str(tmp_path / "cache")))
    assert message.startswith("http://127.0.0.1:9/maps.tar.gz: ")
    assert "--config.data.source=PATH_TO/maps.tar.gz" in message


def test_a_download_is_kept_if_the_disk_is_too_small_to_unpack_it(tmp_path, website, monkeypatch):
    data = Data(name="facades", data_dir=str(tmp_path / "cache"))
    make_tarball(make_images(tmp_path / "facades")).rename(website / "facades.tar.gz")
    with monkeypatch.context() as full:
        full.setattr(unpack.shutil, "disk_usage", lambda _: SimpleNamespace(free=9999))
        with pytest.raises(OSError, match="needs more than the 0.0 GB that are free in"):
            prepare(data)
    (website / "facades.tar.gz").unlink()  # The server is not even asked.
    assert read_contents(prepare(data)).keys() == {"train", "val", "test"}


def test_a_download_that_was_damaged_on_the_disk_is_downloaded_again(tmp_path, website, capsys):
    make_tarball(make_images(tmp_path / "facades")).rename(website / "facades.tar.gz")
    url = prepare_module.URL.format(name="facades")
    archive = download.download_archive(url, tmp_path / "downloads")
    whole = archive.read_bytes()
    archive.write_bytes(whole[:-1])
    assert download.download_archive(url, tmp_path / "downloads").read_bytes() == whole
    assert f"removed {archive}, because it is damaged" in capsys.readouterr().out


@pytest.mark.parametrize("content", ["", "[]", '{"urls": ["URL"]}', '{"url_info": {}}'])
@pytest.mark.parametrize("is_own", [True, False], ids=["own", "of another set"])
def test_a_damaged_info_file_does_not_block_a_public_set(tmp_path, website, content, is_own):
    make_tarball(make_images(tmp_path / "facades")).rename(website / "facades.tar.gz")
    whole = (website / "facades.tar.gz").read_bytes()
    url, folder = prepare_module.URL.format(name="facades"), tmp_path / "downloads"
    archive = download.download_archive(url, folder)
    info = archive if is_own else folder / "maps.tar.gz"
    info.with_name(f"{info.name}.INFO").write_text(content.replace("URL", url))
    assert download.download_archive(url, folder).read_bytes() == whole


def test_only_the_dataset_of_the_config_is_downloaded_from_a_bucket(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "BUCKET_COPIES", tmp_path / "copies")
    data = replace(folder_data(make_images(tmp_path / "pairs")), data_dir="gs://bucket/data")
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


def test_a_dataset_that_was_downloaded_in_part_is_written_again(tmp_path):
    data = folder_data(make_images(tmp_path / "pairs"))
    expected = read_contents(builder := prepare(data))
    (builder.data_path / data_dir.INFO).unlink()
    assert read_contents(prepare(data)) == expected


def test_tensorflow_is_never_imported(tmp_path):
    read_contents(prepare(folder_data(make_tarball(make_images(tmp_path / "pairs")))))
    assert "tensorflow" not in sys.modules


def test_facades_are_the_same_in_every_folder(tmp_path):
    one, two = (
        Data(image_size=(32, 48), synthetic_pairs=(5, 3, 2), data_dir=str(tmp_path / name))
        for name in ("one", "two")
    )
    drawn = read_contents(prepare(one))
    assert {split: len(pairs) for split, pairs in drawn.items()} == {
        "train": 5,
        "val": 3,
        "test": 2,
    }
    files = [file for pairs in drawn.values() for [file] in pairs.values()]
    assert len(set(files)) == 10
    assert drawn == read_contents(prepare(two))
    assert dataset_fingerprint(prepare(one)) == dataset_fingerprint(prepare(two))
    for file in files:
        pixels = np.asarray(Image.open(io.BytesIO(file)))
        assert pixels.shape == (32, 96, 3)
        assert set(map(tuple, pixels[:, 48:].reshape(-1, 3).tolist())) <= set(CMP.classes.values())


def test_a_download_that_is_not_a_tarball_is_removed(tmp_path, website):
    data = Data(name="maps", data_dir=str(tmp_path / "cache"))
    (website / "maps.tar.gz").write_text("<html>please log in</html>")
    refusal(prepare, data)
    make_tarball(make_images(tmp_path / "maps")).rename(website / "maps.tar.gz")
    assert read_contents(prepare(data)).keys() == {"train", "val", "test"}
