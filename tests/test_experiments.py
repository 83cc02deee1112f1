"""The experiments say what the paper says, and their docstrings how to run them."""

import ast
import shlex
from dataclasses import replace
from pathlib import Path

import pytest

from pix2pix_jax.__main__ import parse
from pix2pix_jax.config import Config, Data, Loss, Model, Optimizer, resolve
from pix2pix_jax.config_files import load_experiment

FILES = sorted(Path(__file__).parents[1].glob("experiments/*.py"))


def loaded(name: str) -> Config:
    """An experiment as a run uses it."""
    return resolve(load_experiment(str(FILES[0].with_name(f"{name}.py"))))


def test_these_are_the_experiments():
    assert [path.stem for path in FILES] == [
        "cityscapes",
        "edges2handbags",
        "edges2shoes",
        "facades",
        "folder",
        "maps",
        "night2day",
        "quickstart",
    ]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_command_in_the_docstring_runs_its_file(path, monkeypatch):
    docstring = ast.get_docstring(ast.parse(path.read_text()))
    [command] = [line.strip() for line in docstring.splitlines() if "pix2pix_jax train" in line]
    assert command.startswith("python -m pix2pix_jax train --config=experiments/")
    options, fields = parse(shlex.split(command)[3:])
    assert options.config.partition(":")[0] == f"experiments/{path.name}"
    assert options.workdir.parent == Path("runs")
    assert fields == {}
    monkeypatch.chdir(path.parents[1])
    config = resolve(load_experiment(options.config))
    assert config.data.name == {"quickstart": "synthetic_facades"}.get(path.stem, path.stem)


@pytest.mark.parametrize(
    ("name", "pairs", "epochs", "batch_size", "steps", "direction"),
    [
        ("facades", 400, 200, 1, 80_000, "BtoA"),
        ("maps", 1_096, 200, 1, 219_200, "AtoB"),
        ("cityscapes", 2_975, 200, 1, 595_000, "BtoA"),
        ("night2day", 17_823, 17, 4, 75_747, "BtoA"),
        ("edges2shoes", 49_825, 15, 4, 186_843, "AtoB"),
        ("edges2handbags", 138_567, 15, 4, 519_626, "AtoB"),
    ],
)
def test_the_public_sets_are_trained_as_in_the_paper(
    name, pairs, epochs, batch_size, steps, direction
):
    config = loaded(name)
    assert config.train.steps == steps == epochs * pairs // batch_size
    jitter = not name.startswith("edges")
    assert config.data == Data(
        name=name,
        direction=direction,
        batch_size=batch_size,
        load_scale=286 / 256 if jitter else 1,
        load_size=(286, 286) if jitter else (256, 256),
        flip=jitter,
    )
    assert (config.model, config.loss, config.optimizer) == (Model(depth=8), Loss(), Optimizer())


def test_the_defaults_are_those_of_the_paper():
    assert Loss() == Loss(gan="vanilla", l1_weight=100.0, conditional=True)
    assert Optimizer() == Optimizer(learning_rate=2e-4, b1=0.5, b2=0.999, schedule="constant")
    assert Model() == Model(
        generator="unet",
        features=64,
        norm="batch",
        dropout=0.5,
        discriminator="patch70",
        discriminator_features=64,
    )


def test_a_folder_is_given_as_argument():
    path = FILES[0].with_name("folder.py")
    data = load_experiment(f"{path}:pairs/mine.tar.gz").data
    assert data == Data(name="folder", source="pairs/mine.tar.gz")
    assert load_experiment(str(path)).data.source is None


def test_the_quickstart_takes_a_folder_too():
    path = FILES[0].with_name("quickstart.py")
    drawn, given = load_experiment(str(path)), load_experiment(f"{path}:my_pairs")
    assert given.data == Data(name="folder", source="my_pairs", image_size=128)
    assert replace(given, data=drawn.data) == drawn
