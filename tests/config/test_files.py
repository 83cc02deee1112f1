"""Every way to say a field, and every way to get a flag, an experiment or a config.json wrong."""

import json
from dataclasses import asdict

import pytest
from helpers.fields import OTHER
from helpers.refusals import refusal

from pix2pix_jax.config import Config, Optimizer
from pix2pix_jax.config.files import (
    Sweep,
    load_experiment,
    load_sweep,
    override,
    read_config,
    write_config,
)
from pix2pix_jax.config.resolve import resolve

IMPORTS = "from pix2pix_jax.config import *\n"


def flagged(field: str, value: str) -> object:
    """What a field holds after --config.FIELD=VALUE."""
    group, name = field.split(".")
    return asdict(override(Config(), {field: value}))[group][name]


@pytest.mark.parametrize(
    "text", ["256,512", "256, 512", "(256, 512)", "[256,512]", "256x512", "256 512"]
)
def test_a_size_has_many_spellings(text):
    assert flagged("data.image_size", text) == (256, 512)


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
        ("data.input_channels", "65"),
        ("data.input_channels", "rgb"),
        ("data.image_size", "0"),
        ("data.image_size", "-256"),
        ("data.image_size", "131072"),
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


def test_there_is_a_flag_for_every_field():
    config = override(Config(), OTHER)
    for group, fields in asdict(config).items():
        for name, value in fields.items() if isinstance(fields, dict) else ():
            assert value != asdict(Config())[group][name], f"{group}.{name}"
    assert config.seed == 1


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
    assert "/nowhere.py: no such experiment" in refusal(load_experiment, "nowhere.py:arg")
    assert f"experiments/folder.py:{tmp_path}" in refusal(load_experiment, str(tmp_path))


def test_an_argument_that_nothing_takes_is_refused(tmp_path):
    path = tmp_path / "experiment.py"
    path.write_text(IMPORTS + "def get_config(): return Config()")
    assert f"{path} takes no argument" in refusal(load_experiment, f"{path}:big")


def write(tmp_path, text):
    path = tmp_path / "experiment.py"
    path.write_text("from pix2pix_jax.config import Config\n" + text)
    return str(path)


def test_a_sweep_takes_its_argument_and_seeds(tmp_path):
    text = "def sweep(base='none', seeds=1):\n for seed in range(seeds):\n"
    text += "  yield f'{base}/{seed}', Config(seed=seed)\n"
    path = write(tmp_path, text)
    assert load_sweep(path, None, {}).variants == [("none/0", Config())]
    fields = {"train.steps": "5"}
    plan = load_sweep(f"{path}:maps", 2, fields)
    assert [name for name, _ in plan.variants] == ["maps/0", "maps/1"]
    assert [config.train.steps for _, config in plan.variants] == [5, 5]


def test_a_sweep_needs_neither(tmp_path):
    path = write(tmp_path, "def sweep():\n yield 'a', Config()\n")
    assert load_sweep(path, None, {}) == Sweep(path, [("a", Config())], {})
    assert "--seeds" in refusal(load_sweep, path, 2, {})
    assert "takes no argument" in refusal(load_sweep, f"{path}:maps", None, {})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "has no sweep()"),
        ("def sweep():\n return []\n", "yields nothing"),
        ("def sweep():\n yield 'a', 1\n", "yields ('a', 1), not a name and a Config"),
        ("def sweep():\n yield '../a', Config()\n", "cannot be a folder"),
        ("def sweep():\n yield 'a/b/c', Config()\n", "cannot be a folder"),
        ("def sweep():\n yield 'report', Config()\n", "cannot be a folder"),
        ("def sweep():\n yield 'a', Config()\n yield 'a/b', Config(seed=1)\n", "'a/b' of sweep()"),
        ("PAPER = []\ndef sweep():\n yield 'a', Config()\n", "dictionary"),
        ("PAPER = {'a': {'iou': 1}}\ndef sweep():\n yield 'a', Config()\n", "a.iou"),
        (
            "def sweep():\n yield 'a', Config()\n yield 'a', Config(seed=1)\n",
            "a and a of sweep() are alike",
        ),
        (
            "def sweep():\n yield 'a', Config()\n yield 'b', Config()\n",
            "a and b of sweep() are alike",
        ),
        ("def sweep():\n yield 'a'\n", "yields 'a', not a name and a Config"),
        ("def sweep():\n yield 1, Config()\n", "yields (1, Config("),
        ("def sweep():\n yield 'a' * 101, Config()\n", "cannot be a folder"),
        ("def sweep(base):\n yield base, Config()\n", "missing 1 required"),
        ("PAPER = {'a': {'l1': 1e999}}\ndef sweep():\n yield 'a', Config()\n", "a.l1"),
        ("def sweep():\n yield 'a', 1 / 0\n", "line 3: ZeroDivisionError"),
    ],
)
def test_a_sweep_that_is_none_is_refused(tmp_path, text, expected):
    message = refusal(load_sweep, write(tmp_path, text), None, {})
    assert expected in message
    assert "experiment.py" in message


def test_a_field_that_makes_variants_alike_is_refused(tmp_path):
    path = write(
        tmp_path, "def sweep(seeds=2):\n for s in range(seeds):\n  yield str(s), Config(seed=s)"
    )
    assert "0 and 1 of sweep() are alike" in refusal(load_sweep, path, None, {"seed": "3"})
