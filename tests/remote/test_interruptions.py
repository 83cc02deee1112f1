"""Killed processes and failing networks leave no unfinished files and hide no error."""

import threading
from pathlib import Path

import fsspec
import pytest
from helpers.buckets import (
    ADDRESS,
    FIRST_FILES,
    SECOND_FILES,
    bucket_files,
    raise_unreachable,
    train_further,
    visible_files,
    wait_until,
    write_files,
)
from helpers.refusals import refusal

from pix2pix_jax.remote import uploader
from pix2pix_jax.remote.sync import sync_workdir
from pix2pix_jax.remote.sync_state import SyncState
from pix2pix_jax.runs.workdir import Workdir
from pix2pix_jax.runtime.storage import bucket


def test_no_checkpoint_is_uploaded_before_its_metrics(machine, monkeypatch):
    folder, memory = machine("first"), fsspec.filesystem("memory")
    put = memory.put_file

    def put_some(source, place):
        return raise_unreachable() if place.endswith("jsonl") else put(source, place)

    def train():
        with sync_workdir(Workdir(folder, ADDRESS), trains=True):
            write_files(folder, FIRST_FILES)

    with monkeypatch.context() as broken:
        broken.setattr(memory.__class__, "put_file", staticmethod(put_some))
        assert "the line is cut" in refusal(train)
    assert bucket_files() == {"config.json": "{}"}  # The checkpoint must not come without metrics.
    with sync_workdir(Workdir(folder, ADDRESS), trains=True):
        assert visible_files(folder) == FIRST_FILES


@pytest.mark.parametrize("trains", [False, True])
def test_files_that_a_reader_could_not_upload_are_uploaded_by_the_next_command(
    machine, monkeypatch, trains
):
    """For example, `pix2pix import` writes a run to a bucket that is still empty."""
    folder = machine("first")

    def write_first():
        with sync_workdir(Workdir(folder, ADDRESS)):
            write_files(folder, FIRST_FILES)

    with monkeypatch.context() as broken:
        broken.setattr(fsspec.filesystem("memory").__class__, "put_file", raise_unreachable)
        assert "run the same command again to upload the files" in refusal(write_first)
    with sync_workdir(Workdir(folder, ADDRESS), trains=trains):
        assert visible_files(folder) == FIRST_FILES
    assert bucket_files() == FIRST_FILES


def test_a_process_killed_while_downloading_causes_no_upload_of_old_files(machine, monkeypatch):
    first = machine("first")
    with sync_workdir(Workdir(first, ADDRESS), trains=True):
        write_files(first, FIRST_FILES)
    second, add = machine("second"), SyncState.add

    def add_until_killed(state, name, versions):
        if name == "metrics.jsonl":
            raise KeyboardInterrupt
        add(state, name, versions)

    monkeypatch.setattr(SyncState, "add", add_until_killed)
    with pytest.raises(KeyboardInterrupt):
        sync_workdir(Workdir(second, ADDRESS)).__enter__()
    monkeypatch.setattr(SyncState, "add", add)
    assert (second / "metrics.jsonl").read_text() == "1\n"
    with sync_workdir(Workdir(machine("first"), ADDRESS), trains=True):
        train_further(first)
    with sync_workdir(Workdir(machine("second"), ADDRESS)):
        pass
    assert bucket_files() == SECOND_FILES
    with sync_workdir(Workdir(second, ADDRESS)):
        assert visible_files(second) == SECOND_FILES


def test_a_half_removed_checkpoint_in_the_bucket_is_skipped(machine, monkeypatch):
    first, memory = machine("first"), fsspec.filesystem("memory")
    four = {"checkpoints/4/_CHECKPOINT_METADATA": "4", "checkpoints/4/generator/d/0": "4"}
    removed, remove = [], memory.rm_file

    def remove_one(place):
        if removed:
            raise_unreachable()
        removed.append(place)
        remove(place)

    def train_on():
        with sync_workdir(Workdir(first, ADDRESS), trains=True):
            train_further(first)

    with sync_workdir(Workdir(first, ADDRESS), trains=True):
        write_files(first, FIRST_FILES | four)
    with monkeypatch.context() as broken:
        broken.setattr(memory.__class__, "rm_file", staticmethod(remove_one))
        assert "the line is cut" in refusal(train_on)
    assert "checkpoints/4/generator/d/0" in bucket_files()
    with sync_workdir(Workdir(machine("second"), ADDRESS)):
        assert visible_files(machine("second")) == SECOND_FILES
    with sync_workdir(Workdir(machine("first"), ADDRESS), trains=True):
        pass
    assert bucket_files() == SECOND_FILES


def test_a_file_that_is_already_removed_from_the_bucket_is_no_error(machine):
    first = machine("first")
    with sync_workdir(Workdir(first, ADDRESS), trains=True):
        write_files(first, FIRST_FILES)
        wait_until(lambda: bucket_files() == FIRST_FILES)
        fsspec.filesystem("memory").rm_file("/bucket/run/checkpoints/4/_CHECKPOINT_METADATA")
        train_further(first)
    assert bucket_files() == SECOND_FILES


