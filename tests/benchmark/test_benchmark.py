import json
import math
import multiprocessing
import re
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from helpers.command_line import ROOT, TINY
from helpers.refusals import refusal

from pix2pix_jax.benchmark import (
    benchmark,
    comparison,
    environment,
    growth,
    peers,
    results,
    step_parts,
    timing,
    worker,
)
from pix2pix_jax.benchmark.comparison import Turns, compare
from pix2pix_jax.benchmark.worker import WorkerTarget, load_target
from pix2pix_jax.cli.main import run_command
from pix2pix_jax.config import Config, Data, Model, replace_fields
from pix2pix_jax.config.files import override
from pix2pix_jax.config.resolve import resolve
from pix2pix_jax.errors import UsageError
from pix2pix_jax.gan.summary import describe, operations
from pix2pix_jax.reports.benchmark_tables import format_number
from pix2pix_jax.training import train

TRIALS = Path(__file__).parents[1] / "helpers" / "trials.py"


@pytest.fixture
def timed(tmp_path, monkeypatch):
    """Compares trials by name; what they are told, and the lines that they write."""

    def timed(*names, rounds=3, unlike=lambda found: {}):
        log = tmp_path / "log"
        log.touch()
        makers = {name: WorkerTarget(TRIALS, name) for name in names}
        found = compare(makers, resolve(Config()), Turns(rounds, 0), {"TRIALS": str(log)}, unlike)
        return found, log.read_text().split("\n")[:-1]

    return timed


def test_implementations_take_turns(timed):
    """A step that compiles, one that warms up and one that is timed for the length of a turn."""
    found, lines = timed("first", "second")
    begin = ["first 1", "first 1", "second 4", "second 4", "first 1", "second 4"]
    assert lines == begin + ["first 1", "second 4"] * 3
    assert list(found) == ["first", "second"]
    assert found["first"]["parameters"] == [3, 2]
    assert found["first"]["peak_memory_mib"] == 5


def test_the_median_of_turns_is_what_counts(monkeypatch):
    """Of a worker that answers at once with what it is to have taken."""
    taken = iter([9.0, 3.0, 1.0, 2.0, 8.0, 4.0])  # the first is for the length of a turn

    class Worker:
        def __init__(self, *_):
            pass

        def answer(self):
            return {"steps": 1, "first_step_seconds": 7.0, "parameters": [1, 1], "devices": ["cpu"]}

        def ask(self, steps):
            return next(taken) if steps else 5 * 2**20

        def close(self):
            pass

    monkeypatch.setattr(comparison, "Worker", Worker)
    config = resolve(Config(data=Data(batch_size=6)))
    found = compare({"one": WorkerTarget(TRIALS, "first")}, config, Turns(5), {}, lambda found: {})[
        "one"
    ]
    assert found["seconds_per_step"] == 3.0
    assert found["turns"] == [3.0, 1.0, 2.0, 8.0, 4.0]
    assert found["images_per_second"] == 2.0
    assert found["quartiles"] == [2.0, 4.0]
    assert found["first_step_seconds"] == 7.0
    assert found["peak_memory_mib"] == 5


def test_what_does_not_work_is_told_and_the_others_are_timed(timed):
    found, lines = timed("broken", "first", "ending", "killed", "tiring")
    assert found["broken"] == {"failed": "ValueError: no such thing"}
    assert found["ending"] == {"failed": "the process ended with status 3"}
    assert found["killed"]["failed"].startswith(
        "the process was killed, probably for lack of memory; make "
    )
    assert found["tiring"] == {"failed": "RuntimeError: no more"}  # in its second turn
    assert found["first"]["seconds_per_step"] >= 0
    assert lines[-1] == "first 1"


def test_what_the_user_can_mend_is_an_error(timed):
    assert refusal(timed, "refusing") == "data.batch_size: no"
    error = refusal(peers.find_targets, ["jvm"])
    assert error == "--peers: jvm is unknown; choose from torch, keras, flax"


@pytest.mark.parametrize(
    ("name", "debug", "expected"),
    [
        ("broken", "0", "ValueError: no such thing\nand more"),
        ("refusing", "0", None),
        ("refusing", "1", "UsageError: data.batch_size: no"),
    ],
)
def test_a_failure_of_a_worker_keeps_its_traceback(name, debug, expected, monkeypatch, capsys):
    """An error that the user can fix has none, unless PIX2PIX_DEBUG asks for it."""
    monkeypatch.setenv("PIX2PIX_DEBUG", debug)
    with pytest.raises((worker.WorkerFailed, UsageError)):
        worker.run_in_worker(WorkerTarget(TRIALS, name), resolve(Config()), {})
    printed = capsys.readouterr().err
    if expected is None:
        assert printed == ""
    else:
        assert f'{TRIALS}", line ' in printed
        assert f"in {name}\n" in printed
        assert expected in printed


