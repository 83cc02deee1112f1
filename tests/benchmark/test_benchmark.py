"""The benchmark command: its results, sweeps, ratios and shares."""

import json
from functools import partial

import pytest
from helpers.command_line import ROOT, TINY
from helpers.refusals import refusal

from pix2pix_jax.benchmark import (
    benchmark,
    comparison,
    environment,
    growth,
    results,
)
from pix2pix_jax.benchmark.comparison import Turns
from pix2pix_jax.benchmark.results import OURS
from pix2pix_jax.benchmark.worker import WorkerFailed
from pix2pix_jax.cli.main import run_command
from pix2pix_jax.config import Config, Data
from pix2pix_jax.config.resolve import resolve
from pix2pix_jax.reports.benchmark_tables import format_number
from pix2pix_jax.runs.workdir import Workdir


def test_results_are_written_after_every_stage(tmp_path, monkeypatch):
    """The workers are replaced by given measurements; every stage adds its keys to the results."""
    ours = {"turns": [2.0], "seconds_per_step": 2.0, "quartiles": [2.0, 2.0], "devices": ["cpu"]}
    ours |= {"images_per_second": 0.5, "peak_memory_mib": 7, "first_step_seconds": 9.0}
    ours |= {"parameters": [1, 1]}
    row = {"seconds": 1.0, "quartiles": [1.0, 1.0]}
    parts = {
        "matrix product": row | {"operations": 4},
        "copy": row | {"bytes": 4},
        "step": {"operations": 6, "images": 1},
        "devices": ["some processor"],
    }
    workdir, written = Workdir(tmp_path), []

    def compare_given(targets, config, turns, variables, find_mismatches):
        assert not find_mismatches(dict.fromkeys(targets, ours))
        return {name: dict(ours) for name in targets}

    def write(results):
        written.append((list(results), "restart_seconds" in results["implementations"][OURS]))
        return "page"

    monkeypatch.setattr(benchmark, "compare", compare_given)
    monkeypatch.setattr(growth, "compare", compare_given)
    monkeypatch.setattr(benchmark, "time_first_step", lambda *_: 3.0)
    monkeypatch.setattr(benchmark, "run_in_worker", lambda *_: parts)
    monkeypatch.setattr(benchmark, "render_benchmark_page", write)
    monkeypatch.setitem(growth.SWEEPS, "batch", (1, 2))
    benchmark.benchmark(Config(), workdir, [], "batch", 1)
    keys = ["machine", "versions", "config", "implementations"]
    stages = [(keys, False), ([*keys, "phases"], True)]
    assert written == [*stages, *[([*keys, "phases", "sweep"], True)] * 2]
    found = json.loads(workdir.benchmark_file.read_text())
    assert found["implementations"] == {OURS: ours | {"restart_seconds": 3.0}}
    assert list(found["machine"]) == ["cpu", "cores", "devices"]
    assert found["machine"]["devices"] == ["some processor"]
    step = found["phases"]["step"]
    assert (step["seconds"], step["share"], step["images_per_second"]) == (2.0, 0.75, 0.5)
    assert [point["batch"] for point in found["sweep"]["points"]] == [1, 2]
    assert (found["sweep"]["of"], found["sweep"]["values"]) == ("batch", [1, 2])
    assert workdir.benchmark_page.read_text() == "page"


def test_a_failure_while_timing_the_parts_is_reported_in_one_line(tmp_path, monkeypatch):
    def fail(*_):
        raise WorkerFailed("no answer in 1 s")

    run = benchmark.Benchmark(resolve(Config()), Workdir(tmp_path), {}, Turns(1))
    monkeypatch.setattr(benchmark, "run_in_worker", fail)
    assert refusal(run.time_parts, {}) == "pix2pix_jax: no answer in 1 s"


def test_the_ratio_is_the_median_over_turns():
    """A turn that was slow for both implementations does not change the ratio."""
    found = {
        OURS: {"turns": [1.0, 10.0, 2.0]},
        "other": {"turns": [2.0, 20.0, 2.0]},
        "broken": {"failed": "no room"},
    }
    other = results.add_ratios(found)["other"]
    assert (other["ratio"], other["ratio_quartiles"]) == (2.0, [1.5, 2.0])
    assert found["broken"] == {"failed": "no room"}
    assert found[OURS] == {"turns": [1.0, 10.0, 2.0]}


