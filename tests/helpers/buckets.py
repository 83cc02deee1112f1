"""Writes and reads the files of a run, in a workdir and in a bucket."""

import shutil
import time

import fsspec

from pix2pix_jax.remote.sync import sync_workdir
from pix2pix_jax.runs.workdir import Workdir

ADDRESS = "memory://bucket/run"  # a bucket in memory, which behaves like gs://

FIRST_FILES = {
    "config.json": "{}",
    "metrics.jsonl": "1\n",
    "checkpoints/4/_CHECKPOINT_METADATA": "4",
    "checkpoints/8/_CHECKPOINT_METADATA": "8",
}

SECOND_FILES = {
    "config.json": "{}",
    "metrics.jsonl": "1\n2\n3\n",
    "checkpoints/8/_CHECKPOINT_METADATA": "8",
    "checkpoints/12/_CHECKPOINT_METADATA": "12",
}


def write_files(folder, contents):
    """Writes texts to the files of a folder."""
    for name, content in contents.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


def visible_files(folder):
    """The texts of the files of a folder, without hidden files."""
    return {
        str(path.relative_to(folder)): path.read_text()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith(".")
    }


def bucket_files():
    """The texts of the files of the run in the bucket, without hidden files."""
    memory = fsspec.filesystem("memory")
    place = ADDRESS.removeprefix("memory:/")
    return {
        name.removeprefix(f"{place}/"): memory.cat_file(name).decode()
        for name in memory.find(place)
        if "/." not in name
    }


def wait_until(is_true):
    """Waits until a condition holds; fails after 30 s."""
    end = time.monotonic() + 30
    while not is_true():
        assert time.monotonic() < end
        time.sleep(0.01)


def train_further(folder):
    """Changes a workdir as a resumed run does: writes newer files, and removes a checkpoint."""
    write_files(folder, SECOND_FILES)
    shutil.rmtree(folder / "checkpoints/4")


def replace_first_checkpoint(folder):
    """Changes the run as training does: a new checkpoint replaces the first checkpoint."""
    with sync_workdir(Workdir(folder, ADDRESS), trains=True):
        write_files(folder, {"checkpoints/12/_CHECKPOINT_METADATA": "12"})
        shutil.rmtree(folder / "checkpoints/4")


def raise_unreachable(*_, **__):
    """Stands for a method of the bucket while the network is down."""
    raise OSError("the line is cut\nfor long")


def replace_bucket(contents):
    """Replaces the run in the bucket without `sync_workdir`, so that no session is recorded."""
    memory = fsspec.filesystem("memory")
    if memory.exists("/bucket/run"):
        memory.rm("/bucket/run", recursive=True)
    for name, content in contents.items():
        memory.pipe_file(f"/bucket/run/{name}", content.encode())
