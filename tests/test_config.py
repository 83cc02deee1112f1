"""Every way to say a field, every way to get it wrong, and what follows from the image size."""

import json
import re
from dataclasses import FrozenInstanceError, asdict, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pix2pix_jax.config import (
    Config,
    Data,
    Model,
    Optimizer,
    Train,
    UsageError,
    changed_fields,
    resolve,
    unet_depth,
)
from pix2pix_jax.config_files import load_experiment, override, read_config, write_config

# For every field a flag that changes it.
OTHER = {
    "seed": "1",
    "data.name": "maps",
    "data.source": "pairs.tar",
    "data.data_dir": "elsewhere",
    "data.direction": "BtoA",
    "data.input_channels": "1",
    "data.target_channels": "4",
    "data.image_size": "128,512",
    "data.jitter": "False",
    "data.load_size": "512",
    "data.flip": "False",
    "data.batch_size": "4",
    "data.synthetic_pairs": "3,2,1",
    "model.generator": "encoder_decoder",
    "model.features": "32",
    "model.depth": "5",
    "model.norm": "instance",
    "model.dropout": "0.25",
    "model.discriminator": "pixel",
    "model.discriminator_features": "32",
    "loss.gan": "lsgan",
    "loss.l1_weight": "0",
    "loss.conditional": "False",
    "loss.gradient_penalty": "1",
    "optimizer.learning_rate": "0.001",
    "optimizer.b1": "0.9",
    "optimizer.b2": "0.99",
    "optimizer.schedule": "linear_decay",
    "train.steps": "100",
    "train.log_every": "10",
    "train.checkpoint_every": "20",
    "train.sample_every": "30",
    "train.samples": "2",
    "train.keep": "1",
    "train.steps_per_call": "10",
    "train.dtype": "bfloat16",
}
# What a resumed run may change.
FREE = {
    "data.source",
    "data.data_dir",
    "train.steps",
    "train.log_every",
    "train.checkpoint_every",
    "train.sample_every",
    "train.keep",
    "train.steps_per_call",
}
IMPORTS = "from pix2pix_jax.config import *\n"
sizes = st.integers(1, 40) | st.integers(1, 1100)
steady = settings(derandomize=True, deadline=None, database=None)


def refusal(call, *arguments) -> str:
    """The one line of the UsageError that a call raises."""
    with pytest.raises(UsageError) as caught:
        call(*arguments)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


def flagged(field: str, value: str) -> object:
    """What a field holds after --config.FIELD=VALUE."""
    group, name = field.split(".")
    return asdict(override(Config(), {field: value}))[group][name]


def offered(message: str) -> tuple[int, int]:
    """The size that a refusal offers."""
    height, width = re.search(r"the nearest being (\d+)x(\d+)", message).groups()
    return int(height), int(width)


def test_a_config_is_frozen_and_hashable():
    with pytest.raises(FrozenInstanceError):
        Config().seed = 1
    with pytest.raises(FrozenInstanceError):
        Config().data.batch_size = 4
    assert {Config(): "same"}[Config()] == "same"
    assert len({Config(), override(Config(), {"data.image_size": "128"})}) == 2


@pytest.mark.parametrize(
    "text", ["256,512", "256, 512", "(256, 512)", "[256,512]", "256x512", "256 512"]
)
def test_a_size_has_many_spellings(text):
    assert flagged("data.image_size", text) == (256, 512)


@pytest.mark.parametrize("size", [256, "256", (256,), [256], (256, 256), "256x256"])
def test_one_number_is_both_sides(size):
    assert Data(image_size=size).image_size == (256, 256)
    assert Data(load_size=size).load_size == (256, 256)


@pytest.mark.parametrize("text", ["None", "none", ""])
@pytest.mark.parametrize("field", ["data.source", "data.load_size", "model.depth"])
def test_none_can_be_said_by_flag(field, text):
    group, name = field.split(".")
    config = override(override(Config(), {field: OTHER[field]}), {field: text})
    assert asdict(config)[group][name] is None


