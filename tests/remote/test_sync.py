"""A run in a bucket: new machines have all of its files, and nothing is lost."""

import errno
import shutil
import threading

import fsspec
import pytest
from helpers.buckets import (
    ADDRESS,
    FIRST_FILES,
    SECOND_FILES,
    bucket_files,
    raise_unreachable,
    replace_first_checkpoint,
    train_further,
    visible_files,
    wait_until,
    write_files,
)
from helpers.refusals import refusal

from pix2pix_jax.remote.sync import find_config_file, sync_workdir
from pix2pix_jax.runs.ownership import WorkdirBusy
from pix2pix_jax.runs.workdir import Workdir
from pix2pix_jax.runtime.storage.lease_storage import Lease


def test_a_new_machine_gets_all_files_except_half_written_checkpoints(machine):
    folder = machine("first")
    with sync_workdir(Workdir(folder, ADDRESS), trains=True):
        write_files(folder, FIRST_FILES)
        write_files(folder, {"checkpoints/12.orbax-checkpoint-tmp/_CHECKPOINT_METADATA": "half"})
    assert bucket_files() == FIRST_FILES
    with sync_workdir(Workdir(machine("second"), ADDRESS), trains=True):
        assert visible_files(machine("second")) == FIRST_FILES


def test_new_files_are_uploaded_at_once_and_old_checkpoints_are_removed(machine):
    folder = machine("first")
    until = threading.Event()
    with sync_workdir(Workdir(folder, ADDRESS), trains=True):
        write_files(folder, FIRST_FILES)
        while bucket_files() != FIRST_FILES:
            until.wait(0.01)
        write_files(
            folder, {"checkpoints/12/_CHECKPOINT_METADATA": "12", "metrics.jsonl": "1\n2\n"}
        )
        shutil.rmtree(folder / "checkpoints/4")
        second = {"checkpoints/12/_CHECKPOINT_METADATA": "12", "metrics.jsonl": "1\n2\n"}
        later = {
            name: FIRST_FILES[name]
            for name in ("config.json", "checkpoints/8/_CHECKPOINT_METADATA")
        } | second
        while bucket_files() != later:
            until.wait(0.01)
    shutil.rmtree(folder)  # A user may clear the cache.
    with sync_workdir(Workdir(machine("first"), ADDRESS), trains=True):
        assert visible_files(folder) == later


def test_a_removed_local_copy_removes_nothing_from_the_bucket(machine):
    folder = machine("first")
    with sync_workdir(Workdir(folder, ADDRESS), trains=True):
        write_files(folder, FIRST_FILES)

    def remove():
        with sync_workdir(Workdir(folder, ADDRESS), trains=True):
            shutil.rmtree(folder)

    assert f"the local copy {folder} was removed" in refusal(remove)
    assert bucket_files() == FIRST_FILES
    with sync_workdir(Workdir(folder, ADDRESS), trains=True):
        assert visible_files(folder) == FIRST_FILES


def test_the_machine_that_trained_last_continues_and_other_machines_follow(machine, monkeypatch):
    folder = machine("first")
    with sync_workdir(Workdir(folder, ADDRESS), trains=True):
        write_files(folder, FIRST_FILES)
    with monkeypatch.context() as broken:
        broken.setattr(fsspec.filesystem("memory").__class__, "put_file", raise_unreachable)
        assert "the line is cut" in refusal(replace_first_checkpoint, folder)
    assert bucket_files() == FIRST_FILES
    with sync_workdir(Workdir(folder, ADDRESS), trains=True):
        assert "checkpoints/12/_CHECKPOINT_METADATA" in visible_files(folder)
    assert bucket_files() == visible_files(folder)
    second = machine("second")
    with sync_workdir(Workdir(second, ADDRESS), trains=True):
        assert visible_files(second) == bucket_files()
        write_files(
            second, {"checkpoints/16/_CHECKPOINT_METADATA": "16", "metrics.jsonl": "1\n2\n"}
        )
        shutil.rmtree(second / "checkpoints/8")
    first = machine("first")
    with sync_workdir(Workdir(first, ADDRESS), trains=True):
        assert visible_files(first) == visible_files(second)


def test_a_reader_uploads_its_files_and_skips_incomplete_checkpoints(machine):
    fsspec.filesystem("memory").pipe_file("/bucket/run/checkpoints/12/state", b"half")
    with sync_workdir(Workdir(machine("first"), ADDRESS), trains=True):
        write_files(machine("first"), FIRST_FILES)
    second = machine("second")
    with sync_workdir(Workdir(second, ADDRESS)):
        assert visible_files(second) == FIRST_FILES
        write_files(second, {"evaluation_val.json": "{}"})
    half = {"checkpoints/12/state": "half"}
    assert bucket_files() == FIRST_FILES | half | {"evaluation_val.json": "{}"}


def test_a_second_read_sees_newer_files_and_the_reader_may_train_later(machine):
    """Another machine trains between the two reads."""
    first = machine("first")
    with sync_workdir(Workdir(first, ADDRESS), trains=True):
        write_files(first, FIRST_FILES)
        wait_until(lambda: bucket_files() == FIRST_FILES)
        second = machine("second")
        with sync_workdir(Workdir(second, ADDRESS)):
            assert visible_files(second) == FIRST_FILES
        write_files(second, {"evaluation_val.json": "{}"})  # is not uploaded yet
        train_further(first)
        wait_until(lambda: bucket_files() == SECOND_FILES)
        with sync_workdir(Workdir(second, ADDRESS)):
            assert visible_files(second) == SECOND_FILES | {"evaluation_val.json": "{}"}
        assert bucket_files() == visible_files(second)
        machine("first")
    with sync_workdir(Workdir(machine("second"), ADDRESS), trains=True):
        assert visible_files(second) == SECOND_FILES | {"evaluation_val.json": "{}"}
    assert bucket_files() == visible_files(second)