def test_a_ratio_is_that_of_turns():
    """An hour that was slow for both does not count."""
    found = {
        results.OURS: {"turns": [1.0, 10.0, 2.0]},
        "other": {"turns": [2.0, 20.0, 2.0]},
        "broken": {"failed": "so it is"},
    }
    other = results.add_ratios(found)["other"]
    assert (other["ratio"], other["ratio_quartiles"]) == (2.0, [1.5, 2.0])
    assert found["broken"] == {"failed": "so it is"}
    assert found[results.OURS] == {"turns": [1.0, 10.0, 2.0]}


def test_a_peer_without_its_library_is_refused(tmp_path, monkeypatch):
    """At once; or, where its library needs another one, when it is started."""
    monkeypatch.setattr(peers, "find_spec", lambda name: name != "tensorflow")
    error = refusal(peers.find_targets, ["keras"])
    assert (
        "keras is not installed here; pip install tensorflow, or pix2pix_jax[peers] for all peers"
        in error
    )
    (tmp_path / "some_peer.py").write_text("import no_such_library\n")
    error = refusal(load_target, WorkerTarget(tmp_path / "some_peer.py", "make"))
    assert error.endswith(
        "needs no_such_library, which is not installed; pip install no_such_library"
    )


def test_networks_of_another_size_are_not_compared(timed):
    """Nor what computes elsewhere; and neither is timed in vain."""

    def unlike(found):
        reasons = peers.find_mismatches_of_config(named(found, results.OURS, "first"))
        assert peers.find_mismatches(named(found, results.OURS, "broken")) == {}
        return reasons

    found, lines = timed("first", "other", "elsewhere", "broken", unlike=unlike)
    assert found["other"] == {"failed": "has [3, 1] parameters, but ours [3, 2]"}
    reason = "computes on 1 gpu, but ours on 1 cpu; give both the same devices"
    assert found["elsewhere"] == {"failed": reason}
    assert len(found["first"]["turns"]) == 3
    assert lines.count("elsewhere 1") == 2  # its start


def named(found, new, old):
    return {new if name == old else name: result for name, result in found.items()}


def test_without_ours_nothing_is_of_use_but_a_point_of_a_sweep():
    """The peers go on where ours had no room: there they would win."""
    found = {results.OURS: {"failed": "no room"}, "other": {"turns": [1.0], "devices": ["cpu"]}}
    assert refusal(peers.find_mismatches_of_config, found) == "pix2pix_jax: no room"
    assert peers.find_mismatches(found) == {}
    assert results.add_ratios(dict(found)) == found
    assert "ratio" not in found["other"]


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
    """With the flag that mends it, and does."""
    config = resolve(replace_fields(Config(), changes))
    error = refusal(peers.check_plain, config)
    field, value = re.search(r"give --config\.(\S+)=(\S+)$", error).groups()
    assert field.partition(".")[2] in next(iter(changes.values()))
    peers.check_plain(resolve(override(config, {field: value})))


def test_a_decaying_rate_is_no_more_work_to_peers():
    peers.check_plain(
        resolve(replace_fields(Config(), {"optimizer": {"schedule": "linear_decay"}}))
    )


@pytest.mark.parametrize("peer", ["torch", "keras", "flax"])
@pytest.mark.parametrize("discriminator", ["pixel", "patch16", "patch70"])
def test_peers_have_as_many_parameters_as_ours(peer, discriminator):
    pytest.importorskip(peer)
    small = Model(features=4, depth=6, discriminator=discriminator, discriminator_features=4)
    config = resolve(Config(data=Data(image_size=(64, 64)), model=small))
    maker = peers.find_targets([peer])[next(iter(peers.PEERS[peer]))]
    layers = describe(config)
    trial = load_target(maker)(config)
    counts = [sum(math.prod(array.shape) for array in network) for network in trial.weights()]
    assert counts == [layers[name]["parameters"] for name in ("generator", "discriminator")]


