"""Runs and data in a bucket: all is there that a new machine needs, and nothing is lost."""

import os
import shutil
import socket
import threading
from contextlib import contextmanager

import fsspec
import pytest
from command_line import metrics, run, saved, start, train
from conftest import refusal

from pix2pix_jax import bucket, files, lease, mirror
from pix2pix_jax.bucket import fetch, send
from pix2pix_jax.files import local
from pix2pix_jax.guards import Occupied
from pix2pix_jax.mirror import mirrored

PLACE = "memory://bucket/run"


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Makes this machine another one, which has no files yet."""
    monkeypatch.setattr(lease, "BEAT", 0.05)
    monkeypatch.setattr(lease, "DEAD", 0.5)
    monkeypatch.setattr(mirror, "EVERY", 0.05)

    def named(name):
        for module in (files, bucket):
            monkeypatch.setattr(module, "MIRRORS", tmp_path / name)
        monkeypatch.setattr(lease, "_host", lambda: name)
        return local(PLACE)

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
    with mirrored(folder, trains=True):
        write(folder, FIRST)
        write(folder, {"checkpoints/12.orbax-checkpoint-tmp/_CHECKPOINT_METADATA": "half"})
    assert in_bucket() == FIRST
    with mirrored(machine("second"), trains=True):
        assert held(machine("second")) == FIRST


def test_what_is_new_is_sent_while_it_comes_and_what_is_not_kept_goes(machine):
    folder = machine("first")
    until = threading.Event()
    with mirrored(folder, trains=True):
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
    with mirrored(machine("first"), trains=True):
        assert held(folder) == later


def test_files_that_are_gone_here_stay_in_the_bucket(machine):
    folder = machine("first")
    with mirrored(folder, trains=True):
        write(folder, FIRST)
    with mirrored(folder, trains=True):
        shutil.rmtree(folder)
    assert in_bucket() == FIRST


def further(folder):
    """Another checkpoint, in place of the first."""
    with mirrored(folder, trains=True):
        write(folder, {"checkpoints/12/_CHECKPOINT_METADATA": "12"})
        shutil.rmtree(folder / "checkpoints/4")


def test_the_machine_that_is_ahead_goes_on_and_the_others_follow(machine, monkeypatch):
    folder = machine("first")
    with mirrored(folder, trains=True):
        write(folder, FIRST)
    with monkeypatch.context() as broken:
        broken.setattr(fsspec.filesystem("memory").__class__, "put_file", unreachable)
        assert "the line is cut" in refusal(further, folder)
    assert in_bucket() == FIRST
    with mirrored(folder, trains=True):
        assert "checkpoints/12/_CHECKPOINT_METADATA" in held(folder)
    assert in_bucket() == held(folder)
    second = machine("second")
    with mirrored(second, trains=True):
        assert held(second) == in_bucket()
        write(second, {"checkpoints/16/_CHECKPOINT_METADATA": "16", "metrics.jsonl": "1\n2\n"})
        shutil.rmtree(second / "checkpoints/8")
    first = machine("first")
    with mirrored(first, trains=True):
        assert held(first) == held(second)


def test_lines_that_could_not_be_sent_are_there_when_it_goes_on(machine, monkeypatch):
    folder, memory = machine("first"), fsspec.filesystem("memory")
    put = memory.put_file

    def put_some(source, place):
        return unreachable() if place.endswith("jsonl") else put(source, place)

    def train():
        with mirrored(folder, trains=True):
            write(folder, FIRST)

    with monkeypatch.context() as broken:
        broken.setattr(memory.__class__, "put_file", staticmethod(put_some))
        assert "the line is cut" in refusal(train)
    assert in_bucket() == {"config.json": "{}"}  # no checkpoint without its lines
    with mirrored(folder, trains=True):
        assert held(folder) == FIRST


def test_where_others_went_on_what_was_not_sent_is_set_aside(machine, monkeypatch, capsys):
    folder = machine("first")
    with mirrored(folder, trains=True):
        write(folder, FIRST)
    with monkeypatch.context() as broken:
        broken.setattr(fsspec.filesystem("memory").__class__, "put_file", unreachable)
        refusal(further, folder)
    fsspec.filesystem("memory").rm("/bucket/run", recursive=True)
    second = machine("second")
    anew = {"config.json": "other", "checkpoints/2/_CHECKPOINT_METADATA": "2"}
    with mirrored(second, trains=True):
        write(second, anew)
    folder = machine("first")
    with mirrored(folder):  # who only looks has what is there, and sends nothing old
        assert held(folder) == anew
    assert in_bucket() == anew
    assert "another machine went on; what was not sent" in capsys.readouterr().out
    (aside,) = folder.parent.glob("run.*")
    assert "checkpoints/12/_CHECKPOINT_METADATA" in held(aside)


def test_who_only_looks_sends_what_it_wrote_and_leaves_half_a_checkpoint(machine):
    fsspec.filesystem("memory").pipe_file("/bucket/run/checkpoints/12/state", b"half")
    with mirrored(machine("first"), trains=True):
        write(machine("first"), FIRST)
    second = machine("second")
    with mirrored(second):
        assert held(second) == FIRST
        write(second, {"evaluation_val.json": "{}"})
    half = {"checkpoints/12/state": "half"}
    assert in_bucket() == FIRST | half | {"evaluation_val.json": "{}"}


def test_what_who_only_looks_could_not_send_is_sent_by_the_next(machine, monkeypatch):
    """As of an import, into a bucket that is empty yet."""
    folder = machine("first")

    def write_first():
        with mirrored(folder):
            write(folder, FIRST)

    with monkeypatch.context() as broken:
        broken.setattr(fsspec.filesystem("memory").__class__, "put_file", unreachable)
        assert "the same command sends it" in refusal(write_first)
    with mirrored(folder):
        assert held(folder) == FIRST
    assert in_bucket() == FIRST


def test_what_was_half_fetched_is_fetched_anew_and_nothing_set_aside(machine):
    with mirrored(machine("first"), trains=True):
        write(machine("first"), FIRST)
    second = machine("second")
    write(second, {"config.json": "{}", "checkpoints/4/half": ""})
    with mirrored(second, trains=True):
        assert held(second) == FIRST
    assert [path.name for path in second.parent.iterdir() if path.name[0] != "."] == ["run"]


def unreachable(*_, **__):
    raise OSError("the line is cut\nfor long")


def test_a_bucket_that_cannot_be_reached_is_told(machine, monkeypatch, capsys):
    folder = machine("first")
    monkeypatch.setattr(fsspec.filesystem("memory").__class__, "put_file", unreachable)
    said = []
    monkeypatch.setattr(mirror, "tell", lambda text, _: said.append(text))

    def train():
        with mirrored(folder, trains=True):
            write(folder, {"config.json": "{}"})
            while not said:
                threading.Event().wait(0.01)

    message = refusal(train)
    assert said == [f"NOT UP TO DATE: {message}"]
    assert message == (
        f"{PLACE}: cannot be reached (the line is cut); what is not there yet is in {folder}, "
        "and the same command sends it"
    )
    assert held(folder) == {"config.json": "{}"}


def test_one_machine_trains_at_a_time_and_others_may_look(machine):
    with mirrored(machine("first"), trains=True):
        write(machine("first"), {"config.json": "{}"})
        with pytest.raises(Occupied):
            mirrored(machine("first"), trains=True).__enter__()
        with mirrored(machine("first")):  # beside it, and so nothing is fetched
            pass
        with pytest.raises(Occupied):
            mirrored(machine("second"), trains=True).__enter__()
    with mirrored(machine("second"), trains=True):
        pass


def test_a_bucket_writes_nothing_outside_of_its_folder(machine):
    fsspec.filesystem("memory").pipe_file("/bucket/run/../../evil", b"")
    folder = machine("first")
    known = {"../../evil": {"size": 0}}
    message = refusal(bucket.fetch_these, bucket.bucket_of(folder), folder, known)
    assert message == f"{PLACE}: holds ../../evil, which lies outside of it; remove it"


def test_a_part_is_fetched_and_sent_alone(machine):
    folder = machine("first")
    write(folder, {"maps/1/a": "a", "maps/1/info": "", "facades/1/b": "b", "facades/1/info": ""})
    send(folder, "maps", "info")
    assert in_bucket() == {"maps/1/a": "a", "maps/1/info": ""}
    send(folder, "", "info")
    fetch(machine("second"), "facades", "info")
    assert held(machine("second")) == {"facades/1/b": "b", "facades/1/info": ""}


def test_what_was_half_sent_is_not_taken_for_whole(machine, monkeypatch):
    folder, memory = machine("first"), fsspec.filesystem("memory")
    write(folder, {"maps/1/a": "a", "maps/1/info": "", "maps/1/z": "z"})
    put = memory.put_file

    def put_some(source, place):
        return unreachable() if place.endswith("z") else put(source, place)

    with monkeypatch.context() as broken:
        broken.setattr(memory.__class__, "put_file", staticmethod(put_some))
        assert "the line is cut" in refusal(send, folder, "maps", "info")
    assert in_bucket() == {"maps/1/a": "a"}
    fetch(machine("second"), "maps", "info")
    assert held(machine("second")) == {}
    send(machine("first"), "maps", "info")
    fetch(machine("second"), "maps", "info")
    assert held(machine("second")) == held(folder)


def test_what_has_ended_a_run_is_told_though_nothing_can_be_sent(machine, monkeypatch, capsys):
    def train():
        with mirrored(machine("first"), trains=True):
            write(machine("first"), {"config.json": "{}"})
            monkeypatch.setattr(fsspec.filesystem("memory").__class__, "put_file", unreachable)
            raise bucket.UsageError("step 5: loss/generator_gan is nan")

    assert refusal(train) == "step 5: loss/generator_gan is nan"
    assert f"NOT UP TO DATE: {PLACE}: cannot be reached" in capsys.readouterr().err


@contextmanager
def server():
    """Google's, by a stand-in that knows the same requests."""
    emulator = pytest.importorskip("gcp_storage_emulator.server")
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
def test_killed_on_one_machine_a_run_goes_on_on_another(tiny, straight, tmp_path):
    """With a workdir and data in a bucket; and other commands find it there."""
    workdir = "gs://bucket/runs/first"
    flags = [flag for flag in tiny if "data_dir" not in flag]
    flags.append("--config.data.data_dir=gs://bucket/data")
    cache = {"JAX_COMPILATION_CACHE_DIR": os.environ["JAX_COMPILATION_CACHE_DIR"]}
    with server() as address:

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
