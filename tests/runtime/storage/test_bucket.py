"""A folder of a bucket is downloaded whole or not at all, and only into its local copy."""

import errno
from pathlib import Path

import fsspec
import pytest
from helpers.buckets import ADDRESS, bucket_files, raise_unreachable, visible_files, write_files
from helpers.refusals import refusal

from pix2pix_jax.cli.main import parse
from pix2pix_jax.runtime.storage import bucket, files
from pix2pix_jax.runtime.storage.bucket_folders import download_folder, upload_folder


@pytest.fixture(autouse=True)
def empty_bucket():
    yield
    fsspec.filesystem("memory").rm("/", recursive=True)


@pytest.mark.parametrize(
    "place", ["s3://bucket/data", "gs://", "gs:///data", "gs://bucket/../data"]
)
def test_an_address_that_is_not_a_folder_of_a_bucket_is_refused(place):
    assert (
        refusal(files.local_path, place)
        == f"{place} is not a folder of a bucket; give gs://BUCKET/DIR"
    )


def test_the_local_copy_of_a_bucket_needs_a_home_folder(monkeypatch):
    monkeypatch.setattr(files, "BUCKET_COPIES", Path("~/.cache/pix2pix_jax/buckets"))
    monkeypatch.delenv("HOME")
    monkeypatch.setattr("pwd.getpwuid", {}.__getitem__)  # the machine does not know this user
    error = refusal(parse, ["train", "--workdir=gs://bucket/run"])
    assert "--workdir: gs://bucket/run: the home folder ~ is not known on this machine" in error
    assert error.endswith("; set HOME")


def test_a_bucket_writes_nothing_outside_its_folder(tmp_path):
    fsspec.filesystem("memory").pipe_file("/bucket/run/../../evil", b"")
    folder = tmp_path / "first"
    message = refusal(bucket.Bucket(ADDRESS).download_file, folder, "../../evil")
    assert message.startswith(f"{ADDRESS}: holds ../../evil, which lies outside the folder; remove")


def test_only_paths_with_the_prefix_are_transferred(tmp_path):
    folder = tmp_path / "first"
    write_files(
        folder, {"maps/1/a": "a", "maps/1/info": "", "facades/1/b": "b", "facades/1/info": ""}
    )
    upload_folder(ADDRESS, folder, "maps", "info")
    assert bucket_files() == {"maps/1/a": "a", "maps/1/info": ""}
    upload_folder(ADDRESS, folder, "", "info")
    download_folder(ADDRESS, tmp_path / "second", "facades", "info")
    assert visible_files(tmp_path / "second") == {"facades/1/b": "b", "facades/1/info": ""}


def test_a_half_uploaded_folder_is_not_downloaded(tmp_path, monkeypatch):
    folder, memory = tmp_path / "first", fsspec.filesystem("memory")
    write_files(folder, {"maps/1/a": "a", "maps/1/info": "", "maps/1/z": "z"})
    put = memory.put_file

    def put_some(source, place):
        return raise_unreachable() if place.endswith("z") else put(source, place)

    with monkeypatch.context() as broken:
        broken.setattr(memory.__class__, "put_file", staticmethod(put_some))
        assert "the line is cut" in refusal(upload_folder, ADDRESS, folder, "maps", "info")
    assert bucket_files() == {"maps/1/a": "a"}
    download_folder(ADDRESS, tmp_path / "second", "maps", "info")
    assert visible_files(tmp_path / "second") == {}
    upload_folder(ADDRESS, tmp_path / "first", "maps", "info")
    download_folder(ADDRESS, tmp_path / "second", "maps", "info")
    assert visible_files(tmp_path / "second") == visible_files(folder)


def test_a_full_disk_is_not_reported_as_a_bucket_that_cannot_be_reached(tmp_path, monkeypatch):
    memory = fsspec.filesystem("memory")
    memory.pipe_file("/bucket/run/a", b"a")

    def fill_disk(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(memory.__class__, "get_file", staticmethod(fill_disk))
    with pytest.raises(OSError, match="No space left on device") as caught:
        bucket.Bucket(ADDRESS).download_file(tmp_path, "a")
    assert caught.value.filename == str(tmp_path / "a")


def test_a_file_that_vanished_from_the_bucket_counts_as_changed(tmp_path):
    write_files(tmp_path, {"a": "a"})
    fsspec.filesystem("memory").pipe_file("/bucket/run/a", b"a")
    folder = bucket.Bucket(ADDRESS)
    file = folder.list_files()["a"]
    assert folder.has_same_content(tmp_path, "a", file)
    folder.remove_file("a")
    folder.remove_file("a")  # Another machine may have removed the file already.
    assert folder.read_file("a") is None
    assert not folder.has_same_content(tmp_path, "a", file)


def test_files_that_vanish_while_they_are_listed_are_left_out(tmp_path, monkeypatch):
    """Another thread removes a checkpoint that is no longer kept."""
    write_files(tmp_path, {"a": "a", "checkpoints/4/b": "b", ".hidden": "", "d/.hidden/c": ""})
    assert bucket.local_files(tmp_path).keys() == {"a", "checkpoints/4/b"}
    real = bucket.local_version

    def remove_first(path):
        path.unlink()
        return real(path)

    monkeypatch.setattr(bucket, "local_version", remove_first)
    assert bucket.local_files(tmp_path) == {}
