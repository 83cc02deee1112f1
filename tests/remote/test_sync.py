"""Runs and data in a bucket: all is there that a new machine needs, and nothing is lost."""

import os
import shutil
import socket
import threading
import time
from contextlib import contextmanager
from email.parser import BytesParser
from pathlib import Path
from types import SimpleNamespace

import fsspec
import pytest
from helpers.command_line import metrics, run, saved, start, train
from helpers.refusals import refusal

from pix2pix_jax.cli.main import parse
from pix2pix_jax.remote import uploader
from pix2pix_jax.remote.record import SyncRecord
from pix2pix_jax.remote.sync import find_config_file, sync_workdir
from pix2pix_jax.runs.ownership import WorkdirBusy
from pix2pix_jax.runs.workdir import Workdir
from pix2pix_jax.runtime import bucket, files, lease
from pix2pix_jax.runtime.bucket import download_folder, upload_folder

PLACE = "memory://bucket/run"  # which behaves as one of gs://


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Makes this machine another one, which has no files yet."""
    monkeypatch.setattr(lease, "HEARTBEAT_SECONDS", 0.05)
    monkeypatch.setattr(lease, "DEAD_SECONDS", 0.5)
    monkeypatch.setattr(lease, "SETTLE_SECONDS_UNLOCKED", 0.025)
    monkeypatch.setattr(uploader, "UPLOAD_SECONDS", 0.05)

    def named(name):
        monkeypatch.setattr(lease, "host_id", lambda: name)
        return tmp_path / name / "memory" / "bucket" / "run"

    yield named
    fsspec.filesystem("memory").rm("/", recursive=True)


def write(folder, contents):
    for name, content in contents.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


def held(folder):
    """What lies in a folder, but for hidden files."""
    return {
        str(path.relative_to(folder)): path.read_text()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith(".")
    }


def in_bucket():
    memory = fsspec.filesystem("memory")
    place = PLACE.removeprefix("memory:/")
    return {
        name.removeprefix(f"{place}/"): memory.cat_file(name).decode()
        for name in memory.find(place)
        if "/." not in name
    }


FIRST = {
    "config.json": "{}",
    "metrics.jsonl": "1\n",
    "checkpoints/4/_CHECKPOINT_METADATA": "4",
    "checkpoints/8/_CHECKPOINT_METADATA": "8",
}


def test_a_new_machine_has_what_the_first_had(machine):
    folder = machine("first")
    with sync_workdir(Workdir(folder, PLACE), trains=True):
        write(folder, FIRST)
        write(folder, {"checkpoints/12.orbax-checkpoint-tmp/_CHECKPOINT_METADATA": "half"})
    assert in_bucket() == FIRST
    with sync_workdir(Workdir(machine("second"), PLACE), trains=True):
        assert held(machine("second")) == FIRST


def test_what_is_new_is_sent_while_it_comes_and_what_is_not_kept_goes(machine):
    folder = machine("first")
    until = threading.Event()
    with sync_workdir(Workdir(folder, PLACE), trains=True):
        write(folder, FIRST)
        while in_bucket() != FIRST:
            until.wait(0.01)
        write(folder, {"checkpoints/12/_CHECKPOINT_METADATA": "12", "metrics.jsonl": "1\n2\n"})
        shutil.rmtree(folder / "checkpoints/4")
        second = {"checkpoints/12/_CHECKPOINT_METADATA": "12", "metrics.jsonl": "1\n2\n"}
        later = {
            name: FIRST[name] for name in ("config.json", "checkpoints/8/_CHECKPOINT_METADATA")
        } | second
        while in_bucket() != later:
            until.wait(0.01)
    shutil.rmtree(folder)  # by whoever clears a cache: the bucket has it all
    with sync_workdir(Workdir(machine("first"), PLACE), trains=True):
        assert held(folder) == later


def test_a_folder_that_is_removed_here_stays_in_the_bucket(machine):
    folder = machine("first")
    with sync_workdir(Workdir(folder, PLACE), trains=True):
        write(folder, FIRST)

    def remove():
        with sync_workdir(Workdir(folder, PLACE), trains=True):
            shutil.rmtree(folder)

    assert f"its local copy {folder} was removed" in refusal(remove)
    assert in_bucket() == FIRST
    with sync_workdir(Workdir(folder, PLACE), trains=True):
        assert held(folder) == FIRST


def further(folder):
    """Another checkpoint, in place of the first."""
    with sync_workdir(Workdir(folder, PLACE), trains=True):
        write(folder, {"checkpoints/12/_CHECKPOINT_METADATA": "12"})
        shutil.rmtree(folder / "checkpoints/4")


def test_the_machine_that_is_ahead_goes_on_and_the_others_follow(machine, monkeypatch):
    folder = machine("first")
    with sync_workdir(Workdir(folder, PLACE), trains=True):
        write(folder, FIRST)
    with monkeypatch.context() as broken:
        broken.setattr(fsspec.filesystem("memory").__class__, "put_file", unreachable)
        assert "the line is cut" in refusal(further, folder)
    assert in_bucket() == FIRST
    with sync_workdir(Workdir(folder, PLACE), trains=True):
        assert "checkpoints/12/_CHECKPOINT_METADATA" in held(folder)
    assert in_bucket() == held(folder)
    second = machine("second")
    with sync_workdir(Workdir(second, PLACE), trains=True):
        assert held(second) == in_bucket()
        write(second, {"checkpoints/16/_CHECKPOINT_METADATA": "16", "metrics.jsonl": "1\n2\n"})
        shutil.rmtree(second / "checkpoints/8")
    first = machine("first")
    with sync_workdir(Workdir(first, PLACE), trains=True):
        assert held(first) == held(second)


def test_lines_that_could_not_be_sent_are_there_when_it_goes_on(machine, monkeypatch):
    folder, memory = machine("first"), fsspec.filesystem("memory")
    put = memory.put_file

    def put_some(source, place):
        return unreachable() if place.endswith("jsonl") else put(source, place)

    def train():
        with sync_workdir(Workdir(folder, PLACE), trains=True):
            write(folder, FIRST)

    with monkeypatch.context() as broken:
        broken.setattr(memory.__class__, "put_file", staticmethod(put_some))
        assert "the line is cut" in refusal(train)
    assert in_bucket() == {"config.json": "{}"}  # no checkpoint without its lines
    with sync_workdir(Workdir(folder, PLACE), trains=True):
        assert held(folder) == FIRST


def test_where_others_went_on_what_was_not_sent_is_set_aside(machine, monkeypatch, capsys):
    folder = machine("first")
    with sync_workdir(Workdir(folder, PLACE), trains=True):
        write(folder, FIRST)
    with monkeypatch.context() as broken:
        broken.setattr(fsspec.filesystem("memory").__class__, "put_file", unreachable)
        refusal(further, folder)
    fsspec.filesystem("memory").rm("/bucket/run", recursive=True)
    second = machine("second")
    anew = {"config.json": "other", "checkpoints/2/_CHECKPOINT_METADATA": "2"}
    with sync_workdir(Workdir(second, PLACE), trains=True):
        write(second, anew)
    folder = machine("first")
    with sync_workdir(
        Workdir(folder, PLACE)
    ):  # who only looks has what is there, and sends nothing old
        assert held(folder) == anew
    assert in_bucket() == anew
    assert "another machine went on with this run; files that" in capsys.readouterr().out
    (aside,) = folder.parent.glob("run.*")
    assert "checkpoints/12/_CHECKPOINT_METADATA" in held(aside)


def test_who_only_looks_sends_what_it_wrote_and_leaves_half_a_checkpoint(machine):
    fsspec.filesystem("memory").pipe_file("/bucket/run/checkpoints/12/state", b"half")
    with sync_workdir(Workdir(machine("first"), PLACE), trains=True):
        write(machine("first"), FIRST)
    second = machine("second")
    with sync_workdir(Workdir(second, PLACE)):
        assert held(second) == FIRST
        write(second, {"evaluation_val.json": "{}"})
    half = {"checkpoints/12/state": "half"}
    assert in_bucket() == FIRST | half | {"evaluation_val.json": "{}"}


@pytest.mark.parametrize("trains", [False, True])
def test_what_who_only_looks_could_not_send_is_sent_by_the_next(machine, monkeypatch, trains):
    """As of an import, into a bucket that is empty yet."""
    folder = machine("first")

    def write_first():
        with sync_workdir(Workdir(folder, PLACE)):
            write(folder, FIRST)

    with monkeypatch.context() as broken:
        broken.setattr(fsspec.filesystem("memory").__class__, "put_file", unreachable)
        assert "any command on it uploads them" in refusal(write_first)
    with sync_workdir(Workdir(folder, PLACE), trains=trains):
        assert held(folder) == FIRST
    assert in_bucket() == FIRST


SECOND = {
    "config.json": "{}",
    "metrics.jsonl": "1\n2\n3\n",
    "checkpoints/8/_CHECKPOINT_METADATA": "8",
    "checkpoints/12/_CHECKPOINT_METADATA": "12",
}


def learn_more(folder):
    """What a run that goes on does to its folder."""
    write(folder, SECOND)
    shutil.rmtree(folder / "checkpoints/4")


def wait_until(true):
    until = time.monotonic() + 30
    while not true():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_who_looks_twice_sees_what_came_since_and_may_go_on(machine):
    """Though the same machine trained all the while."""
    first = machine("first")
    with sync_workdir(Workdir(first, PLACE), trains=True):
        write(first, FIRST)
        wait_until(lambda: in_bucket() == FIRST)
        second = machine("second")
        with sync_workdir(Workdir(second, PLACE)):
            assert held(second) == FIRST
        write(second, {"evaluation_val.json": "{}"})  # by a command that was killed
        learn_more(first)
        wait_until(lambda: in_bucket() == SECOND)
        with sync_workdir(Workdir(second, PLACE)):
            assert held(second) == SECOND | {"evaluation_val.json": "{}"}
        assert in_bucket() == held(second)
        machine("first")
    with sync_workdir(Workdir(machine("second"), PLACE), trains=True):
        assert held(second) == SECOND | {"evaluation_val.json": "{}"}
    assert in_bucket() == held(second)


def test_who_was_killed_while_it_fetched_sends_nothing_old(machine, monkeypatch):
    first = machine("first")
    with sync_workdir(Workdir(first, PLACE), trains=True):
        write(first, FIRST)
    second, add = machine("second"), SyncRecord.add

    def add_until_killed(record, name, versions):
        if name == "metrics.jsonl":
            raise KeyboardInterrupt
        add(record, name, versions)

    monkeypatch.setattr(SyncRecord, "add", add_until_killed)
    with pytest.raises(KeyboardInterrupt):
        sync_workdir(Workdir(second, PLACE)).__enter__()
    monkeypatch.setattr(SyncRecord, "add", add)
    assert (second / "metrics.jsonl").read_text() == "1\n"
    with sync_workdir(Workdir(machine("first"), PLACE), trains=True):
        learn_more(first)
    with sync_workdir(Workdir(machine("second"), PLACE)):
        pass
    assert in_bucket() == SECOND
    with sync_workdir(Workdir(second, PLACE)):
        assert held(second) == SECOND


def test_commands_whose_times_overlap_send_what_each_made(machine):
    folder = machine("first")
    with sync_workdir(Workdir(folder, PLACE), trains=True):
        write(folder, FIRST)
    second = machine("second")
    with sync_workdir(Workdir(second, PLACE)):
        with sync_workdir(Workdir(second, PLACE)):
            write(second, {"evaluation_val.json": "1"})
            with sync_workdir(Workdir(second, PLACE), trains=True):
                learn_more(second)
                write(second, {"evaluation_test.json": "2"})
            assert held(second) == in_bucket()
        write(second, {"evaluation_train.json": "3"})
    assert {f"evaluation_{split}.json" for split in ("train", "val", "test")} < in_bucket().keys()
    assert held(second) == in_bucket()


def test_what_another_machine_trains_is_not_touched_by_who_looked_meanwhile(machine):
    """But what it made is sent, though what was trained here before was not."""
    first = machine("first")
    with sync_workdir(Workdir(first, PLACE)):
        with sync_workdir(Workdir(first, PLACE), trains=True):
            write(first, FIRST)
        with sync_workdir(Workdir(machine("second"), PLACE), trains=True):
            learn_more(machine("second"))
        machine("first")
        write(first, {"metrics.jsonl": "1\n9\n", "evaluation_val.json": "1"})
        write(first, {"checkpoints/16/_CHECKPOINT_METADATA": "16"})
    assert in_bucket() == SECOND | {"evaluation_val.json": "1"}


def test_who_was_cut_off_for_long_sends_nothing_more(machine):
    first = machine("first")

    def cut_off():
        with sync_workdir(Workdir(first, PLACE), trains=True):
            write(first, FIRST)
            wait_until(lambda: in_bucket() == FIRST)
            fsspec.filesystem("memory").pipe_file("/bucket/run/.session", b"of another one")
            learn_more(first)

    assert "another machine trains in it now" in refusal(cut_off)
    assert in_bucket() == FIRST
    assert held(first) == SECOND


@pytest.mark.parametrize("trains", [False, True])
def test_a_folder_of_runs_is_none(machine, trains):
    first = machine("first")
    with sync_workdir(Workdir(first, PLACE), trains=True):
        write(first, FIRST)

    def at_the_parent():
        with sync_workdir(Workdir(first.parent, PLACE.rpartition("/")[0]), trains=trains):
            pass

    message = refusal(at_the_parent)
    assert message.startswith("memory://bucket: holds run/c")
    assert message.endswith(".json, so it is not a run; give the folder of a run")
    assert held(first) == FIRST


def test_a_checkpoint_that_is_being_removed_from_the_bucket_is_none(machine, monkeypatch):
    first, memory = machine("first"), fsspec.filesystem("memory")
    four = {"checkpoints/4/_CHECKPOINT_METADATA": "4", "checkpoints/4/generator/d/0": "4"}
    removed, remove = [], memory.rm_file

    def remove_one(place):
        if removed:
            unreachable()
        removed.append(place)
        remove(place)

    def train_on():
        with sync_workdir(Workdir(first, PLACE), trains=True):
            learn_more(first)

    with sync_workdir(Workdir(first, PLACE), trains=True):
        write(first, FIRST | four)
    with monkeypatch.context() as broken:
        broken.setattr(memory.__class__, "rm_file", staticmethod(remove_one))
        assert "the line is cut" in refusal(train_on)
    assert "checkpoints/4/generator/d/0" in in_bucket()
    with sync_workdir(Workdir(machine("second"), PLACE)):
        assert held(machine("second")) == SECOND
    with sync_workdir(Workdir(machine("first"), PLACE), trains=True):
        pass
    assert in_bucket() == SECOND


def test_an_object_that_is_gone_already_is_no_error(machine):
    first = machine("first")
    with sync_workdir(Workdir(first, PLACE), trains=True):
        write(first, FIRST)
        wait_until(lambda: in_bucket() == FIRST)
        fsspec.filesystem("memory").rm_file("/bucket/run/checkpoints/4/_CHECKPOINT_METADATA")
        learn_more(first)
    assert in_bucket() == SECOND


def test_what_ended_a_command_is_told_and_not_that_it_could_not_be_sent(
    machine, monkeypatch, capsys
):
    first = machine("first")

    def look():
        with sync_workdir(Workdir(first, PLACE)):
            write(first, FIRST)
            monkeypatch.setattr(fsspec.filesystem("memory").__class__, "put_file", unreachable)
            raise bucket.UsageError("photo.png: cannot be read")

    assert refusal(look) == "photo.png: cannot be read"
    assert f"NOT UP TO DATE: {PLACE}: cannot be reached" in capsys.readouterr().err


def test_the_config_is_read_where_nothing_else_is_touched(machine):
    first = machine("first")
    assert find_config_file(Workdir(first, PLACE)) == first / "config.json"
    with sync_workdir(Workdir(first, PLACE), trains=True):
        write(first, FIRST)
    second = machine("second")
    write(second, {"config.json": "another one"})
    assert find_config_file(Workdir(second, PLACE)).read_text() == "{}"
    assert held(second) == {"config.json": "another one"}


@pytest.mark.parametrize(
    "place", ["s3://bucket/data", "gs://", "gs:///data", "gs://bucket/../data"]
)
def test_what_is_no_folder_of_a_bucket_is_refused(place):
    assert (
        refusal(files.local_path, place)
        == f"{place} is not a folder of a bucket; give gs://BUCKET/DIR"
    )


def test_a_bucket_needs_a_home_and_says_so(monkeypatch):
    monkeypatch.setattr(files, "BUCKET_COPIES", Path("~/.cache/pix2pix_jax/buckets"))
    monkeypatch.delenv("HOME")
    monkeypatch.setattr("pwd.getpwuid", {}.__getitem__)  # the machine does not know this user
    error = refusal(parse, ["train", "--workdir=gs://bucket/run"])
    assert "--workdir: gs://bucket/run: the home folder ~ is not known on this machine" in error
    assert error.endswith("; set HOME")


def test_what_was_half_fetched_is_fetched_anew_and_nothing_set_aside(machine):
    with sync_workdir(Workdir(machine("first"), PLACE), trains=True):
        write(machine("first"), FIRST)
    second = machine("second")
    write(second, {"config.json": "{}", "checkpoints/4/_CHECKPOINT_METADATA": "4"})
    with sync_workdir(Workdir(second, PLACE), trains=True):
        assert held(second) == FIRST
    assert [path.name for path in second.parent.iterdir() if path.name[0] != "."] == ["run"]


def unreachable(*_, **__):
    raise OSError("the line is cut\nfor long")


def test_a_bucket_that_cannot_be_reached_is_told(machine, monkeypatch, capsys):
    folder = machine("first")
    monkeypatch.setattr(fsspec.filesystem("memory").__class__, "put_file", unreachable)
    said = []
    monkeypatch.setattr(uploader, "print_above_bar", lambda text, _: said.append(text))

    def train():
        with sync_workdir(Workdir(folder, PLACE), trains=True):
            write(folder, {"config.json": "{}"})
            while not said:
                threading.Event().wait(0.01)

    message = refusal(train)
    assert said == [f"NOT UP TO DATE: {message}"]
    assert message == (
        f"{PLACE}: cannot be reached (the line is cut); files that are not there yet are in "
        f"{folder}; any command on it uploads them"
    )
    assert held(folder) == {"config.json": "{}"}


def test_one_machine_trains_at_a_time_and_others_may_look(machine):
    with sync_workdir(Workdir(machine("first"), PLACE), trains=True):
        write(machine("first"), {"config.json": "{}"})
        with pytest.raises(WorkdirBusy):
            sync_workdir(Workdir(machine("first"), PLACE), trains=True).__enter__()
        with sync_workdir(Workdir(machine("first"), PLACE)):  # beside it, and so nothing is fetched
            pass
        with pytest.raises(WorkdirBusy):
            sync_workdir(Workdir(machine("second"), PLACE), trains=True).__enter__()
    with sync_workdir(Workdir(machine("second"), PLACE), trains=True):
        pass


def test_a_bucket_writes_nothing_outside_of_its_folder(machine):
    fsspec.filesystem("memory").pipe_file("/bucket/run/../../evil", b"")
    folder = machine("first")
    message = refusal(bucket.Bucket(PLACE).download_file, folder, "../../evil")
    assert message == f"{PLACE}: holds ../../evil, which lies outside the folder; remove it"


def test_a_part_is_fetched_and_sent_alone(machine):
    folder = machine("first")
    write(folder, {"maps/1/a": "a", "maps/1/info": "", "facades/1/b": "b", "facades/1/info": ""})
    upload_folder(PLACE, folder, "maps", "info")
    assert in_bucket() == {"maps/1/a": "a", "maps/1/info": ""}
    upload_folder(PLACE, folder, "", "info")
    download_folder(PLACE, machine("second"), "facades", "info")
    assert held(machine("second")) == {"facades/1/b": "b", "facades/1/info": ""}


def test_what_was_half_sent_is_not_taken_for_whole(machine, monkeypatch):
    folder, memory = machine("first"), fsspec.filesystem("memory")
    write(folder, {"maps/1/a": "a", "maps/1/info": "", "maps/1/z": "z"})
    put = memory.put_file

    def put_some(source, place):
        return unreachable() if place.endswith("z") else put(source, place)

    with monkeypatch.context() as broken:
        broken.setattr(memory.__class__, "put_file", staticmethod(put_some))
        assert "the line is cut" in refusal(upload_folder, PLACE, folder, "maps", "info")
    assert in_bucket() == {"maps/1/a": "a"}
    download_folder(PLACE, machine("second"), "maps", "info")
    assert held(machine("second")) == {}
    upload_folder(PLACE, machine("first"), "maps", "info")
    download_folder(PLACE, machine("second"), "maps", "info")
    assert held(machine("second")) == held(folder)


def test_what_has_ended_a_run_is_told_though_nothing_can_be_sent(machine, monkeypatch, capsys):
    def train():
        with sync_workdir(Workdir(machine("first"), PLACE), trains=True):
            write(machine("first"), {"config.json": "{}"})
            monkeypatch.setattr(fsspec.filesystem("memory").__class__, "put_file", unreachable)
            raise bucket.UsageError("step 5: loss/generator_gan is nan")

    assert refusal(train) == "step 5: loss/generator_gan is nan"
    assert f"NOT UP TO DATE: {PLACE}: cannot be reached" in capsys.readouterr().err


def test_what_vanishes_while_it_is_looked_at_is_left_out(tmp_path, monkeypatch):
    """As a checkpoint that is no longer kept does in another thread."""
    write(tmp_path, {"a": "a", "checkpoints/4/b": "b", ".hidden": "", "d/.hidden/c": ""})
    assert bucket.local_files(tmp_path).keys() == {"a", "checkpoints/4/b"}
    real = bucket.local_version

    def late(path):
        path.unlink()
        return real(path)

    monkeypatch.setattr(bucket, "local_version", late)
    assert bucket.local_files(tmp_path) == {}


@pytest.mark.parametrize("trains", [False, True])
def test_a_damaged_checkpoint_is_fetched_again_and_never_sent(machine, trains):
    first = machine("first")
    with sync_workdir(Workdir(first, PLACE), trains=True):
        write(first, FIRST)
    write(first, {"checkpoints/8/_CHECKPOINT_METADATA": ""})
    with sync_workdir(Workdir(first, PLACE), trains=trains):
        assert held(first) == FIRST
        write(first, {"checkpoints/8/_CHECKPOINT_METADATA": ""})
    assert in_bucket() == FIRST


def test_a_rejected_step_leaves_the_bucket_before_it_is_saved_anew(machine, monkeypatch):
    first, done = machine("first"), []
    with sync_workdir(Workdir(first, PLACE), trains=True):
        write(first, FIRST)
    memory = fsspec.filesystem("memory")
    for name in ("put_file", "rm_file"):
        real = getattr(memory, name)

        def noted(*places, name=name, real=real):
            done.append((name, places[-1].removeprefix("/bucket/run/")))
            return real(*places)

        monkeypatch.setattr(memory.__class__, name, staticmethod(noted))
    with sync_workdir(Workdir(first, PLACE), trains=True):
        (first / "rejected").mkdir()
        (first / "checkpoints/8").rename(first / "rejected/8-0")
        wait_until(lambda: "checkpoints/8/_CHECKPOINT_METADATA" not in in_bucket())
        write(first, {"checkpoints/8/_CHECKPOINT_METADATA": "anew"})
    assert done[:-1] == [  # and the lease
        ("rm_file", "checkpoints/8/_CHECKPOINT_METADATA"),
        ("put_file", "rejected/8-0/_CHECKPOINT_METADATA"),
        ("put_file", "checkpoints/8/_CHECKPOINT_METADATA"),
    ]
    assert in_bucket() == held(first)


def put_there(contents):
    """By hand: nobody has trained it."""
    memory = fsspec.filesystem("memory")
    if memory.exists("/bucket/run"):
        memory.rm("/bucket/run", recursive=True)
    for name, content in contents.items():
        memory.pipe_file(f"/bucket/run/{name}", content.encode())


def test_a_run_that_was_replaced_by_hand_is_followed(machine):
    first = machine("first")
    put_there(FIRST)
    with sync_workdir(Workdir(first, PLACE)):
        assert held(first) == FIRST
    anew = {"config.json": "other", "checkpoints/2/_CHECKPOINT_METADATA": "2"}
    put_there(anew)
    with sync_workdir(Workdir(first, PLACE)):
        assert held(first) == anew
    assert in_bucket() == anew


def test_a_bucket_that_was_emptied_stays_empty_and_nothing_is_lost(machine, capsys):
    first = machine("first")
    with sync_workdir(Workdir(first, PLACE), trains=True):
        write(first, FIRST)
    put_there({})
    with sync_workdir(Workdir(first, PLACE), trains=True):
        assert held(first) == {}
    assert in_bucket() == {}
    (aside,) = first.parent.glob("run.*")
    assert held(aside) == FIRST
    assert str(aside) in capsys.readouterr().out

    def emptied_meanwhile():
        with sync_workdir(Workdir(first, PLACE), trains=True):
            write(first, FIRST)
            wait_until(lambda: in_bucket() == FIRST)
            put_there({})

    assert f"{PLACE}: was emptied; files that were not uploaded are in {first}" in refusal(
        emptied_meanwhile
    )
    assert held(first) == FIRST


def test_who_trained_before_and_follows_now_keeps_what_it_makes(machine, monkeypatch):
    first = machine("first")
    with sync_workdir(Workdir(first, PLACE), trains=True):
        write(first, FIRST)
    with sync_workdir(Workdir(machine("second"), PLACE), trains=True):
        learn_more(machine("second"))
    with sync_workdir(Workdir(machine("first"), PLACE)):
        write(first, {"evaluation_val.json": "1"})
        with sync_workdir(Workdir(first, PLACE)):  # another command meanwhile
            assert held(first) == SECOND | {"evaluation_val.json": "1"}
    assert in_bucket() == SECOND | {"evaluation_val.json": "1"}

    def evaluate():
        with sync_workdir(Workdir(first, PLACE)):
            write(first, {"evaluation_val.json": "2"})

    with monkeypatch.context() as broken:
        broken.setattr(fsspec.filesystem("memory").__class__, "put_file", unreachable)
        refusal(evaluate)
    with sync_workdir(Workdir(first, PLACE)):
        pass
    assert in_bucket() == SECOND | {"evaluation_val.json": "2"}


def test_of_two_that_made_the_same_the_later_has_its_own_aside(machine):
    with sync_workdir(Workdir(machine("first"), PLACE), trains=True):
        write(machine("first"), FIRST)
    second = machine("second")
    with sync_workdir(Workdir(second, PLACE)):
        pass
    write(second, {"evaluation_val.json": "second"})  # by a command that was killed
    with sync_workdir(Workdir(machine("first"), PLACE)):
        write(machine("first"), {"evaluation_val.json": "first"})
    with sync_workdir(Workdir(machine("second"), PLACE)):
        assert held(second) == FIRST | {"evaluation_val.json": "first"}
    (aside,) = second.parent.glob("run.*")
    assert held(aside) == {"evaluation_val.json": "second"}


def test_a_run_that_has_no_config_yet_goes_on(machine):
    """As it ended by a loss that is not finite, before its first line."""
    first = machine("first")
    with sync_workdir(Workdir(first, PLACE), trains=True):
        write(first, {"not_finite.json": "{}"})
    with sync_workdir(Workdir(first, PLACE), trains=True):
        write(first, FIRST)
    assert in_bucket() == FIRST | {"not_finite.json": "{}"}


def test_a_checkpoint_that_goes_while_it_is_fetched_leaves_no_half(machine, monkeypatch):
    first, memory = machine("first"), fsspec.filesystem("memory")
    more = {"checkpoints/4/a": "a", "checkpoints/4/z": "z"}
    with sync_workdir(Workdir(first, PLACE), trains=True):
        write(first, FIRST | more)
    get = memory.get_file

    def get_some(place, path):
        if place.endswith("4/z"):
            raise FileNotFoundError
        return get(place, path)

    monkeypatch.setattr(memory.__class__, "get_file", staticmethod(get_some))
    with sync_workdir(Workdir(machine("second"), PLACE)):
        assert "checkpoints/8/_CHECKPOINT_METADATA" in held(machine("second"))
        assert not (machine("second") / "checkpoints/4").exists()


def test_what_does_not_arrive_as_it_was_sent_is_told_and_sent_again(machine, monkeypatch):
    folder, memory = machine("first"), fsspec.filesystem("memory")

    def cut(source, place):
        memory.pipe_file(place, Path(source).read_bytes()[:-1])

    def train():
        with sync_workdir(Workdir(folder, PLACE), trains=True):
            write(folder, FIRST)

    with monkeypatch.context() as broken:
        broken.setattr(memory.__class__, "put_file", staticmethod(cut))
        assert f"{PLACE}: config.json was damaged by the upload" in refusal(train)
    with sync_workdir(Workdir(folder, PLACE)):
        assert held(folder) == FIRST
    assert in_bucket() == FIRST


class Parts:
    """Of a file that comes with what is to be known of it, to the byte.

    The stand-in's own parser takes a last byte of 13 for a part of the line's end that follows.
    """

    def parsebytes(self, content):
        if b"multipart/related" not in content[:100]:
            return BytesParser().parsebytes(content)
        _, *parts, _ = content.split(b"--==0==")
        pairs = (part.split(b"\n\n", 1) for part in parts)
        payload = [SimpleNamespace(
            get_payload=lambda decode=False, body=body: body.removesuffix(b"\n"),
            get_content_type=lambda head=head: head.decode().partition(": ")[2].strip(),
        ) for head, body in pairs]  # fmt: skip
        return SimpleNamespace(get_payload=lambda: payload)


@contextmanager
def server(monkeypatch):
    """Google's, by a stand-in that knows the same requests."""
    emulator = pytest.importorskip("gcp_storage_emulator.server")
    monkeypatch.setattr(emulator, "BytesParser", Parts)
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    running = emulator.create_server("localhost", port, in_memory=True, default_bucket="bucket")
    running.start()
    try:
        yield f"http://localhost:{port}"
    finally:
        running.stop()


