"""Implementations for the tests of `benchmark`: some log every run, and others fail."""

import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from pix2pix_jax.benchmark.worker import Trial
from pix2pix_jax.errors import UsageError


def logging_trial(name: str, steps: int = 1, sizes: tuple[int, int] = (3, 2)) -> Trial:
    """Makes a trial whose runs append `name` and their steps to the file that $TRIALS names."""

    def run(count: int) -> None:
        with Path(os.environ["TRIALS"]).open("a") as log:
            log.write(f"{name} {count}\n")

    return Trial(run, steps, weights_of(*sizes), lambda: 5 * 2**20, ["cpu"])


def weights_of(*sizes: int) -> Callable[[], tuple]:
    """A function that returns parameters of networks of these sizes, in two arrays each."""
    return lambda: tuple([np.ones((size - 1, 1)), np.ones(1)] for size in sizes)


def first(config):
    return logging_trial("first")


def second(config):
    return logging_trial("second", steps=4)


def other(config):
    return logging_trial("other", sizes=(3, 1))


def elsewhere(config):
    return replace(logging_trial("elsewhere"), devices=["gpu"])


def broken(config):
    raise ValueError("no such thing\nand more")


def tiring(config):
    turns = iter(range(4))  # three runs before the turns, and one turn

    def run(steps):
        if next(turns, None) is None:
            raise RuntimeError("no more")

    return Trial(run, 1, weights_of(3, 2), lambda: 0, ["cpu"])


def refusing(config):
    raise UsageError("data.batch_size: no")


def sleeping(config):
    time.sleep(600)


def ending(config):
    os._exit(3)


def killed(config):
    os.kill(os.getpid(), signal.SIGKILL)