def test_the_error_of_a_command_is_kept_when_the_upload_fails_too(machine, monkeypatch, capsys):
    first = machine("first")

    def look():
        with sync_workdir(Workdir(first, ADDRESS)):
            write_files(first, FIRST_FILES)
            monkeypatch.setattr(
                fsspec.filesystem("memory").__class__, "put_file", raise_unreachable
            )
            raise bucket.UsageError("photo.png: cannot be read")

    assert refusal(look) == "photo.png: cannot be read"
    assert f"NOT UPLOADED: {ADDRESS}: cannot be reached" in capsys.readouterr().err


def test_an_unfinished_download_starts_again_and_nothing_is_moved_aside(machine):
    with sync_workdir(Workdir(machine("first"), ADDRESS), trains=True):
        write_files(machine("first"), FIRST_FILES)
    second = machine("second")
    write_files(second, {"config.json": "{}", "checkpoints/4/_CHECKPOINT_METADATA": "4"})
    with sync_workdir(Workdir(second, ADDRESS), trains=True):
        assert visible_files(second) == FIRST_FILES
    assert [path.name for path in second.parent.iterdir() if path.name[0] != "."] == ["run"]


def test_a_bucket_that_cannot_be_reached_is_reported_in_one_line(machine, monkeypatch, capsys):
    folder = machine("first")
    monkeypatch.setattr(fsspec.filesystem("memory").__class__, "put_file", raise_unreachable)
    said = []
    monkeypatch.setattr(uploader, "say", lambda text, _: said.append(text))

    def train():
        with sync_workdir(Workdir(folder, ADDRESS), trains=True):
            write_files(folder, {"config.json": "{}"})
            while not said:
                threading.Event().wait(0.01)

    message = refusal(train)
    assert said == [f"NOT UPLOADED: {message}"]
    assert message == (
        f"{ADDRESS}: cannot be reached (the line is cut); run the same command again to "
        f"upload the files that are still in {folder}"
    )
    assert visible_files(folder) == {"config.json": "{}"}


def test_the_error_of_a_run_is_kept_when_the_upload_fails_too(machine, monkeypatch, capsys):
    def train():
        with sync_workdir(Workdir(machine("first"), ADDRESS), trains=True):
            write_files(machine("first"), {"config.json": "{}"})
            monkeypatch.setattr(
                fsspec.filesystem("memory").__class__, "put_file", raise_unreachable
            )
            raise bucket.UsageError("step 5: loss/generator_gan is nan")

    assert refusal(train) == "step 5: loss/generator_gan is nan"
    assert f"NOT UPLOADED: {ADDRESS}: cannot be reached" in capsys.readouterr().err


@pytest.mark.parametrize("trains", [False, True])
def test_a_damaged_checkpoint_is_downloaded_again_and_never_uploaded(machine, trains):
    first = machine("first")
    with sync_workdir(Workdir(first, ADDRESS), trains=True):
        write_files(first, FIRST_FILES)
    write_files(first, {"checkpoints/8/_CHECKPOINT_METADATA": ""})
    with sync_workdir(Workdir(first, ADDRESS), trains=trains):
        assert visible_files(first) == FIRST_FILES
        write_files(first, {"checkpoints/8/_CHECKPOINT_METADATA": ""})
    assert bucket_files() == FIRST_FILES


def test_a_checkpoint_that_vanishes_during_the_download_leaves_no_part(machine, monkeypatch):
    first, memory = machine("first"), fsspec.filesystem("memory")
    more = {"checkpoints/4/a": "a", "checkpoints/4/z": "z"}
    with sync_workdir(Workdir(first, ADDRESS), trains=True):
        write_files(first, FIRST_FILES | more)
    get = memory.get_file

    def get_some(place, path):
        if place.endswith("4/z"):
            raise FileNotFoundError
        return get(place, path)

    monkeypatch.setattr(memory.__class__, "get_file", staticmethod(get_some))
    with sync_workdir(Workdir(machine("second"), ADDRESS)):
        assert "checkpoints/8/_CHECKPOINT_METADATA" in visible_files(machine("second"))
        assert not (machine("second") / "checkpoints/4").exists()


def test_a_file_that_the_upload_damaged_is_reported_and_uploaded_again(machine, monkeypatch):
    folder, memory = machine("first"), fsspec.filesystem("memory")

    def cut(source, place):
        memory.pipe_file(place, Path(source).read_bytes()[:-1])

    def train():
        with sync_workdir(Workdir(folder, ADDRESS), trains=True):
            write_files(folder, FIRST_FILES)

    with monkeypatch.context() as broken:
        broken.setattr(memory.__class__, "put_file", staticmethod(cut))
        assert f"{ADDRESS}: config.json was damaged by the upload" in refusal(train)
    with sync_workdir(Workdir(folder, ADDRESS)):
        assert visible_files(folder) == FIRST_FILES
    assert bucket_files() == FIRST_FILES