@pytest.mark.parametrize("peer", ["torch", "keras", "flax"])
def test_every_weight_of_a_peer_learns(peer):
    """As the tutorial's discriminator does only where it is asked before it is frozen."""
    pytest.importorskip(peer)
    small = Model(features=4, depth=5, discriminator="patch16", discriminator_features=4)
    config = resolve(Config(data=Data(image_size=(32, 32)), model=small))
    for name in peers.PEERS[peer]:
        if name != "torch compiled":  # whose step is that of the other
            trial = load_target(peers.find_targets([peer])[name])(config)
            trial.run(1)
            before = [np.asarray(weight).copy() for weight in sum(trial.weights(), [])]
            trial.run(1)
            for old, new in zip(before, sum(trial.weights(), []), strict=True):
                assert (old != np.asarray(new)).any()


def test_ours_trains_as_many_steps_as_it_is_asked_for(small):
    """`run` is timed, and no more is known of it; so its state must have come as far."""
    states = []
    made = train.parallel_steps

    def steps(*arguments):
        step = made(*arguments)
        return lambda state, batches: states.append(step(state, batches)) or states[-1]

    config = replace(small, data=replace(small.data, batch_size=4))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train, "parallel_steps", steps)
        ours = step_parts.steps(config)
        ours.run(3)
    assert int(states[-1][0].step) == 3


