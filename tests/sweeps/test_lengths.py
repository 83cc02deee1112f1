"""The variants of a sweep may give their length in epochs."""

from dataclasses import replace

from helpers.pairs import folder_data, make_images

from pix2pix_jax.config import Config, Data, Train
from pix2pix_jax.runs.workdir import SweepFolder
from pix2pix_jax.sweeps.lengths import resolve_lengths
from pix2pix_jax.sweeps.plan import format_plan
from pix2pix_jax.sweeps.sweep_file import SweepPlan


def test_epochs_become_steps_before_anything_is_listed_or_trained(tmp_path):
    names = [f"train/{number}.png" for number in range(7)] + ["val/a.png"]
    data = replace(folder_data(make_images(tmp_path / "pairs", names)), form="halves")
    lengths = {"epochs": Train(epochs=3), "steps": Train(steps=5)}
    variants = [(name, Config(data=data, train=train)) for name, train in lengths.items()]
    plan = resolve_lengths(SweepPlan("Lengths", variants, {}))
    assert [config.train for _, config in plan.variants] == [Train(steps=21), Train(steps=5)]


def test_a_variant_without_pairs_stays_and_its_line_has_the_reason(tmp_path, monkeypatch):
    """The other variants of the sweep must run nevertheless."""
    data = Data(name="folder", source=str(tmp_path / "nowhere"), data_dir=str(tmp_path / "cache"))
    variants = [("missing", Config(data=data, train=Train(epochs=3)))]
    plan = resolve_lengths(SweepPlan("Lengths", variants, {}))
    assert plan.variants == variants
    lines = format_plan(plan, SweepFolder(tmp_path / "sweep"), "val").splitlines()
    assert f"cannot be built: data.source: {tmp_path}/nowhere does not exist" in lines[2]
