"""A first try on a part of the pairs, and runs that keep every checkpoint."""

import json
import shutil

import pytest
from helpers.command_line import TINY, run, saved_arrays

from pix2pix_jax.config import Data
from pix2pix_jax.data.prepare import prepare
from pix2pix_jax.data.records import count_pairs, open_split
from pix2pix_jax.runs.workdir import Workdir


def train(workdir, *flags):
    return run(
        "train", "--config=experiments/synthetic_facades.py", f"--workdir={workdir}", *TINY,
        "--config.train.log_every=1", *flags,
    )  # fmt: skip


def test_a_split_can_be_limited_to_its_first_records(tmp_path):
    dataset = prepare(Data(synthetic_pairs=(6, 3, 2), image_size=(32, 32), data_dir=str(tmp_path)))
    names = [record["name"] for record in open_split(dataset, "train")]
    for limit, count in ((4, 4), (6, 6), (100, 6), (None, 6)):
        records = open_split(dataset, "train", limit)
        assert [records[i]["name"] for i in range(len(records))] == names[:count]
        assert count_pairs(dataset, "train", limit) == count
    assert count_pairs(dataset, "val", 2) == len(open_split(dataset, "val", 2)) == 2


@pytest.fixture(scope="module")
def limited(tmp_path_factory):
    """The workdir of two epochs of three of six pairs, and what the command printed."""
    workdir = tmp_path_factory.mktemp("limited") / "run"
    limit = ("--config.data.max_pairs=3", "--config.train.epochs=2")
    status, out, err = train(workdir, *limit, "--config.train.checkpoint_every=1",
                             "--config.train.keep=0")  # fmt: skip
    assert status == 0, err
    return workdir, out


def test_max_pairs_limits_the_training_and_its_epochs(limited):
    workdir, out = limited
    assert "starting, 2 epochs of 3 pairs from " in out
    assert " with 6 pairs (data.max_pairs)" in out
    assert json.loads((workdir / "config.json").read_text())["train"]["steps"] == 6


def test_a_limited_run_resumes_only_with_its_limit(limited):
    workdir, _ = limited
    status, out, _ = train(workdir, "--config.data.max_pairs=3", "--config.train.epochs=2")
    assert (status, "nothing is left to do" in out) == (0, True)
    status, _, err = train(workdir, "--config.data.max_pairs=4", "--config.train.epochs=2")
    assert status == 2
    assert "belongs to a run with another data.max_pairs" in err


def test_an_evaluation_can_use_all_pairs_of_a_limited_run(limited):
    workdir, _ = limited
    for flag, images in (("1", 1), ("None", 2)):
        flags = f"--workdir={workdir}", f"--config.data.max_pairs={flag}", "--no_fcn_score"
        status, _, err = run("evaluate", *flags)
        assert status == 0, err
        assert json.loads((workdir / "evaluation_val.json").read_text())["images"] == images


def test_with_keep_0_every_checkpoint_stays(limited):
    assert Workdir(limited[0]).checkpoint_steps() == [1, 2, 3, 4, 5, 6]


def test_a_run_that_resumes_in_the_middle_of_a_decay_per_epoch_has_equal_bits(tmp_path):
    """The PyTorch code's schedule; the run stops within its second last epoch."""
    flags = (
        "--config.train.epochs=4", "--config.train.decay_epochs=3", "--config.data.batch_size=2",
        "--config.optimizer.schedule=linear_decay", "--config.optimizer.decay_per=epoch",
        "--config.data.max_pairs=5", "--config.train.checkpoint_every=2",
        "--config.train.keep=0",
    )  # fmt: skip
    whole, halves = tmp_path / "whole", tmp_path / "halves"
    status, _, err = train(whole, *flags)
    assert status == 0, err
    config = json.loads((whole / "config.json").read_text())["train"]
    assert (config["steps"], config["num_pairs"], config["decay_epochs"]) == (10, 5, 3)
    shutil.copytree(whole, halves)
    for step in (8, 10):
        shutil.rmtree(halves / "checkpoints" / str(step))
    status, out, err = train(halves, *flags)
    assert (status, "resuming from step 6" in out) == (0, True), err
    assert saved_arrays(halves, 10) == saved_arrays(whole, 10)
    generators = [saved_arrays(whole, step) for step in (6, 8, 10)]
    parameters = [
        {name: bits for name, bits in arrays.items() if "optimizer" not in str(name)}
        for arrays in generators
    ]
    assert parameters[0] != parameters[1] == parameters[2]  # The last epoch has the rate 0.


def test_a_run_without_shuffle_resumes_with_equal_bits_and_keeps_every_checkpoint(tmp_path):
    """The best checkpoint is found among all."""
    flags = (
        "--config.data.shuffle=False", "--config.train.checkpoint_every=2", "--config.train.keep=0",
        "--config.train.evaluate_every=2", "--config.train.steps=8",
    )  # fmt: skip
    whole, halves = tmp_path / "whole", tmp_path / "halves"
    status, out, err = train(whole, *flags)
    assert status == 0, err
    steps = Workdir(whole).checkpoint_steps()
    assert steps == [2, 4, 6, 8]
    shutil.copytree(whole, halves)
    shutil.rmtree(halves / "checkpoints" / "8")
    shutil.rmtree(halves / "checkpoints" / "6")
    status, resumed, err = train(halves, *flags)
    assert (status, "resuming from step 4" in resumed) == (0, True), err
    assert saved_arrays(halves, 8) == saved_arrays(whole, 8)
    lines = [json.loads(line) for line in (whole / "metrics.jsonl").read_text().splitlines()]
    scores = {line["step"]: line["evaluation/l1"] for line in lines if "evaluation/l1" in line}
    assert f"best by l1 is step {min(scores, key=scores.get)}" in out
