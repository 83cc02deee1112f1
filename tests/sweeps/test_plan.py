"""The plan of a sweep as text, and its estimates of time."""

import json
import math
from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import pytest
from helpers.evaluations import VARIANTS, write_evaluation

from pix2pix_jax.config import Loss
from pix2pix_jax.config.resolve import resolve
from pix2pix_jax.gan.description import describe, operations
from pix2pix_jax.gan.method import make_method
from pix2pix_jax.gan.random import step_key
from pix2pix_jax.gan.state import create_state
from pix2pix_jax.gan.step import train_step
from pix2pix_jax.runs.workdir import SweepFolder
from pix2pix_jax.sweeps import step_time
from pix2pix_jax.sweeps.plan import format_duration, format_plan


@pytest.mark.slow
def test_the_plan_lists_variants_and_their_parameters(plan, tmp_path):
    """Parameters are those that `describe` counts; no folder is created."""
    lines = format_plan(plan, SweepFolder(tmp_path / "none"), "val").splitlines()
    assert [line.split()[:2] for line in lines[2:6]] == [[str(i), VARIANTS[i]] for i in range(4)]
    for line, (_, config) in zip(lines[2:6], plan.variants, strict=True):
        networks = describe(resolve(config))
        sizes = [networks[name]["parameters"] for name in ("generator", "discriminator")]
        assert line.split()[2:6] == [*(f"{size:,}" for size in sizes), "16", "8"]
    assert lines[2].split()[2] != lines[4].split()[2]
    assert "of training left" in lines[-1]
    assert not (tmp_path / "none").exists()


def test_the_plan_shows_the_progress_of_every_variant(plan, tmp_path):
    name, config = plan.variants[0]
    write_evaluation(config, tmp_path / name, "val", 0.5)
    (tmp_path / VARIANTS[1] / "checkpoints" / "4").mkdir(parents=True)
    # The first speed includes compiling. The third is of a step after the last checkpoint.
    rates = {2: 0.1, 4: 2, 6: 8}
    lines = [{"step": step, "images_per_second": rate} for step, rate in rates.items()]
    lines.insert(1, {"step": 3, "validation/l1": 0.5})  # A line need not have a speed.
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (tmp_path / VARIANTS[1] / "metrics.jsonl").write_text(text)
    lines = format_plan(plan, SweepFolder(tmp_path), "val").splitlines()
    assert lines[2].endswith(" 0 s  evaluated")
    assert lines[3].endswith(" 8 s  at step 4")  # four more at two seconds each
    (tmp_path / VARIANTS[1] / "failed.txt").write_text("out of memory")
    lines = format_plan(plan, SweepFolder(tmp_path), "val").splitlines()
    assert lines[3].endswith(" 8 s  failed, at step 4")


def test_times_are_estimated_from_a_step_of_the_generator(plan, tmp_path, monkeypatch):
    """The time is eight steps of the generator, plus a share for the discriminator's operations."""
    monkeypatch.setattr(step_time, "time_generator_step", lambda config: 100.0)
    name, config = plan.variants[0]
    l1 = replace(config, loss=Loss(gan="none"))
    variants = [(name, config), ("l1", l1)]
    lines = format_plan(plan._replace(variants=variants), SweepFolder(tmp_path), "val").splitlines()
    generator, discriminator = operations(describe(config))
    both = 800 * (1 + discriminator / generator)
    assert lines[2].endswith(format_duration(both))
    assert lines[3].endswith(" 13 min")
    assert lines[4].startswith(f"about {format_duration(both + 800)} of training left")


def test_the_generators_step_is_timed_once_for_all_discriminators(plan, monkeypatch):
    timed = []
    monkeypatch.setattr(step_time, "time_generator_step", lambda c: timed.append(c) or 1.0)
    config = plan.variants[0][1]
    for name in ("pixel", "patch70"):
        model = replace(config.model, discriminator=name)
        step_time.estimate_seconds(replace(config, model=model))
    assert timed[0] == timed[1]
    monkeypatch.undo()
    assert 0 < step_time.time_generator_step(timed[0]) < 60


def test_the_generators_step_is_timed_once_for_all_learning_rates(plan, monkeypatch):
    timed = set()
    monkeypatch.setattr(step_time, "time_generator_step", lambda c: timed.add(c) or 1.0)
    config = plan.variants[0][1]
    for rate in (1e-4, 2e-4):
        optimizer = replace(config.optimizer, learning_rate=rate, schedule="linear_decay")
        step_time.estimate_seconds(replace(config, optimizer=optimizer))
    assert len(timed) == 1


def test_the_plan_names_the_segmenter_only_if_there_is_one(plan, tmp_path, monkeypatch):
    monkeypatch.setattr(step_time, "time_generator_step", lambda config: 1.0)
    name, config = plan.variants[0]  # The targets of the small config are photos.
    folder = replace(config, data=replace(config.data, name="folder", source=str(tmp_path)))
    to_labels = replace(config, data=replace(config.data, direction="AtoB"))
    for variant, fcn_score, expected in (
        (config, True, True),
        (config, False, False),
        (folder, True, False),
        (to_labels, True, False),
    ):
        one = plan._replace(variants=[(name, variant)])
        text = format_plan(one, SweepFolder(tmp_path / "sweep"), "val", fcn_score)
        assert ("needs a segmenter" in text) == expected
        assert "receptive field" in text.splitlines()[1]


@pytest.mark.parametrize("gan", ["vanilla", "none"])
def test_operations_agree_with_the_compilers_count(small, gan, monkeypatch):
    """The counts agree within 10%, because `operations` omits norms and optimizers.

    Convolutions that need fewer multiplications (Winograd) are turned off.
    """
    monkeypatch.setattr("pix2pix_jax.models.convolution.WINOGRAD_MIN_PIXELS", math.inf)
    monkeypatch.setattr("pix2pix_jax.models.convolution.TRANSPOSE_WINOGRAD_MIN_PIXELS", math.inf)
    model = replace(small.model, features=64, discriminator_features=64)
    data = replace(small.data, image_size=(128, 128), load_size=(128, 128))
    config = replace(small, data=data, model=model, loss=Loss(gan=gan))
    batch = {
        "input": jnp.zeros((1, 128, 128, 3)),
        "target": jnp.zeros((1, 128, 128, 3)),
        "index": jnp.zeros(1, jnp.int32),
    }
    state = jax.eval_shape(lambda: create_state(config))
    step = jax.jit(partial(train_step, make_method(config))).lower(
        state, batch, step_key(config, 0)
    )
    generator, discriminator = operations(describe(config))
    ours = generator + (discriminator if gan != "none" else 0)
    assert ours == pytest.approx(step.cost_analysis()["flops"], rel=0.1)


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0, "0 s"), (99.4, "99 s"), (100, "2 min"), (5_900, "98 min"), (7_260, "2 h 1 min"),
     (200_000, "2 d 7 h")],
)  # fmt: skip
def test_durations_have_one_or_two_units(seconds, expected):
    assert format_duration(seconds) == expected
