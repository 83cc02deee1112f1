"""Values that follow from the image size, refused values, and fields that resuming may change."""

import os
import re
from dataclasses import FrozenInstanceError, replace
from pathlib import Path

import pytest
from helpers.fields import OTHER, TOGETHER
from helpers.refusals import refusal
from hypothesis import given, settings
from hypothesis import strategies as st

from pix2pix_jax.config import Config, Data, Model, Optimizer, Train
from pix2pix_jax.config.files import override
from pix2pix_jax.config.resolve import resolve, resolve_epochs, unet_depth
from pix2pix_jax.config.resume import changed_fields, identity
from pix2pix_jax.errors import UsageError

# The fields that a resumed run may change.
FREE = {
    "data.source",
    "data.form",
    "data.data_dir",
    "data.resident_mib",
    "model.norm_images",
    "train.steps",
    "train.epochs",
    "train.num_pairs",
    "train.init",
    "train.parallel",
    "train.log_every",
    "train.checkpoint_every",
    "train.sample_every",
    "train.evaluate_every",
    "train.best_metric",
    "train.keep",
    "train.max_failed_saves",
    "train.steps_per_call",
}
sizes = st.integers(1, 40) | st.integers(1, 1100)
steady = settings(derandomize=True, deadline=None, database=None)


def suggested_size(message: str) -> tuple[int, int]:
    """The size that a refusal suggests."""
    height, width = re.search(r"such as --config.data.image_size=(\d+),(\d+)", message).groups()
    return int(height), int(width)


def test_a_config_is_frozen_and_hashable():
    with pytest.raises(FrozenInstanceError):
        Config().seed = 1
    with pytest.raises(FrozenInstanceError):
        Config().data.batch_size = 4
    assert {Config(): "same"}[Config()] == "same"
    assert len({Config(), override(Config(), {"data.image_size": "128"})}) == 2


@pytest.mark.parametrize("size", [256, "256", (256,), [256], (256, 256), "256x256"])
def test_one_number_is_both_height_and_width(size):
    assert Data(image_size=size).image_size == (256, 256)
    assert Data(load_size=size).load_size == (256, 256)


@pytest.mark.parametrize(
    ("image_size", "load_size", "depth"),
    [
        ((256, 256), (286, 286), 8),
        ((512, 512), (572, 572), 9),
        ((128, 128), (143, 143), 7),
        ((64, 96), (72, 107), 5),
        ((256, 512), (286, 572), 8),
        ((8, 8), (9, 9), 3),
    ],
)
def test_load_size_and_depth_follow_from_the_image_size(image_size, load_size, depth):
    config = resolve(Config(data=Data(image_size=image_size)))
    assert config == Config(
        data=Data(image_size=image_size, load_size=load_size), model=Model(depth=depth)
    )
    assert resolve(config) == config


def test_a_source_becomes_an_absolute_path():
    config = resolve(Config(data=Data(name="folder", source="pairs")))
    assert config.data.source == str(Path("pairs").absolute())


def test_resolving_keeps_a_given_load_size_and_depth():
    config = Config(data=Data(load_size=(256, 300)), model=Model(depth=5))
    assert resolve(config) == config


@pytest.mark.parametrize("load_size", [(255, 256), (256, 255), (128, 512)])
def test_a_load_size_smaller_than_image_size_is_refused(load_size):
    message = refusal(resolve, Config(data=Data(load_size=load_size)))
    assert message.startswith(f"data.load_size: {load_size} ")
    assert "data.image_size (256, 256)" in message


@pytest.mark.parametrize(
    "name", ["log_every", "checkpoint_every", "sample_every", "evaluate_every"]
)
def test_an_interval_must_be_a_multiple_of_steps_per_call(name):
    every = dict.fromkeys(("log_every", "checkpoint_every", "sample_every", "evaluate_every"), 60)
    train = Train(steps_per_call=20, **every)
    assert resolve(Config(train=train)).train == train
    message = refusal(resolve, Config(train=replace(train, **{name: 50})))
    assert message.startswith(f"train.{name}: 50 ")
    assert "train.steps_per_call 20" in message


@steady
@given(sizes, sizes)
def test_a_unet_halves_an_image_as_often_as_possible_or_suggests_a_size(height, width):
    try:
        depth = unet_depth(height, width, None)
    except UsageError as error:
        height, width = suggested_size(str(error))
        depth = unet_depth(height, width, None)
    assert height % 2**depth == width % 2**depth == 0
    assert height % 2 ** (depth + 1) or width % 2 ** (depth + 1)


@steady
@given(sizes, sizes, st.integers(1, 10))
def test_a_unet_has_the_given_depth_or_suggests_a_size(height, width, depth):
    try:
        assert unet_depth(height, width, depth) == depth
    except UsageError as error:
        height, width = suggested_size(str(error))
        assert unet_depth(height, width, depth) == depth
    assert height % 2**depth == width % 2**depth == 0


@steady
@given(sizes, sizes)
def test_a_suggested_depth_is_possible(height, width):
    try:
        unet_depth(height, width, None)
    except UsageError as error:
        if match := re.search(r"or --config.model.depth=(\d+)", str(error)):
            assert unet_depth(height, width, int(match[1])) == int(match[1])


