"""The peers, and the checks that they do the same work as our implementation."""

import math
import re
import subprocess
import sys

import numpy as np
import pytest
from helpers.command_line import ROOT
from helpers.refusals import refusal

from pix2pix_jax.benchmark import peers, results
from pix2pix_jax.benchmark.results import OURS
from pix2pix_jax.benchmark.worker import WorkerTarget, load_target
from pix2pix_jax.config import Config, Data, Model, replace_fields
from pix2pix_jax.config.files import override
from pix2pix_jax.config.resolve import resolve
from pix2pix_jax.gan.description import describe


def test_an_unknown_peer_is_refused():
    error = refusal(peers.find_targets, ["jvm"])
    assert error == "--peers: jvm is unknown; choose from torch, keras, flax"


def test_a_peer_without_its_library_is_refused(tmp_path, monkeypatch):
    """`find_targets` finds a missing library of a peer, `load_target` any other missing library."""
    monkeypatch.setattr(peers, "find_spec", lambda name: name != "tensorflow")
    error = refusal(peers.find_targets, ["keras"])
    assert (
        "keras is not installed here; pip install tensorflow, or pip install 'pix2pix_jax[peers]'"
        in error
    )
    (tmp_path / "some_peer.py").write_text("import no_such_library\n")
    error = refusal(load_target, WorkerTarget(tmp_path / "some_peer.py", "make"))
    assert error.endswith(
        "needs no_such_library, which is not installed; run pip install no_such_library"
    )


def test_a_failure_of_our_implementation_ends_the_benchmark_but_not_a_sweep():
    """A sweep still times the peers where our implementation runs out of memory."""
    found = {OURS: {"failed": "no room"}, "other": {"turns": [1.0], "devices": ["cpu"]}}
    assert refusal(peers.find_mismatches_or_raise, found) == (
        "pix2pix_jax: cannot be timed, so it cannot be compared with any other implementation: "
        "no room"
    )
    assert peers.find_mismatches(found) == {}
    assert results.add_ratios(dict(found)) == found
    assert "ratio" not in found["other"]


def test_a_missing_module_of_this_project_is_not_a_usage_error(tmp_path):
    (tmp_path / "some_peer.py").write_text("import pix2pix_jax.no_such_module\n")
    with pytest.raises(ModuleNotFoundError, match="no_such_module"):
        load_target(WorkerTarget(tmp_path / "some_peer.py", "make"))


@pytest.mark.parametrize(
    "changes",
    [
        {"data": {"input_channels": 1}},
        {"model": {"norm": "instance"}},
        {"model": {"discriminator": "tutorial"}},
        {"loss": {"gan": "lsgan"}},
        {"model": {"depth": 7, "bottleneck_norm": True}},
        {"optimizer": {"updates": "simultaneous"}},
    ],
)
def test_a_config_that_peers_cannot_train_is_refused(changes):
    """The error names a flag that fixes the config."""
    config = resolve(replace_fields(Config(), changes))
    error = refusal(peers.check_peers_can_train, config)
    field, value = re.search(r"give --config\.(\S+)=(\S+)$", error).groups()
    assert field.partition(".")[2] in next(iter(changes.values()))
    peers.check_peers_can_train(resolve(override(config, {field: value})))


def test_the_learning_rate_schedule_may_differ_from_that_of_the_peers():
    peers.check_peers_can_train(
        resolve(replace_fields(Config(), {"optimizer": {"schedule": "linear_decay"}}))
    )


@pytest.mark.parametrize("peer", ["torch", "keras", "flax"])
@pytest.mark.parametrize("discriminator", ["pixel", "patch16", "patch70"])
def test_peers_have_as_many_parameters_as_ours(peer, discriminator):
    pytest.importorskip(peer)
    small = Model(features=4, depth=6, discriminator=discriminator, discriminator_features=4)
    config = resolve(Config(data=Data(image_size=(64, 64)), model=small))
    target = peers.find_targets([peer])[next(iter(peers.PEERS[peer]))]
    layers = describe(config)
    trial = load_target(target)(config)
    counts = [sum(math.prod(array.shape) for array in network) for network in trial.weights()]
    assert counts == [layers[name]["parameters"] for name in ("generator", "discriminator")]


@pytest.mark.parametrize("peer", ["torch", "keras", "flax"])
def test_every_weight_of_a_peer_learns(peer):
    """The Keras discriminator would not learn if it were frozen before its first training call."""
    pytest.importorskip(peer)
    small = Model(features=4, depth=5, discriminator="patch16", discriminator_features=4)
    config = resolve(Config(data=Data(image_size=(32, 32)), model=small))
    for name in peers.PEERS[peer]:
        if name != "torch compiled":  # This implementation takes the steps of "torch".
            trial = load_target(peers.find_targets([peer])[name])(config)
            trial.run(1)
            before = [np.asarray(weight).copy() for weight in sum(trial.weights(), [])]
            trial.run(1)
            for old, new in zip(before, sum(trial.weights(), []), strict=True):
                assert (old != np.asarray(new)).any()


def test_the_torch_and_keras_peers_import_neither_jax_nor_its_libraries():
    """The imports would add to the memory of the peers and to the time of their first step."""
    code = "import pix2pix_jax.config, pix2pix_jax.models.topology, pix2pix_jax.benchmark.worker"
    code += "; import sys; print(*sys.modules)"
    command = [sys.executable, "-c", code]
    modules = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert "pix2pix_jax.benchmark.worker" in modules.split()
    assert not {"jax", "flax", "numpy", "grain", "tensorflow_datasets"} & set(modules.split())
    for peer in ("torch", "keras"):
        file = peers.FOLDER / f"{peer}_peer.py"
        imported = re.findall(r"^from pix2pix_jax\.([\w.]+) import", file.read_text(), re.MULTILINE)
        assert imported == ["benchmark.worker", "config", "models.topology"]
