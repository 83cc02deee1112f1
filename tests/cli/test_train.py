"""`pix2pix train --init` chooses the config and checks the other run before it writes anything."""

import pytest
from helpers.refusals import refusal

from pix2pix_jax.cli.main import parse
from pix2pix_jax.cli.train import load_training_config
from pix2pix_jax.config.files import override, write_config
from pix2pix_jax.config.resolve import resolve


@pytest.fixture
def old(small, tmp_path):
    """The workdir of a run that itself started from another run, on two images for each norm."""
    fields = {"train.init": "/elsewhere:4", "model.norm_images": "2", "data.batch_size": "2"}
    write_config(override(small, fields), tmp_path / "old" / "config.json")
    (tmp_path / "old" / "checkpoints").mkdir()
    return tmp_path / "old"


def load(*arguments):
    return load_training_config(*parse(["train", *map(str, arguments)]))


def test_a_new_run_with_init_alone_has_the_config_of_the_other_run(small, old, tmp_path):
    config = load(f"--init={old}:8", f"--workdir={tmp_path}/new", "--config.optimizer.b1=0.25")
    changes = {"train.init": f"{old}:8", "optimizer.b1": "0.25", "data.batch_size": "2"}
    assert config == override(small, changes)


def test_a_run_that_exists_keeps_its_own_config(small, old, tmp_path):
    """The same command resumes the new run."""
    write_config(override(small, {"seed": "9"}), tmp_path / "new" / "config.json")
    config = load(f"--init={old}", f"--workdir={tmp_path}/new")
    assert config == override(small, {"seed": "9", "train.init": str(old)})


def test_an_experiment_replaces_the_config_of_the_other_run(old, tmp_path):
    write_config(
        override(load("--config=experiments/folder.py"), {"seed": "3"}), tmp_path / "c.json"
    )
    config = load(f"--config={tmp_path}/c.json", f"--init={old}", f"--workdir={tmp_path}/new")
    assert (config.seed, config.train.init) == (3, str(old))


def test_a_place_that_is_not_a_run_is_refused_with_the_fix(old, tmp_path):
    message = refusal(load, f"--init={tmp_path}/olt", f"--workdir={tmp_path}/new")
    assert message.startswith(
        f"--init: {tmp_path}/olt has no config.json, so it is not the workdir"
    )
    assert f"such as {old}" in message
    (tmp_path / "net_G.pth").touch()
    message = refusal(load, f"--init={tmp_path}/net_G.pth", f"--workdir={tmp_path}/new")
    assert f"`pix2pix import --weights={tmp_path}/net_G.pth --workdir=runs/imported`" in message
    message = refusal(load, "--init=", f"--workdir={tmp_path}/new")
    assert message == "--init: is empty; give the workdir of a run, or leave out --init"


def test_init_without_a_workdir_asks_for_the_workdir(old):
    assert refusal(load, f"--init={old}").startswith("--workdir: is missing; give a folder")


def test_an_init_that_is_not_utf8_is_refused(small, tmp_path):
    message = refusal(load, "--init=runs/\udcff", f"--workdir={tmp_path}/new")
    assert message.startswith("--init: ")
    assert message.endswith("has a name that is not UTF-8; use another name")
    config = override(small, {"train.init": "runs/\udcff"})
    assert refusal(resolve, config).endswith("has a name that is not UTF-8; use another name")