def test_flags_take_the_type_of_their_field():
    assert flagged("data.flip", "false") is False
    assert flagged("data.synthetic_pairs", "(3, 2, 1)") == (3, 2, 1)
    assert flagged("data.target_channels", "4") == 4
    assert flagged("optimizer.learning_rate", "1e-4") == 1e-4


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("seed", "-1"),
        ("seed", str(2**32)),
        ("data.name", "facade"),
        ("data.batch_size", "four"),
        ("data.batch_size", "2.5"),
        ("data.batch_size", "0"),
        ("data.input_channels", "2"),
        ("data.input_channels", "rgb"),
        ("data.image_size", "0"),
        ("data.image_size", "-256"),
        ("data.image_size", "256,256,3"),
        ("data.image_size", "x"),
        ("data.image_size", "big\nger"),
        ("data.load_size", "286.5"),
        ("data.flip", "perhaps"),
        ("data.synthetic_pairs", "3,2"),
        ("model.depth", "0"),
        ("model.dropout", "1"),
        ("loss.l1_weight", "nan"),
        ("loss.l1_weight", "inf"),
        ("loss.l1_weight", "-1"),
        ("optimizer.learning_rate", "0"),
        ("optimizer.b1", "nan"),
        ("train.steps", "-5"),
    ],
)
def test_a_bad_value_is_refused_by_the_name_of_its_field(field, value):
    message = refusal(override, Config(), {field: value})
    assert message.startswith(f"--config.{field}: ")


@pytest.mark.parametrize(
    ("field", "near"),
    [
        ("data.batch_sise", "data.batch_size"),
        ("batch_size", "data.batch_size"),
        ("optimiser.learning_rate", "optimizer.learning_rate"),
        ("train.step", "train.steps"),
        ("sead", "seed"),
    ],
)
def test_an_unknown_field_is_answered_by_the_nearest(field, near):
    message = refusal(override, Config(), {field: "4"})
    assert message == f"--config.{field}: unknown field; did you mean {near}?"


def test_a_field_like_no_other_is_answered_by_all():
    message = refusal(override, Config(), {"zzz": "4"})
    assert message.startswith("--config.zzz: unknown field")
    assert all(field in message for field in OTHER)


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


def test_what_is_given_is_kept():
    config = Config(data=Data(load_size=(256, 300)), model=Model(depth=5))
    assert resolve(config) == config


@pytest.mark.parametrize("load_size", [(255, 256), (256, 255), (128, 512)])
def test_a_load_size_below_the_image_is_refused(load_size):
    message = refusal(resolve, Config(data=Data(load_size=load_size)))
    assert message.startswith(f"data.load_size: {load_size} ")
    assert "data.image_size (256, 256)" in message


@pytest.mark.parametrize("name", ["log_every", "checkpoint_every", "sample_every"])
def test_intervals_are_multiples_of_steps_per_call(name):
    every = {"log_every": 60, "checkpoint_every": 60, "sample_every": 60}
    train = Train(steps_per_call=20, **every)
    assert resolve(Config(train=train)).train == train
    message = refusal(resolve, Config(train=replace(train, **{name: 50})))
    assert message.startswith(f"train.{name}: 50 ")
    assert "train.steps_per_call 20" in message


@steady
@given(sizes, sizes)
def test_a_unet_halves_an_image_as_often_as_it_can_or_names_a_size(height, width):
    try:
        depth = unet_depth(height, width, None)
    except UsageError as error:
        height, width = offered(str(error))
        depth = unet_depth(height, width, None)
    assert height % 2**depth == width % 2**depth == 0
    assert height % 2 ** (depth + 1) or width % 2 ** (depth + 1)


@steady
@given(sizes, sizes, st.integers(1, 10))
def test_a_unet_has_the_depth_it_is_given_or_names_a_size(height, width, depth):
    try:
        assert unet_depth(height, width, depth) == depth
    except UsageError as error:
        height, width = offered(str(error))
        assert unet_depth(height, width, depth) == depth
    assert height % 2**depth == width % 2**depth == 0


@steady
@given(sizes, sizes)
def test_a_depth_that_is_offered_works(height, width):
    try:
        unet_depth(height, width, None)
    except UsageError as error:
        if match := re.search(r"a model.depth of (\d+)", str(error)):
            assert unet_depth(height, width, int(match[1])) == int(match[1])


def test_an_impossible_size_is_refused_by_name():
    assert refusal(resolve, Config(data=Data(image_size=(100, 256)))) == (
        "data.image_size: 100x256 cannot be halved 3 times; "
        "use multiples of 8, the nearest being 96x256, or a model.depth of 2"
    )


def test_there_is_a_flag_for_every_field():
    config = override(Config(), OTHER)
    for group, fields in asdict(config).items():
        for name, value in fields.items() if isinstance(fields, dict) else ():
            assert value != asdict(Config())[group][name], f"{group}.{name}"
    assert config.seed == 1


@pytest.mark.parametrize("field", OTHER)
def test_a_change_is_reported_unless_it_is_free(field):
    changed = changed_fields(Config(), override(Config(), {field: OTHER[field]}))
    assert changed == ([] if field in FREE else [field])


def test_all_changes_are_reported_at_once():
    free = FREE - {"train.steps"}  # the learning rate decays
    assert set(changed_fields(Config(), override(Config(), OTHER))) == set(OTHER) - free
    assert changed_fields(Config(), Config()) == []


