"""A new run starts from another run; if its generator does not fit, one line says how it will."""

import re
import shlex
from dataclasses import replace

import pytest
from helpers.command_line import ROOT
from helpers.pairs import make_images
from helpers.refusals import refusal
from helpers.states import state_of
from helpers.steps import assert_equal

from pix2pix_jax.checkpoints.info import Totals
from pix2pix_jax.checkpoints.store import Checkpoint, CheckpointStore
from pix2pix_jax.cli.main import parse, run_command
from pix2pix_jax.cli.train import load_training_config
from pix2pix_jax.config import Config, Data, Model
from pix2pix_jax.config.files import override, read_config, write_config
from pix2pix_jax.config.resolve import resolve
from pix2pix_jax.gan.networks import make_generator
from pix2pix_jax.runs.networks import fields_of_generator_arrays, fits_generator
from pix2pix_jax.runs.workdir import Workdir
from pix2pix_jax.training.initial_state import check_initial_run
from pix2pix_jax.training.preparation import prepare_config

FOLDER = f"--config={ROOT}/experiments/folder.py:my_pairs"
# The batch is divisible by the four devices of the tests.
SMALL = ("--config.model.discriminator_features=4", "--config.data.batch_size=4")


@pytest.fixture
def place(tmp_path, monkeypatch):
    """The current folder, with pairs in my_pairs/."""
    make_images(tmp_path / "my_pairs", [f"{index}.png" for index in range(4)])
    monkeypatch.chdir(tmp_path)
    return tmp_path


def save_run(fields):
    """Saves a run at 64x64 with a U-Net of depth 6, changed by `fields`, as runs/theirs."""
    base = Config(
        data=Data(image_size=(64, 64)),
        model=Model(features=4, discriminator="patch16", discriminator_features=4),
    )
    config, workdir = resolve(override(base, fields)), Workdir.parse("runs/theirs")
    write_config(config, workdir.config_file)
    with CheckpointStore(workdir, keep=1, best_metric="l1") as store:
        store.save(Checkpoint(state_of(config), Totals(), "other pairs"))
    return config


def start(*flags):
    """Runs all checks of `pix2pix train --init` up to the dataset; the config of the new run."""
    flags = (FOLDER, *SMALL, "--init=runs/theirs", "--workdir=runs/new", *flags)
    options, fields = parse(["train", *flags])
    config = prepare_config(load_training_config(options, fields), options.workdir)
    check_initial_run(config, options.workdir)
    return config


NETWORKS = {
    "depth and features": ({}, []),
    "a norm where its size has none": ({"model.bottleneck_norm": "True"}, []),
    "no norm where another size has one": ({"model.bottleneck_norm": "False"}, []),
    "fewer layers": ({"model.depth": "3"}, []),
    "one channel": ({"data.input_channels": "1", "data.target_channels": "1"}, []),
    "no skip connections": ({"model.generator": "encoder_decoder"}, []),
    "no norms": ({"model.norm": "none"}, []),
    "norms only here": ({}, ["model.norm=none"]),
    "norms without scales": ({"model.norm_affine": "False"}, []),
    "biases": ({"model.bias": "all"}, ["model.bias=last"]),
    "a size that the depth does not divide": ({}, ["data.image_size=48,80"]),
    "a load_size that is too small then": ({}, ["data.image_size=48", "data.load_size=48"]),
    "a large discriminator": ({}, ["data.image_size=40", "model.discriminator=patch34"]),
    "an explicit depth": ({}, ["model.depth=4", "model.features=8"]),
}


@pytest.mark.parametrize("case", NETWORKS)
def test_the_printed_flags_make_the_generator_fit_at_once(place, case):
    theirs, flags = NETWORKS[case]
    old = save_run(theirs)
    flags = [f"--config.{flag}" for flag in flags]
    message = refusal(start, *flags)
    assert message.startswith("--init: the generator of runs/theirs does not fit, because ")
    printed = shlex.split(re.fullmatch(r".*; give (.*), or leave out --init", message)[1])
    new = start(*flags, *printed)  # The last of two equal flags counts.
    assert fits_generator(old, new)
    if old.model.norm != "none":  # Without norms, the field has no meaning.
        assert make_generator(new).bottleneck_norm == make_generator(old).bottleneck_norm


def test_a_generator_with_channels_that_no_image_has_cannot_be_trained(place):
    save_run({"data.input_channels": "2"})
    message = refusal(start)
    assert message.startswith(
        "--init: the generator of runs/theirs cannot be trained here, because"
    )
    assert "data.input_channels is 2 in that run and 3 in this run" in message
    assert message.endswith("; leave out --init")


def test_lines_show_relative_paths_and_the_config_has_absolute_paths(place):
    save_run({})
    config = start("--config.model.features=4", "--config.model.depth=6",
                   "--config.model.bottleneck_norm=False")  # fmt: skip
    assert config.train.init == f"{place}/runs/theirs"
    assert config.data.source == f"{place}/my_pairs"
    flags = (FOLDER, *SMALL, f"--init={place}/runs/theirs", f"--workdir={place}/runs/new")
    options, fields = parse(["train", *flags])
    config = prepare_config(load_training_config(options, fields), options.workdir)
    message = refusal(check_initial_run, config, options.workdir)
    assert message.startswith(f"--init: the generator of {place}/runs/theirs does not fit")


def test_a_missing_source_is_refused_before_a_command_that_names_it(place):
    """The command could not run either."""
    old = save_run({})
    data = replace(old.data, name="folder", source=f"{place}/my_pairs", data_dir=f"{place}/data")
    write_config(replace(old, data=data), place / "runs" / "theirs" / "config.json")
    for spec, fix in (("my_pair", f"did you mean {place}/my_pairs?"), ("zzz", "correct the path")):
        options, fields = parse(
            ["train", FOLDER.replace("my_pairs", spec), "--workdir=runs/theirs", *SMALL]
        )
        config = load_training_config(options, fields)
        message = refusal(prepare_config, config, options.workdir)
        assert message == f"data.source: {place}/{spec} does not exist; {fix}"


@pytest.mark.slow
def test_the_printed_flags_train_the_generator(place, capsys):
    old = save_run({"model.bottleneck_norm": "False"})
    flags = ["train", FOLDER, *SMALL, "--init=runs/theirs", "--workdir=runs/new"]
    fields = ("data.data_dir=data", "train.steps=1", "data.image_size=64", "model.depth=5")
    flags += [f"--config.{field}" for field in (*fields, "model.discriminator=patch16")]
    assert run_command(flags) == 2
    message = capsys.readouterr().err.strip()
    printed = shlex.split(re.fullmatch(r".*; give (.*), or leave out --init", message)[1])
    assert run_command([*flags, *printed]) == 0
    out = capsys.readouterr().out
    assert "starts with the generator, the discriminator and their optimizers from step 0 of" in out
    assert "of runs/theirs\n" in out
    new = read_config(place / "runs" / "new" / "config.json")
    assert new.train.init == f"{place}/runs/theirs:0"
    assert_equal(fields_of_generator_arrays(new), fields_of_generator_arrays(old))
