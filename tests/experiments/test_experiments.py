"""The experiments have the settings of the paper, and the commands in their docstrings run them."""

import ast
import shlex
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from helpers.refusals import refusal

from pix2pix_jax.cli.main import parse
from pix2pix_jax.config import PRESETS, Config, Data, Loss, Model, Optimizer
from pix2pix_jax.config.experiments import load_experiment
from pix2pix_jax.config.metrics import METRICS
from pix2pix_jax.config.resolve import resolve
from pix2pix_jax.gan.description import describe
from pix2pix_jax.sweeps.sweep_file import load_sweep

FILES = sorted(Path(__file__).parents[2].glob("experiments/*.py"))
ABLATIONS = sorted(Path(__file__).parents[2].glob("experiments/ablations/*.py"))


def load_resolved(name: str) -> Config:
    """The resolved config of a file in experiments/."""
    return resolve(load_experiment(str(FILES[0].with_name(f"{name}.py"))))


def test_this_test_lists_every_experiment():
    assert [path.stem for path in FILES] == [
        "cityscapes",
        "edges2handbags",
        "edges2shoes",
        "facades",
        "folder",
        "maps",
        "night2day",
        "quickstart",
        "synthetic_facades",
    ]
    assert [path.stem for path in ABLATIONS] == ["generator", "objective", "receptive_field"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_command_in_the_docstring_runs_its_file(path, monkeypatch):
    docstring = ast.get_docstring(ast.parse(path.read_text()))
    [command] = [line.strip() for line in docstring.splitlines() if "pix2pix_jax train" in line]
    assert command.startswith("python -m pix2pix_jax train --config=experiments/")
    options, fields = parse(shlex.split(command)[3:])
    assert options.config.partition(":")[0] == f"experiments/{path.name}"
    assert options.workdir.path.parent == Path("runs")
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
def test_public_data_sets_have_the_settings_of_the_paper(
    name, pairs, epochs, batch_size, steps, direction
):
    config = load_resolved(name)
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


def test_the_default_values_are_those_of_the_paper():
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


@pytest.mark.parametrize(
    ("preset", "generator", "discriminator"),
    [
        ("paper", 54_413_955, 2_768_705),
        # The PyTorch code prints "54.414 M" and "2.769 M".
        ("pytorch", 54_413_955, 2_768_705),
        # The trainable parameters, as Keras counts them.
        ("tf_tutorial", 54_414_979, 2_768_641),
        ("keras_tutorial", 54_419_459, 6_965_441),
    ],
)
def test_presets_have_as_many_parameters_as_their_implementations(preset, generator, discriminator):
    summary = describe(load_experiment(f"experiments/facades.py:{preset}"))
    assert summary["generator"]["parameters"] == generator
    assert summary["discriminator"]["parameters"] == discriminator


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_preset_changes_only_the_fields_that_it_lists(path):
    if path.stem in ("folder", "quickstart"):  # The argument of these files is a folder.
        return
    for preset, changes in PRESETS.items():
        expected = asdict(load_experiment(str(path)))
        for group, fields in changes.items():
            expected[group] |= fields
        assert asdict(load_experiment(f"{path}:{preset}")) == expected
    message = refusal(load_experiment, f"{path}:my_pairs")
    assert message.startswith(f"{path}:my_pairs: there is no preset my_pairs; give one of these")
    assert "presets: paper, pytorch, pytorch_instance, tf_tutorial, keras_tutorial;" in message
    assert "--config=experiments/folder.py:" in message


def test_the_argument_of_folder_py_is_the_folder():
    path = FILES[0].with_name("folder.py")
    data = load_experiment(f"{path}:pairs/mine.tar.gz").data
    assert data == Data(name="folder", source="pairs/mine.tar.gz")
    assert load_experiment(str(path)).data.source is None


def test_the_argument_of_the_quickstart_is_a_folder():
    path = FILES[0].with_name("quickstart.py")
    drawn, given = load_experiment(str(path)), load_experiment(f"{path}:my_pairs")
    assert given.data == Data(name="folder", source="my_pairs", image_size=128)
    assert replace(given, data=drawn.data) == drawn


@pytest.mark.parametrize("name", ["folder.py", "quickstart.py"])
def test_a_preset_is_refused_where_a_folder_is_needed(name, tmp_path, monkeypatch):
    spec = f"{FILES[0].with_name(name)}:pytorch"
    message = refusal(load_experiment, spec)
    assert message.startswith(f"{spec}: ")
    assert message.endswith("takes no preset; after the colon, give a folder or archive of pairs")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pytorch").mkdir()  # a folder of pairs may have the name of a preset
    assert load_experiment(spec).data.source == "pytorch"


@pytest.mark.parametrize("path", ABLATIONS, ids=lambda path: path.stem)
def test_the_command_in_the_docstring_runs_its_sweep(path, monkeypatch):
    docstring = ast.get_docstring(ast.parse(path.read_text()))
    [command] = [line.strip() for line in docstring.splitlines() if "pix2pix_jax sweep" in line]
    options, fields = parse(shlex.split(command)[3:])
    assert options.config == f"experiments/ablations/{path.name}:facades"
    assert fields == {}
    monkeypatch.chdir(path.parents[2])
    plan = load_sweep(options.config, options.seeds, fields)
    assert plan.title == docstring.partition("\n")[0].rstrip(".")
    assert plan.paper_table.startswith("table ")
    assert {config.data.name for _, config in plan.variants} == {"facades"}
    assert sorted({config.seed for _, config in plan.variants}) == [0, 1, 2]
    rows = list(dict.fromkeys(name.partition("/")[0] for name, _ in plan.variants))
    assert [*rows, "ground truth"] == list(plan.paper)
    fcn_scores = {name for name, metric in METRICS.items() if metric.in_fcn_score}
    assert all(fcn_scores <= set(scores) for scores in plan.paper.values())


@pytest.mark.parametrize("path", ABLATIONS, ids=lambda path: path.stem)
@pytest.mark.parametrize("experiment", ["quickstart", "folder"])
def test_a_sweep_of_own_pairs_has_the_data_of_the_experiment(path, experiment):
    """They include the jitter and the mirroring of the paper, as when `train` gets the folder."""
    data = load_experiment(f"experiments/{experiment}.py:my_pairs").data
    assert (data.load_scale, data.flip) == (286 / 256, True)
    plan = load_sweep(f"{path}:{experiment}:my_pairs", None, {})
    assert all(config.data == data for _, config in plan.variants)


def test_a_sweep_of_drawn_facades_or_of_fields_keeps_its_data():
    """The runs of earlier sweeps must continue, and stay comparable."""
    fields = {"data.name": "folder", "data.source": "my_pairs"}
    for spec, expected in ((":quickstart", (1, False)), ("", (1, False))):
        plan = load_sweep(f"{ABLATIONS[0]}{spec}", None, fields)
        assert {(c.data.load_scale, c.data.flip) for _, c in plan.variants} == {expected}


def differences(name: str) -> dict[str, dict]:
    """The fields in which the first seed of every row differs from synthetic_facades.py."""
    [path] = [path for path in ABLATIONS if path.stem == name]
    base = load_resolved("synthetic_facades")
    found = {}
    for row, config in load_sweep(str(path), 1, {}).variants:
        config = resolve(config)
        found[row.removesuffix("/seed0")] = {
            f"{group}.{field}": getattr(getattr(config, group), field)
            for group in ("data", "model", "loss", "optimizer", "train")
            for field in vars(getattr(config, group))
            if getattr(getattr(config, group), field) != getattr(getattr(base, group), field)
        }
    return found


def test_table_3_varies_the_discriminator():
    assert differences("receptive_field") == {
        "pixel": {"model.discriminator": "pixel"},
        "patch16": {"model.discriminator": "patch16"},
        "patch70": {},
        "image286": {"model.discriminator": "image286"},
    }


def test_table_1_varies_the_loss():
    assert differences("objective") == {
        "L1": {"loss.gan": "none"},
        "GAN": {"loss.conditional": False, "loss.l1_weight": 0},
        "cGAN": {"loss.l1_weight": 0},
        "L1+GAN": {"loss.conditional": False},
        "L1+cGAN": {},
    }


def test_table_2_varies_generator_and_loss():
    assert differences("generator") == {
        "encoder_decoder-L1": {"model.generator": "encoder_decoder", "loss.gan": "none"},
        "encoder_decoder-L1+cGAN": {"model.generator": "encoder_decoder"},
        "unet-L1": {"loss.gan": "none"},
        "unet-L1+cGAN": {},
    }


def test_an_unknown_base_is_refused_with_the_names_of_the_experiments():
    message = refusal(load_sweep, f"{ABLATIONS[0]}:fasades", None, {})
    assert message.startswith(f"{ABLATIONS[0]}:fasades: there is no experiment fasades; after the ")
    assert "give one of cityscapes, " in message
    assert message.endswith("or leave out ':fasades'; did you mean facades?")
    message = refusal(load_sweep, f"{ABLATIONS[0]}:/path", None, {})
    assert message.startswith(f"{ABLATIONS[0]}:/path: there is no experiment /path; after the ")
    assert "give one of facades, maps or " in message
