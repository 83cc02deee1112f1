"""Starts commands in their own processes, and reads the files of a run."""

import io
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import jax
import numpy as np
import orbax.checkpoint as ocp
from helpers.fork_server import ForkedProcess, ForkServer
from PIL import Image

from pix2pix_jax.runs.metrics_log import read_metrics
from pix2pix_jax.training.metrics.tensorboardx import Event, SessionLog

ROOT = Path(__file__).parents[2]
TINY = (
    "--config.data.image_size=32",
    "--config.data.load_size=36",
    "--config.data.flip=True",
    "--config.data.synthetic_pairs=6,2,2",
    "--config.model.features=8",
    "--config.model.depth=4",
    "--config.model.discriminator=patch16",
    "--config.model.discriminator_features=8",
    "--config.optimizer.schedule=constant",
    "--config.train.steps_per_call=1",
    "--config.train.log_every=4",
    "--config.train.checkpoint_every=4",
    "--config.train.sample_every=8",
    "--config.train.samples=1",
    "--config.train.keep=2",
)


def start(*arguments, fork=True, **environment):
    """Starts a process of the command line, on one device.

    With fork=False, the process is a new Python, which imports the modules in the command's order.
    """
    arguments, environment = list(map(str, arguments)), os.environ | environment
    if fork and sys.platform == "linux" and (server := fork_server()).can_start(environment):
        return ForkedProcess(server, arguments, cwd=ROOT, env=environment, text=True)
    return subprocess.Popen(
        [sys.executable, "-m", "pix2pix_jax", *arguments],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


fork_server = cache(ForkServer)


def run(*arguments, **environment):
    process = start(*arguments, **environment)
    out, err = process.communicate()
    return process.returncode, out, err


def train(tiny_flags, workdir, steps, *more, **environment):
    steps = f"--config.train.steps={steps}"
    return run("train", *tiny_flags, f"--workdir={workdir}", steps, *more, **environment)


def refused(expected, *arguments):
    status, _, err = run(*arguments)
    assert status == 2
    assert len(err.splitlines()) == 1, err
    assert expected in err


def saved_arrays(workdir, step):
    """Every bit of the parameters and of the optimizer's state, by item, path, shape and dtype."""
    bits = {}
    for item in ("generator", "discriminator", "optimizer"):
        with ocp.StandardCheckpointer() as reader:
            tree = reader.restore(workdir / "checkpoints" / str(step) / item)
        for path, leaf in jax.tree.leaves_with_path(tree):
            name = f"{item}{jax.tree_util.keystr(path)} {leaf.shape} {leaf.dtype}"
            bits[name] = np.asarray(leaf).tobytes()
    return bits


def metrics(workdir):
    """All metrics of a run but the speed, by step."""
    lines = read_metrics(workdir / "metrics.jsonl")
    return {
        line["step"]: {k: v for k, v in line.items() if k != "images_per_second"} for line in lines
    }


def events(workdir):
    """The events that TensorBoard would read: the (step, tag) of all files, in order."""
    steps_and_tags = []
    for path in sorted((workdir / "tensorboard").iterdir()):
        content = path.read_bytes()
        # A record has a length, a checksum of the length, an event, and a checksum of the event.
        while content:
            length = int.from_bytes(content[:8], "little")
            if len(content) < length + 16:
                break  # an event was cut short when the disk was full
            event = Event.FromString(content[12 : 12 + length])
            steps_and_tags += [(event.step, value.tag) for value in event.summary.value]
            if event.session_log.status == SessionLog.START:
                steps_and_tags.append((event.step, "forget from here"))
            content = content[16 + length :]
    return steps_and_tags


def jpeg(width=64, height=32):
    file = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    Image.fromarray(noise).save(file, "JPEG")
    return file.getvalue()


def folder_of(tmp_path, files):
    for name, content in files.items():
        path = tmp_path / "pairs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return f"--config.data.source={tmp_path / 'pairs'}"
