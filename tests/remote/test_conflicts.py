"""If two machines have changed the same run, one of them wins and no file is lost."""

import fsspec
from helpers.buckets import (
    ADDRESS,
    FIRST_FILES,
    SECOND_FILES,
    bucket_files,
    raise_unreachable,
    replace_bucket,
    replace_first_checkpoint,
    train_further,
    visible_files,
    wait_until,
    write_files,
)
from helpers.refusals import refusal

from pix2pix_jax.remote.sync import sync_workdir
from pix2pix_jax.runs.workdir import Workdir


def test_files_of_a_run_that_another_machine_replaced_are_moved_aside(machine, monkeypatch, capsys):
    folder = machine("first")
    with sync_workdir(Workdir(folder, ADDRESS), trains=True):
        write_files(folder, FIRST_FILES)
    with monkeypatch.context() as broken:
        broken.setattr(fsspec.filesystem("memory").__class__, "put_file", raise_unreachable)
        refusal(replace_first_checkpoint, folder)
    fsspec.filesystem("memory").rm("/bucket/run", recursive=True)
    second = machine("second")
    replaced = {"config.json": "other", "checkpoints/2/_CHECKPOINT_METADATA": "2"}
    with sync_workdir(Workdir(second, ADDRESS), trains=True):
        write_files(second, replaced)
    folder = machine("first")
    with sync_workdir(Workdir(folder, ADDRESS)):  # a reader downloads, and uploads no old file
        assert visible_files(folder) == replaced
    assert bucket_files() == replaced
    assert "was changed elsewhere; files that" in capsys.readouterr().out
    (aside,) = folder.parent.glob("run.*")
    assert "checkpoints/12/_CHECKPOINT_METADATA" in visible_files(aside)


def test_a_reader_does_not_change_a_run_that_another_machine_trains(machine):
    """The reader uploads new files, but no checkpoint and no file that both machines changed."""
    first = machine("first")
    with sync_workdir(Workdir(first, ADDRESS)):
        with sync_workdir(Workdir(first, ADDRESS), trains=True):
            write_files(first, FIRST_FILES)
        with sync_workdir(Workdir(machine("second"), ADDRESS), trains=True):
            train_further(machine("second"))
        machine("first")
        write_files(first, {"metrics.jsonl": "1\n9\n", "evaluation_val.json": "1"})
        write_files(first, {"checkpoints/16/_CHECKPOINT_METADATA": "16"})
    assert bucket_files() == SECOND_FILES | {"evaluation_val.json": "1"}


def test_a_machine_that_lost_the_run_uploads_nothing_more(machine):
    first = machine("first")

    def cut_off():
        with sync_workdir(Workdir(first, ADDRESS), trains=True):
            write_files(first, FIRST_FILES)
            wait_until(lambda: bucket_files() == FIRST_FILES)
            fsspec.filesystem("memory").pipe_file("/bucket/run/.session", b"of another one")
            train_further(first)

    assert "another machine trains this run now" in refusal(cut_off)
    assert bucket_files() == FIRST_FILES
    assert visible_files(first) == SECOND_FILES


def test_a_run_that_was_replaced_by_hand_is_downloaded(machine):
    first = machine("first")
    replace_bucket(FIRST_FILES)
    with sync_workdir(Workdir(first, ADDRESS)):
        assert visible_files(first) == FIRST_FILES
    replaced = {"config.json": "other", "checkpoints/2/_CHECKPOINT_METADATA": "2"}
    replace_bucket(replaced)
    with sync_workdir(Workdir(first, ADDRESS)):
        assert visible_files(first) == replaced
    assert bucket_files() == replaced


def test_a_bucket_that_was_emptied_stays_empty_and_nothing_is_lost(machine, capsys):
    first = machine("first")
    with sync_workdir(Workdir(first, ADDRESS), trains=True):
        write_files(first, FIRST_FILES)
    replace_bucket({})
    with sync_workdir(Workdir(first, ADDRESS), trains=True):
        assert visible_files(first) == {}
    assert bucket_files() == {}
    (aside,) = first.parent.glob("run.*")
    assert visible_files(aside) == FIRST_FILES
    assert str(aside) in capsys.readouterr().out

    def emptied_meanwhile():
        with sync_workdir(Workdir(first, ADDRESS), trains=True):
            write_files(first, FIRST_FILES)
            wait_until(lambda: bucket_files() == FIRST_FILES)
            replace_bucket({})

    assert (
        f"files that were not uploaded are in {first}; run the same command to start a new run"
        in refusal(emptied_meanwhile)
    )
    assert visible_files(first) == FIRST_FILES


def test_a_former_trainer_keeps_the_files_it_makes_as_a_reader(machine, monkeypatch):
    first = machine("first")
    with sync_workdir(Workdir(first, ADDRESS), trains=True):
        write_files(first, FIRST_FILES)
    with sync_workdir(Workdir(machine("second"), ADDRESS), trains=True):
        train_further(machine("second"))
    with sync_workdir(Workdir(machine("first"), ADDRESS)):
        write_files(first, {"evaluation_val.json": "1"})
        with sync_workdir(Workdir(first, ADDRESS)):  # another command at the same time
            assert visible_files(first) == SECOND_FILES | {"evaluation_val.json": "1"}
    assert bucket_files() == SECOND_FILES | {"evaluation_val.json": "1"}

    def evaluate():
        with sync_workdir(Workdir(first, ADDRESS)):
            write_files(first, {"evaluation_val.json": "2"})

    with monkeypatch.context() as broken:
        broken.setattr(fsspec.filesystem("memory").__class__, "put_file", raise_unreachable)
        refusal(evaluate)
    with sync_workdir(Workdir(first, ADDRESS)):
        pass
    assert bucket_files() == SECOND_FILES | {"evaluation_val.json": "2"}


def test_if_two_machines_make_the_same_file_the_second_file_is_moved_aside(machine):
    with sync_workdir(Workdir(machine("first"), ADDRESS), trains=True):
        write_files(machine("first"), FIRST_FILES)
    second = machine("second")
    with sync_workdir(Workdir(second, ADDRESS)):
        pass
    write_files(second, {"evaluation_val.json": "second"})  # is not uploaded yet
    with sync_workdir(Workdir(machine("first"), ADDRESS)):
        write_files(machine("first"), {"evaluation_val.json": "first"})
    with sync_workdir(Workdir(machine("second"), ADDRESS)):
        assert visible_files(second) == FIRST_FILES | {"evaluation_val.json": "first"}
    (aside,) = second.parent.glob("run.*")
    assert visible_files(aside) == {"evaluation_val.json": "second"}