def test_a_share_is_the_rate_of_a_part_divided_by_the_limit_of_the_machine():
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


def test_a_sweep_does_not_time_the_config_itself_again(monkeypatch):
    """The sweep times the config again only if a point needs another number of devices."""
    timed = []

    def compare_one(targets, config, turns, environment, find_mismatches):
        timed.append(config.data.batch_size)
        one = {"turns": [1.0], "seconds_per_step": 1.0, "devices": ["cpu"], "parameters": [1, 1]}
        found = {name: dict(one) for name in targets}
        return found | {name: {"failed": reason} for name, reason in find_mismatches(found).items()}

    monkeypatch.setattr(growth, "compare", compare_one)
    monkeypatch.setattr(growth, "say", lambda text: None)
    config = resolve(Config(data=Data(batch_size=2)))
    known = {
        name: {
            "turns": [5.0],
            "seconds_per_step": 5.0,
            "devices": ["cpu"] * 2,
            "parameters": [1, 1],
        }
        for name in (OURS, "other")
    }
    targets = dict.fromkeys(known)
    for sweep, expected in (("batch", [1, 4, 8, 16]), ("devices", [2, 4, 8]), ("size", [2, 2, 2])):
        timed.clear()
        points = list(growth.run_sweep(config, sweep, targets, Turns(1), known))
        assert timed == expected
        assert [point[sweep] for point in points] == list(growth.SWEEPS[sweep])
        if sweep == "batch":
            assert points[1]["implementations"] == known
        if sweep == "devices":  # The fake workers find one device.
            failed = [point["implementations"][OURS].get("failed") for point in points]
            assert failed == [None, *(f"finds 1 device here, not {n}" for n in (2, 4))]


def test_workers_see_the_first_of_the_visible_gpus(monkeypatch):
    monkeypatch.setenv("JAX_PLATFORMS", "")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5,6")
    with environment.worker_environment(2) as variables:
        assert variables["CUDA_VISIBLE_DEVICES"] == "3,5"
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    with environment.worker_environment(2) as variables:
        assert variables["CUDA_VISIBLE_DEVICES"] == ""


@pytest.mark.slow
def test_a_benchmark_writes_and_prints_all_its_numbers(tmp_path, monkeypatch):
    monkeypatch.setitem(growth.SWEEPS, "devices", (1, 2))
    monkeypatch.setattr(benchmark, "Turns", partial(Turns, seconds=0.1))
    printed = []
    for module in (benchmark, growth, comparison):
        monkeypatch.setattr(module, "say", printed.append)
    deepest = "--config.model.depth=5"  # the depth that the peers can train
    arguments = "benchmark", "--config=experiments/quickstart.py", *TINY, f"--workdir={tmp_path}"
    monkeypatch.chdir(ROOT)
    assert run_command([*arguments, deepest, "--peers=flax", "--sweep=devices", "--rounds=1"]) == 0
    found = json.loads((tmp_path / "benchmark.json").read_text())
    ours, flax = (found["implementations"][name] for name in ("pix2pix_jax", "flax"))
    # There is only one turn.
    assert flax["ratio"] == flax["seconds_per_step"] / ours["seconds_per_step"]
    assert flax["parameters"] == ours["parameters"]
    assert flax["devices"] == ours["devices"] == ["cpu"]
    assert found["config"]["model"]["depth"] == 5
    assert set(found["versions"]) == {"python", "jax", "flax"}
    assert found["phases"]["step"]["seconds"] == ours["seconds_per_step"]
    assert [point["devices"] for point in found["sweep"]["points"]] == [1, 2]
    for point in found["sweep"]["points"]:
        assert point["implementations"]["pix2pix_jax"]["seconds_per_step"] > 0
        assert len(point["implementations"]["pix2pix_jax"]["devices"]) == point["devices"]
    out = "\n".join(printed)
    assert format_number(1e3 * ours["seconds_per_step"]) in out
    assert f"{ours['restart_seconds']:.1f} s, not" in out
    page = (tmp_path / "report/benchmark.html").read_text()
    assert page.count("<table") == 3
    assert page.count("<svg") == 1
