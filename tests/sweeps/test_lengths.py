"""The variants of a sweep may give their length in epochs."""

from dataclasses import replace

from helpers.pairs import folder_data, make_images

from pix2pix_jax.config import Config, Data, Train
from pix2pix_jax.config.resolve import resolve
from pix2pix_jax.data.pair_names import list_pair_names
from pix2pix_jax.data.prepare import prepare
from pix2pix_jax.runs.workdir import SweepFolder
from pix2pix_jax.sweeps import sweep as sweep_module
from pix2pix_jax.sweeps.lengths import describe_length, fill_in_lengths, resolve_variant_length
from pix2pix_jax.sweeps.plan import format_plan
from pix2pix_jax.sweeps.sweep_file import SweepPlan


def folder_of_seven_pairs(tmp_path):
    names = [f"train/{number}.png" for number in range(7)] + ["val/a.png"]
    return replace(folder_data(make_images(tmp_path / "pairs", names)), form="halves")


def test_epochs_become_steps_for_a_variant_that_is_run(tmp_path):
    data = folder_of_seven_pairs(tmp_path)
    for train, expected in ((Train(epochs=3), Train(steps=21)), (Train(steps=5), Train(steps=5))):
        assert resolve_variant_length(Config(data=data, train=train)).train == expected


def test_epochs_become_steps_for_a_variant_that_has_a_run(tmp_path):
    """The workdir has the number of pairs, so the dataset is not needed."""
    data, folder = folder_of_seven_pairs(tmp_path), SweepFolder(tmp_path / "sweep")
    names = list_pair_names(prepare(resolve(Config(data=data)).data))
    names.write(folder.workdir("run").pair_names_file)
    missing = replace(data, data_dir=str(tmp_path / "another cache"))
    config = Config(data=missing, train=Train(epochs=3))
    plan = fill_in_lengths(SweepPlan("Lengths", [("run", config), ("new", config)], {}), folder)
    assert [config.train for _, config in plan.variants] == [Train(steps=21), Train(epochs=3)]
    assert [describe_length(config.train) for _, config in plan.variants] == [
        "21 steps",
        "3 epochs",
    ]
    assert not (tmp_path / "another cache").exists()


def test_the_list_prepares_no_dataset(tmp_path, monkeypatch):
    monkeypatch.setattr("pix2pix_jax.sweeps.plan.StepTimes.seconds", lambda self, config: 1.0)
    data = replace(folder_of_seven_pairs(tmp_path), batch_size=4, image_size=(32, 32))
    plan = SweepPlan("Lengths", [("new", Config(data=data, train=Train(epochs=3)))], {})
    lines = format_plan(plan, SweepFolder(tmp_path / "sweep"), "val").splitlines()
    assert lines[2].endswith(" 3 epochs")
    assert "Variants with a length in epochs are not included" in lines[3]
    assert not (tmp_path / "cache").exists()


def test_a_variant_without_pairs_fails_alone(tmp_path):
    data = Data(name="folder", source=str(tmp_path / "nowhere"), data_dir=str(tmp_path / "cache"))
    config, folder = Config(data=data, train=Train(epochs=3)), SweepFolder(tmp_path / "sweep")
    outcome = sweep_module.run_variant(config, folder.workdir("missing"), "val", False)
    assert outcome.failure.startswith(f"data.source: {tmp_path}/nowhere does not exist")
