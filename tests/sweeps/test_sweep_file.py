"""Sweep files are loaded; every mistake in a file is one line that names the file."""

import pytest
from helpers.refusals import refusal

from pix2pix_jax.config import Config
from pix2pix_jax.sweeps import sweep_file
from pix2pix_jax.sweeps.sweep_file import SweepPlan, load_sweep


def write_sweep_file(tmp_path, text):
    path = tmp_path / "experiment.py"
    path.write_text("from pix2pix_jax.config import Config\n" + text)
    return str(path)


def test_a_sweep_gets_its_argument_and_the_number_of_seeds(tmp_path):
    text = "def sweep(base='none', seeds=1):\n for seed in range(seeds):\n"
    text += "  yield f'{base}/{seed}', Config(seed=seed)\n"
    path = write_sweep_file(tmp_path, text)
    assert load_sweep(path, None, {}).variants == [("none/0", Config())]
    fields = {"train.steps": "5"}
    plan = load_sweep(f"{path}:maps", 2, fields)
    assert [name for name, _ in plan.variants] == ["maps/0", "maps/1"]
    assert [config.train.steps for _, config in plan.variants] == [5, 5]


def test_a_sweep_may_have_neither_argument_nor_seeds(tmp_path):
    path = write_sweep_file(tmp_path, "def sweep():\n yield 'a', Config()\n")
    assert load_sweep(path, None, {}) == SweepPlan(path, [("a", Config())], {})
    assert "--seeds" in refusal(load_sweep, path, 2, {})
    assert "takes no argument" in refusal(load_sweep, f"{path}:maps", None, {})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "has no sweep(); define this function as the files in experiments/ablations do"),
        ("def get_config(): return Config()", "has no sweep(); give this file to `pix2pix train`"),
        ("def sweep():\n return []\n", "yields nothing"),
        ("def sweep():\n yield 'a', 1\n", "yields ('a', 1), not a name and a Config"),
        ("def sweep():\n yield '../a', Config()\n", "cannot be a folder"),
        ("def sweep():\n yield 'a/b/c', Config()\n", "cannot be a folder"),
        *(
            (f"def sweep():\n yield '{name}', Config()\n", "cannot be a folder")
            for name in ("report", "results.json", "results.md")
        ),
        (
            "def sweep():\n yield 'a', Config()\n yield 'a/b', Config(seed=1)\n",
            "the name 'a/b', which cannot be a folder",
        ),
        (
            "PAPER = []\ndef sweep():\n yield 'a', Config()\n",
            "PAPER is not valid; give PAPER = {ROW: {METRIC: NUMBER}}",
        ),
        (
            "PAPER = {'a': {'iou': 1}}\ndef sweep():\n yield 'a', Config()\n",
            "PAPER['a']['iou'] is not valid",
        ),
        (
            "def sweep():\n yield 'a', Config()\n yield 'a', Config(seed=1)\n",
            "two variants have the name a; rename one",
        ),
        (
            "def sweep():\n yield 'a', Config()\n yield 'b', Config()\n",
            "a and b have the same config",
        ),
        ("def sweep():\n yield 'a'\n", "yields 'a', not a name and a Config"),
        ("def sweep():\n yield 1, Config()\n", "yields (1, Config("),
        ("def sweep():\n yield 'a' * 101, Config()\n", "cannot be a folder"),
        ("def sweep(base):\n yield base, Config()\n", "missing 1 required"),
        (
            "PAPER = {'a': {'l1': 1e999}}\ndef sweep():\n yield 'a', Config()\n",
            "PAPER['a']['l1'] is not valid",
        ),
        ("PAPER_TABLE = 1\ndef sweep():\n yield 'a', Config()\n", "PAPER_TABLE is not a text"),
        ("def sweep():\n yield 'a', 1 / 0\n", "line 3: ZeroDivisionError"),
    ],
)
def test_a_faulty_sweep_file_is_refused_and_named(tmp_path, text, expected):
    message = refusal(load_sweep, write_sweep_file(tmp_path, text), None, {})
    assert expected in message
    assert "experiment.py" in message


def test_a_flag_that_makes_variants_equal_is_refused(tmp_path):
    path = write_sweep_file(
        tmp_path, "def sweep(seeds=2):\n for s in range(seeds):\n  yield str(s), Config(seed=s)"
    )
    assert "0 and 1 have the same config" in refusal(load_sweep, path, None, {"seed": "3"})


def test_an_import_from_a_moved_module_is_refused_with_the_new_import(tmp_path):
    path = write_sweep_file(tmp_path, "from pix2pix_jax.config_files import load_experiment\n")
    message = refusal(load_sweep, path, None, {})
    assert message.startswith(f"{path} line 2: ")
    assert "`from pix2pix_jax.config import load_experiment`" in message


def test_a_bug_is_not_reported_as_an_error_of_the_file(tmp_path, monkeypatch):
    def fail(*_):
        raise TypeError("a bug")

    monkeypatch.setattr(sweep_file, "override", fail)
    path = write_sweep_file(tmp_path, "def sweep():\n yield 'a', Config()\n")
    with pytest.raises(TypeError, match="a bug"):
        load_sweep(path, None, {})