def test_an_image_size_that_cannot_be_halved_is_refused_with_suggestions():
    assert refusal(resolve, Config(data=Data(image_size=(100, 256)))) == (
        "data.image_size: 100x256 cannot be halved 3 times; "
        "give multiples of 8, such as --config.data.image_size=96,256, or --config.model.depth=2"
    )


@pytest.mark.parametrize("field", OTHER)
def test_a_changed_field_is_reported_unless_it_may_change_on_resume(field):
    changed = changed_fields(Config(), override(Config(), {field: OTHER[field]}))
    assert changed == ([] if field in FREE else [field])


@pytest.mark.parametrize("field", OTHER)
@pytest.mark.parametrize("schedule", ["constant", "linear_decay"])
def test_configs_have_equal_identities_if_and_only_if_a_run_could_resume(field, schedule):
    base = override(Config(), {"optimizer.schedule": schedule})
    other = override(base, {field: OTHER[field]})
    assert (identity(base) == identity(other)) == (changed_fields(base, other) == [])


def test_an_error_line_has_no_control_characters():
    assert str(UsageError("a\n\x1b[31mü \udcff")) == r"a \x1b[31mü \udcff"


def test_all_changed_fields_are_reported_together():
    free = FREE - {"train.steps"}  # With OTHER, the learning rate decays.
    assert set(changed_fields(Config(), override(Config(), TOGETHER))) == set(OTHER) - free
    assert changed_fields(Config(), Config()) == []


def test_steps_may_not_change_if_the_learning_rate_decays():
    decay = Config(optimizer=Optimizer(schedule="linear_decay"))
    assert changed_fields(decay, override(decay, {"train.steps": "100"})) == ["train.steps"]


@pytest.mark.parametrize(
    ("epochs", "pairs", "batch_size", "steps"), [(200, 27, 1, 5400), (3, 7, 4, 6), (1, 1, 8, 1)]
)
def test_epochs_become_steps_that_use_every_pair_at_least_so_often(
    epochs, pairs, batch_size, steps
):
    config = Config(data=Data(batch_size=batch_size), train=Train(epochs=epochs))
    assert resolve_epochs(config, pairs).train == Train(steps=steps)
    with_steps = Config(train=Train(steps=5))
    assert resolve_epochs(with_steps, pairs) == with_steps


def test_a_length_in_steps_and_in_epochs_is_refused():
    message = refusal(resolve, Config(train=Train(steps=5, epochs=3)))
    assert message.startswith("train.epochs: 3 is given together with train.steps 5; give only one")
    flags = {"train.steps": "5", "train.epochs": "3"}
    message = refusal(override, Config(), flags)
    assert message.startswith("--config.train.epochs: is given together with --config.train.steps")
    many = Config(train=Train(epochs=2**30))
    assert "epochs of 400 pairs would be 429,496,729,600 steps" in refusal(
        resolve_epochs, many, 400
    )


def test_a_flag_for_the_length_replaces_the_length_of_the_experiment():
    in_epochs, in_steps = Config(train=Train(epochs=200)), Config(train=Train(steps=4000))
    assert override(in_epochs, {"train.steps": "5"}).train == Train(steps=5)
    assert override(in_steps, {"train.epochs": "3"}).train == Train(epochs=3)
    assert override(in_steps, {"train.epochs": "None"}).train == Train(steps=4000)


def test_epochs_may_change_on_resume_although_the_learning_rate_decays():
    """The number of steps is compared once the pairs are counted."""
    decay = Config(optimizer=Optimizer(schedule="linear_decay"), train=Train(steps=5400))
    in_epochs = override(decay, {"train.epochs": "200"})
    assert changed_fields(decay, in_epochs) == []
    assert changed_fields(decay, resolve_epochs(in_epochs, 27)) == []
    assert changed_fields(decay, resolve_epochs(in_epochs, 28)) == ["train.steps"]
    assert changed_fields(in_epochs, decay) == []  # The run was imported and has not started yet.


def test_a_source_for_drawn_pairs_is_refused():
    message = refusal(resolve, override(Config(), {"data.source": "my_pairs"}))
    assert message.startswith(
        "data.source: synthetic_facades draws its pairs, so it does not read my_pairs; leave out"
    )


def test_with_load_scale_1_load_size_equals_image_size():
    config = resolve(Config(data=Data(image_size=(64, 96), load_scale=1)))
    assert config.data.load_size == (64, 96)


@pytest.mark.parametrize(("name", "form"), [("synthetic_facades", "halves"), ("maps", "folders")])
def test_the_form_of_known_pairs_is_refused(name, form):
    message = refusal(resolve, Config(data=Data(name=name, form=form)))
    assert message.startswith(f"data.form: every image of {name} shows both sides of a pair; ")
    resolve(Config(data=Data(name="maps", form=form, source="my_pairs")))


@pytest.mark.parametrize("field", ["data.source", "data.data_dir"])
def test_a_folder_whose_name_is_not_utf8_is_refused(field):
    fields = {"source": "pairs"} | {field.removeprefix("data."): os.fsdecode(b"/x/n\xe9")}
    message = refusal(resolve, Config(data=Data(name="folder", **fields)))
    assert message == f"{field}: /x/n\\udce9 has a name that is not UTF-8; use another name"