def test_overlapping_commands_upload_the_files_of_all_commands(machine):
    folder = machine("first")
    with sync_workdir(Workdir(folder, ADDRESS), trains=True):
        write_files(folder, FIRST_FILES)
    second = machine("second")
    with sync_workdir(Workdir(second, ADDRESS)):
        with sync_workdir(Workdir(second, ADDRESS)):
            write_files(second, {"evaluation_val.json": "1"})
            with sync_workdir(Workdir(second, ADDRESS), trains=True):
                train_further(second)
                write_files(second, {"evaluation_test.json": "2"})
            assert visible_files(second) == bucket_files()
        write_files(second, {"evaluation_train.json": "3"})
    assert {
        f"evaluation_{split}.json" for split in ("train", "val", "test")
    } < bucket_files().keys()
    assert visible_files(second) == bucket_files()


@pytest.mark.parametrize("trains", [False, True])
def test_a_folder_of_runs_is_refused(machine, trains):
    first = machine("first")
    with sync_workdir(Workdir(first, ADDRESS), trains=True):
        write_files(first, FIRST_FILES)

    def at_the_parent():
        with sync_workdir(Workdir(first.parent, ADDRESS.rpartition("/")[0]), trains=trains):
            pass

    message = refusal(at_the_parent)
    assert message.startswith("memory://bucket: contains run/c")
    assert message.endswith(
        ".json, so this folder contains runs and is not a run itself; give the folder of a run"
    )
    assert visible_files(first) == FIRST_FILES


def test_the_config_file_is_found_without_changing_the_workdir(machine):
    first = machine("first")
    assert find_config_file(Workdir(first, ADDRESS)) == first / "config.json"
    with sync_workdir(Workdir(first, ADDRESS), trains=True):
        write_files(first, FIRST_FILES)
    second = machine("second")
    write_files(second, {"config.json": "another one"})
    assert find_config_file(Workdir(second, ADDRESS)).read_text() == "{}"
    assert visible_files(second) == {"config.json": "another one"}


def test_one_process_trains_at_a_time_and_others_may_read(machine):
    with sync_workdir(Workdir(machine("first"), ADDRESS), trains=True):
        write_files(machine("first"), {"config.json": "{}"})
        with pytest.raises(WorkdirBusy):
            sync_workdir(Workdir(machine("first"), ADDRESS), trains=True).__enter__()
        with sync_workdir(Workdir(machine("first"), ADDRESS)):  # a reader on the same machine
            pass
        with pytest.raises(WorkdirBusy):
            sync_workdir(Workdir(machine("second"), ADDRESS), trains=True).__enter__()
    with sync_workdir(Workdir(machine("second"), ADDRESS), trains=True):
        pass


def test_a_rejected_step_leaves_the_bucket_before_it_is_saved_again(machine, monkeypatch):
    first, done = machine("first"), []
    with sync_workdir(Workdir(first, ADDRESS), trains=True):
        write_files(first, FIRST_FILES)
    memory = fsspec.filesystem("memory")
    for name in ("put_file", "rm_file"):
        real = getattr(memory, name)

        def record_call(*places, name=name, real=real):
            done.append((name, places[-1].removeprefix("/bucket/run/")))
            return real(*places)

        monkeypatch.setattr(memory.__class__, name, staticmethod(record_call))
    with sync_workdir(Workdir(first, ADDRESS), trains=True):
        (first / "rejected").mkdir()
        (first / "checkpoints/8").rename(first / "rejected/8-0")
        wait_until(lambda: "checkpoints/8/_CHECKPOINT_METADATA" not in bucket_files())
        write_files(first, {"checkpoints/8/_CHECKPOINT_METADATA": "anew"})
    assert done[:-1] == [  # The last call removes the lease.
        ("rm_file", "checkpoints/8/_CHECKPOINT_METADATA"),
        ("put_file", "rejected/8-0/_CHECKPOINT_METADATA"),
        ("put_file", "checkpoints/8/_CHECKPOINT_METADATA"),
    ]
    assert bucket_files() == visible_files(first)


def test_a_bug_is_not_reported_as_an_unreachable_bucket(machine, monkeypatch):
    def fail(*_):
        raise TypeError("2 arguments")

    monkeypatch.setattr(Lease, "to_json", fail)
    with pytest.raises(TypeError, match="2 arguments"):
        sync_workdir(Workdir(machine("first"), ADDRESS), trains=True).__enter__()


def test_an_error_of_the_trainer_is_not_reported_as_another_trainer(machine):
    """A pipe without room raises the same error as a lock that is held."""
    error = BlockingIOError(errno.EAGAIN, "write could not complete without blocking")
    workdir = Workdir(machine("first"), ADDRESS)
    with pytest.raises(BlockingIOError) as caught, sync_workdir(workdir, trains=True):
        raise error
    assert caught.value is error


def test_a_run_without_a_config_resumes(machine):
    """The run ended with a loss that is not finite, before its first line of metrics."""
    first = machine("first")
    with sync_workdir(Workdir(first, ADDRESS), trains=True):
        write_files(first, {"not_finite.json": "{}"})
    with sync_workdir(Workdir(first, ADDRESS), trains=True):
        write_files(first, FIRST_FILES)
    assert bucket_files() == FIRST_FILES | {"not_finite.json": "{}"}