@pytest.mark.slow
def test_killed_on_one_machine_a_run_goes_on_on_another(tiny, straight, tmp_path, monkeypatch):
    """With a workdir and data in a bucket; and other commands find it there."""
    workdir = "gs://bucket/runs/first"
    flags = [flag for flag in tiny if "data_dir" not in flag]
    flags.append("--config.data.data_dir=gs://bucket/data")
    cache = {"JAX_COMPILATION_CACHE_DIR": os.environ["JAX_COMPILATION_CACHE_DIR"]}
    with server(monkeypatch) as address:

        def machine(name):
            (tmp_path / name).mkdir(exist_ok=True)
            return {"HOME": str(tmp_path / name), "STORAGE_EMULATOR_HOST": address} | cache

        status, out, err = train(flags, workdir, 8, **machine("first"))
        assert (status, err) == (0, ""), out
        steps = "--config.train.steps=100000"
        process = start("train", *flags, f"--workdir={workdir}", steps, **machine("killed"))
        assert any("going on from step 8" in line for line in process.stdout)
        process.kill()
        process.communicate()
        status, out, err = train(flags, workdir, 12, **machine("second"))
        assert (status, err) == (0, ""), out
        assert "is still at work there" in out
        there = tmp_path / "second/.cache/pix2pix_jax/buckets/gs/bucket/runs/first"
        assert saved(there, 12) == saved(straight, 12)
        assert metrics(there) == metrics(straight)
        status, out, err = run(
            "translate", f"--workdir={workdir}", f"--input={there}/samples",
            f"--output={tmp_path}/translated", **machine("third"),
        )  # fmt: skip
        assert (status, err) == (0, ""), out
        assert list((tmp_path / "third/.cache/pix2pix_jax/buckets/gs/bucket").glob("data*")) == []
        status, _, err = run("train", "--workdir=gs://nowhere/run", *flags, **machine("first"))
        assert status == 2
        assert len(err.splitlines()) == 1
        assert err.startswith("gs://nowhere/run: cannot be reached")