def test_parts_of_a_step_say_what_they_do(small):
    """On four devices: what lies on the host is for all of them, the rest for one."""
    config = replace(small, data=replace(small.data, batch_size=8))
    found = step_parts.parts(config)
    layers = describe(config)
    weights = layers["generator"]["parameters"] + layers["discriminator"]["parameters"]
    generator, discriminator = (2 * each for each in operations(layers))
    assert found.pop("devices") == ["cpu"] * 4
    rows = [
        ("data", 8, None, None),
        ("host to device", 8, None, 5 * 4 * 8),  # choices: five numbers of each image
        ("data, were none resident", 8, None, None),
        ("generator", 2, generator, None),
        ("discriminator", 2, discriminator * 3 // 4, None),
        ("optimizer", 2, None, 28 * weights),
        ("matrix product", None, 2 * 2048**3, None),
        ("copy", None, None, 8 * 2**26),
        ("step", 8, generator + discriminator, None),
    ]
    works = "images", "operations", "bytes"
    assert [(name, *map(row.get, works)) for name, row in found.items()] == rows
    for name, row in found.items():
        assert name == "step" or 0 < row["quartiles"][0] <= row["seconds"] <= row["quartiles"][1]
    cut = step_parts.parts_of_data(
        replace(config, data=replace(config.data, resident_mib=0)), step_parts.noise_records(config)
    )
    assert list(cut) == ["data", "host to device"]
    assert cut["host to device"]["bytes"] == 8 * (2 * 32 * 32 * 3 + 4)  # images, and their index


def test_a_step_is_timed_as_one_of_many(monkeypatch):
    """So many that what one waits for does not count; each for its part of the time."""
    now, calls = [0.0], []
    monkeypatch.setattr(timing.time, "perf_counter", lambda: now[0])

    def run():
        calls.append(now[0])
        now[0] += 0.5
        return 0

    found = timing.time_calls(run, turns=3, min_seconds=2.0)
    assert found == {"seconds": 0.5, "quartiles": [0.5, 0.5]}
    assert len(calls) == 2 + 3 * 4


def test_shares_are_of_what_the_machine_can_do():
    parts = {
        "matrix product": {"seconds": 2.0, "operations": 8},
        "copy": {"seconds": 0.5, "bytes": 10},
        "generator": {"seconds": 4.0, "operations": 8, "images": 2},
        "optimizer": {"seconds": 1.0, "bytes": 5},
        "data": {"seconds": 3.0, "images": 2},
    }
    found = results.add_shares(parts)
    assert found["generator"]["operations_per_second"] == 2
    assert found["generator"]["images_per_second"] == 0.5
    assert "images_per_second" not in found["copy"]
    assert found["generator"]["share"] == 0.5
    assert found["optimizer"]["share"] == 0.25
    assert found["data"] == {"seconds": 3.0, "images": 2, "images_per_second": 2 / 3}


@pytest.mark.slow
def test_a_peer_that_does_not_answer_is_given_up(timed, monkeypatch):
    """And ended at once, or it might compute on beside the others."""
    monkeypatch.setattr(worker, "ANSWER_TIMEOUT", 10)
    before, alive = set(multiprocessing.active_children()), []

    def unlike(found):
        alive.append(len(set(multiprocessing.active_children()) - before))
        return {}

    found, _ = timed("sleeping", "first", unlike=unlike)
    assert found["sleeping"] == {"failed": "no answer in 10 s"}
    assert len(found["first"]["turns"]) == 3
    assert alive == [1]


def test_peers_are_not_charged_for_what_is_ours():
    """Memory and first steps of the others are without JAX, and all that comes with it."""
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


def test_a_point_that_is_the_config_is_not_timed_again(monkeypatch):
    """Other points are; on several devices what was timed on another number of them."""
    timed = []

    def compared(makers, config, turns, environment, unlike):
        timed.append(config.data.batch_size)
        one = {"turns": [1.0], "seconds_per_step": 1.0, "devices": ["cpu"], "parameters": [1, 1]}
        found = {name: dict(one) for name in makers}
        return found | {name: {"failed": reason} for name, reason in unlike(found).items()}

    monkeypatch.setattr(growth, "compare", compared)
    monkeypatch.setattr(growth, "say", lambda text: None)
    config = resolve(Config(data=Data(batch_size=2)))
    known = {
        name: {
            "turns": [5.0],
            "seconds_per_step": 5.0,
            "devices": ["cpu"] * 2,
            "parameters": [1, 1],
        }
        for name in (results.OURS, "other")
    }
    makers = dict.fromkeys(known)
    for sweep, expected in (("batch", [1, 4, 8, 16]), ("devices", [2, 4, 8]), ("size", [2, 2, 2])):
        timed.clear()
        points = list(growth.run_sweep(config, sweep, makers, Turns(1), known))
        assert timed == expected
        assert [point[sweep] for point in points] == list(growth.SWEEPS[sweep])
        if sweep == "batch":
            assert points[1]["implementations"] == known
        if sweep == "devices":  # 1 device of 2 images, where 2 had 1 each
            failed = [point["implementations"][results.OURS].get("failed") for point in points]
            assert failed == [None, *(f"finds 1 device here, not {n}" for n in (2, 4))]


def test_gpus_are_those_that_were_given(monkeypatch):
    monkeypatch.setenv("JAX_PLATFORMS", "")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5,6")
    with environment.worker_environment(2) as variables:
        assert variables["CUDA_VISIBLE_DEVICES"] == "3,5"
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    with environment.worker_environment(2) as variables:
        assert variables["CUDA_VISIBLE_DEVICES"] == ""


@pytest.mark.slow
def test_benchmark_of_a_tiny_run(tmp_path, monkeypatch):
    monkeypatch.setitem(growth.SWEEPS, "devices", (1, 2))
    monkeypatch.setattr(benchmark, "Turns", partial(Turns, seconds=0.1))
    said = []
    for module in (benchmark, growth, comparison):
        monkeypatch.setattr(module, "say", said.append)
    deepest = "--config.model.depth=5"  # as peers have it
    arguments = "benchmark", "--config=experiments/quickstart.py", *TINY, f"--workdir={tmp_path}"
    monkeypatch.chdir(ROOT)
    assert run_command([*arguments, deepest, "--peers=flax", "--sweep=devices", "--rounds=1"]) == 0
    found = json.loads((tmp_path / "benchmark.json").read_text())
    ours, flax = (found["implementations"][name] for name in ("pix2pix_jax", "flax"))
    assert flax["ratio"] == flax["seconds_per_step"] / ours["seconds_per_step"]  # of one turn
    assert flax["parameters"] == ours["parameters"]
    assert flax["devices"] == ours["devices"] == ["cpu"]
    assert found["config"]["model"]["depth"] == 5
    assert set(found["versions"]) == {"python", "jax", "flax"}
    assert found["phases"]["step"]["seconds"] == ours["seconds_per_step"]
    assert [point["devices"] for point in found["sweep"]["points"]] == [1, 2]
    for point in found["sweep"]["points"]:
        assert point["implementations"]["pix2pix_jax"]["seconds_per_step"] > 0
        assert len(point["implementations"]["pix2pix_jax"]["devices"]) == point["devices"]
    out = "\n".join(said)
    assert format_number(1e3 * ours["seconds_per_step"]) in out
    assert f"{ours['restart_seconds']:.1f} s, not" in out
    page = (tmp_path / "report/benchmark.html").read_text()
    assert page.count("<table") == 3
    assert page.count("<svg") == 1