def test_the_steps_of_a_decaying_learning_rate_are_not_free():
    decay = Config(optimizer=Optimizer(schedule="linear_decay"))
    assert changed_fields(decay, override(decay, {"train.steps": "100"})) == ["train.steps"]


@pytest.mark.parametrize(
    "config",
    [
        Config(),
        resolve(Config()),
        override(Config(), OTHER),
        Config(optimizer=Optimizer(learning_rate=0.1 + 0.2)),
    ],
)
def test_a_config_is_read_as_it_was_written(tmp_path, config):
    path = tmp_path / "config.json"
    write_config(Config(seed=9), path)
    write_config(config, path)
    assert read_config(path) == config
    assert json.loads(path.read_text())["data"]["name"] == config.data.name
    assert list(tmp_path.iterdir()) == [path]


def test_a_missing_config_is_named(tmp_path):
    message = refusal(read_config, tmp_path / "config.json")
    assert message.startswith(f"{tmp_path / 'config.json'}: ")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "invalid JSON"),
        ("not JSON", "invalid JSON"),
        ('{"seed": 1, "data": {"flip": tr', "invalid JSON"),
        ("[]", "input should be an object"),
        ('{"colour": 1}', "colour: "),
        ('{"data": {"batch_sise": 4}}', "data.batch_sise: "),
        ('{"data": {"batch_size": "four"}}', "data.batch_size: "),
        ('{"data": {"input_channels": null}}', "data.input_channels: "),
        ('{"loss": {"l1_weight": NaN}}', "loss.l1_weight: "),
    ],
)
def test_a_bad_config_is_refused_by_file_and_field(tmp_path, text, complaint):
    path = tmp_path / "config.json"
    path.write_text(text)
    message = refusal(read_config, path)
    assert message.startswith(f"{path}: {complaint}")
    assert "b'" not in message  # the file itself is not quoted


def test_an_experiment_may_take_an_argument(tmp_path):
    path = tmp_path / "experiment.py"
    path.write_text(IMPORTS + "def get_config(): return Config(seed=7)")
    assert load_experiment(str(path)) == Config(seed=7)
    path.write_text(IMPORTS + "def get_config(text): return Config(data=Data(source=text))")
    assert load_experiment(f"{path}:dir/c:d.tar").data.source == "dir/c:d.tar"
    assert load_experiment(str(path)).data.source is None


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("\ndef get_config(:", " line 2: invalid syntax"),
        ("", ": has no get_config(arg) function"),
        ("get_config = 3", ": has no get_config(arg) function"),
        ("def get_config(): return 3", ": get_config returned int, not a Config"),
        ("def get_config(): pass", ": get_config returned NoneType, not a Config"),
        ("def get_config(): return Config(sead=1)", ": sead: "),
        ("def get_config(): return Config(data=Data(batch_sise=4))", ": batch_sise: "),
        ("def get_config(): return Config(data=Data(batch_size='4.5'))", ": batch_size: "),
        ("def get_config(): return Config(data=Data(input_channels=None))", ": input_channels: "),
        ("def get_config(): return Config(data=Data(input_channels=3.9))", ": input_channels: "),
        ("def get_config(): return Config(loss=Loss(l1_weight=float('nan')))", ": l1_weight: "),
        ("def get_config(): return resolve(Config(data=Data(image_size=7)))", "data.image_size: 7"),
    ],
)
def test_a_bad_experiment_is_refused_in_one_line(tmp_path, text, complaint):
    path = tmp_path / "experiment.py"
    path.write_text(text if text.startswith("\n") else IMPORTS + text)
    message = refusal(load_experiment, str(path))
    assert message.removeprefix(str(path)).startswith(complaint)


def test_a_missing_experiment_is_named(tmp_path):
    assert refusal(load_experiment, "nowhere.py:arg").startswith("nowhere.py: no such")
    assert refusal(load_experiment, str(tmp_path)).startswith(f"{tmp_path}: no such")


def test_an_argument_that_nothing_takes_is_refused(tmp_path):
    path = tmp_path / "experiment.py"
    path.write_text(IMPORTS + "def get_config(): return Config()")
    assert f"{path} takes no argument" in refusal(load_experiment, f"{path}:big")


def test_drawn_pairs_have_no_source():
    message = refusal(resolve, override(Config(), {"data.source": "my_pairs"}))
    assert message.startswith("data.source: synthetic_facades are drawn, not read from my_pairs")


def test_without_jitter_images_are_loaded_at_their_size():
    config = resolve(Config(data=Data(image_size=(64, 96), jitter=False)))
    assert config.data.load_size == (64, 96)
