"""Experiment files and sweeps: what they may hold, and every mistake in them."""

import pytest
from helpers.refusals import refusal

from pix2pix_jax.config import Config
from pix2pix_jax.config.experiments import Sweep, load_experiment, load_sweep

IMPORTS = "from pix2pix_jax.config import *\n"


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


@pytest.mark.parametrize(
    "line",
    [
        "from pix2pix_jax.config_files import load_experiment",
        "from pix2pix_jax.config.files import load_experiment",
        "import pix2pix_jax.receptive_field",
    ],
)
def test_an_import_of_a_module_that_has_moved_is_refused_with_its_place(tmp_path, line):
    path = tmp_path / "experiment.py"
    path.write_text(f"import math\n{line}\n")
    for load in (load_experiment, lambda spec: load_sweep(spec, None, {})):
        message = refusal(load, str(path))
        assert message.startswith(f"{path} line 2: ")
        assert "`from pix2pix_jax.config import load_experiment`" in message
        assert "experiments/" in message


@pytest.mark.parametrize("line", ["import pix2pix_jux", "from pix2pix_jax.config import Confg"])
def test_another_import_that_fails_is_refused_as_it_stands(tmp_path, line):
    path = tmp_path / "experiment.py"
    path.write_text(line)
    message = refusal(load_experiment, str(path))
    assert message.startswith(f"{path} line 1: ")
    assert "moved" not in message


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
