"""Error lines print commands that start a new run from the weights of a run."""

import shlex
from dataclasses import replace
from pathlib import Path

import pytest

from pix2pix_jax.cli.main import parse
from pix2pix_jax.config.files import override, read_config, write_config
from pix2pix_jax.config.resolve import resolve
from pix2pix_jax.runs.networks import fits_generator
from pix2pix_jax.runs.restart import (
    advise_new_run,
    init_command,
    next_location,
    user_changes,
)
from pix2pix_jax.runs.workdir import Workdir

CHANGES = {
    "data.image_size": "64",
    "data.load_size": "72,80",
    "data.batch_size": "4",
    "data.source": "my pairs",
    "data.flip": "False",
    "model.discriminator": "pixel",
    "loss.gan": "lsgan",
    "loss.l1_weight": "12.5",
    "optimizer.learning_rate": "1e-5",
    "optimizer.schedule": "linear_decay",
    "seed": "7",
}


@pytest.fixture
def workdir(small, tmp_path):
    """The workdir of a run that has a checkpoint, with a space in its path."""
    workdir = Workdir(tmp_path / "first run")
    write_config(small, workdir.config_file)
    workdir.checkpoint(8).mkdir(parents=True)
    return workdir


def command_config(command, workdir):
    """The config that a printed command makes of the config of the run, and its flags."""
    program, *arguments = shlex.split(command.strip("`"))
    assert program == "pix2pix"
    options, fields = parse(arguments)
    return override(read_config(workdir.config_file), fields), options


def test_the_command_has_every_changed_field(small, workdir):
    small = replace(small, data=replace(small.data, name="folder"))
    write_config(small, workdir.config_file)
    config = resolve(override(small, CHANGES))
    command = init_command(workdir, config)
    found, options = command_config(command, workdir)
    assert found == config
    assert options.init == str(workdir)
    assert options.workdir.path == workdir.path.with_name("first run_2")


def test_the_command_names_a_length_in_epochs_and_a_free_workdir(small, workdir):
    workdir.path.with_name("first run_2").mkdir()
    config = override(small, {"train.epochs": "3"})
    found, options = command_config(init_command(workdir, config, step=8), workdir)
    assert found == config
    assert options.init == f"{workdir}:8"
    assert options.workdir.path.name == "first run_3"


def test_a_run_in_a_bucket_keeps_its_address(small, workdir):
    in_bucket = Workdir(workdir.path, "gs://bucket/a")
    command = init_command(in_bucket, replace(small, seed=3))
    assert command == (
        "`pix2pix train --init=gs://bucket/a --workdir=gs://bucket/a_2 --config.seed=3`"
    )


@pytest.mark.parametrize("field", ["model.features=16", "model.depth=5", "data.target_channels=1"])
def test_a_generator_with_other_arrays_gets_no_command_to_continue(small, workdir, field):
    name, _, value = field.partition("=")
    config = resolve(override(small, {name: value}))
    assert not fits_generator(small, config)
    assert advise_new_run(workdir, config).startswith("give another --workdir, such as")


@pytest.mark.parametrize("field", ["model.norm=instance", "model.dropout=0", "loss.gan=none"])
def test_a_generator_with_equal_arrays_gets_a_command_to_continue(small, workdir, field):
    name, _, value = field.partition("=")
    config = resolve(override(small, {name: value}))
    assert advise_new_run(workdir, config).startswith("continue from its weights in a new run with")
    assert list(user_changes(small, config)) == [name]


def test_a_run_without_checkpoints_gets_no_command_to_continue(small, workdir):
    workdir.checkpoint(8).rmdir()
    assert advise_new_run(workdir, replace(small, seed=1)).startswith("give another --workdir")


@pytest.mark.parametrize(
    ("path", "expected"), [(".", "run_2"), ("a/..", "run_2"), ("..", "x_2"), ("./a", "a_2")]
)
def test_the_next_workdir_of_a_path_without_a_name_has_the_name_of_its_folder(
    tmp_path, monkeypatch, path, expected
):
    folder = tmp_path / "x" / "run"
    (folder / "a").mkdir(parents=True)
    monkeypatch.chdir(folder)
    found = Path(next_location(Workdir.parse(path))).absolute()
    assert found.name == expected
    assert found.parent in (tmp_path, tmp_path / "x", folder)
    assert next_location(Workdir.parse("/")) == "/_2"
