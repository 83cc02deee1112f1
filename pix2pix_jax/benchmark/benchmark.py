"""The benchmark command: how fast a config trains here, where the time goes, and who is faster."""

import json
import os
import platform
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from importlib.metadata import packages_distributions, version
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pix2pix_jax.benchmark.worker import (
    Found,
    WorkerFailed,
    WorkerTarget,
    compare,
    quartiles,
    run_in_worker,
    time_first_step,
)
from pix2pix_jax.config.resolve import resolve
from pix2pix_jax.config.schema import Config, replace_fields
from pix2pix_jax.errors import UsageError
from pix2pix_jax.gan.networks import make_generator
from pix2pix_jax.reports.benchmark import render_page
from pix2pix_jax.reports.benchmark_tables import format_result, parts_text, steps_text
from pix2pix_jax.runs.compatibility import check_folder
from pix2pix_jax.runs.workdir import Workdir
from pix2pix_jax.runtime.backend import cpu_info
from pix2pix_jax.runtime.console import plural, say
from pix2pix_jax.runtime.files import write_atomically

OURS = "pix2pix_jax"
STEP_PARTS = Path(__file__).with_name("step_parts.py")
FOLDER = Path(__file__).parents[2] / "experiments" / "benchmarks"
PEERS = {  # what each is timed as, and the function of its file that makes it
    "torch": {"torch": "eager", "torch tuned": "tuned", "torch compiled": "compiled"},
    "keras": {"keras": "tutorial"},
    "flax": {"flax": "plain"},
}
LIBRARIES = {"torch": ["torch"], "keras": ["keras", "tensorflow"], "flax": ["flax"]}
PLAIN = {  # what the peers do, and only that
    "data.input_channels": 3,
    "data.target_channels": 3,
    "model.generator": "unet",
    "model.norm": "batch",
    "model.norm_affine": True,
    "model.dropout_blocks": "first_three",
    "model.bias": "paper",
    "model.skip_slope": 0,
    "loss.gan": "vanilla",
    "loss.conditional": True,
    "optimizer.epsilon_hat": False,
    "optimizer.updates": "alternating",
}
SWEEPS = {
    "batch": (1, 2, 4, 8, 16),
    "size": (64, 128, 256, 512),
    "devices": (1, 2, 4),
}


def benchmark(
    config: Config, workdir: Workdir, peers: Sequence[str], sweep: str, rounds: int
) -> int:
    """Writes benchmark.json and report/benchmark.html, and prints a table.

    Args:
      config: an experiment.
      workdir: where they go.
      peers: of PEERS, to be timed beside ours.
      sweep: one of SWEEPS, or nothing.
      rounds: turns of each.

    Raises:
      UsageError: a peer that is not there, or that cannot do what the config asks for; or ours
        failed.
      OSError: a workdir that cannot be written to.
    """
    config, makers = resolve(config), implementations(peers)
    if len(makers) > 1:
        check_plain(config)
    check_folder(workdir)
    workdir.report.mkdir(parents=True, exist_ok=True)  # or it would fail at the end
    libraries = versions(["jax", *(name for peer in peers for name in LIBRARIES[peer])])
    say(f"timing {', '.join(makers)} in {plural(rounds, 'turn')}, after a first step of each")
    with worker_environment(devices_of(makers)) as environment:
        found = add_ratios(compare(makers, config, rounds, environment, unlike_ours))
        ours = our_result(found)
        results = {
            "machine": machine() | {"devices": ours["devices"]},
            "versions": libraries,
            "config": asdict(config),
            "implementations": found,
        }
        write(results, workdir)  # as all that comes after may fail
        ours["restart_seconds"] = explain_failure(
            time_first_step, makers[OURS], config, environment
        )
        say(steps_text(found))
        say("timing the parts of a step")
        parts = explain_failure(
            run_in_worker, WorkerTarget(STEP_PARTS, "parts"), config, environment
        )
    results["machine"]["devices"] = parts.pop("devices")
    parts["step"] |= {"seconds": ours["seconds_per_step"], "quartiles": ours["quartiles"]}
    results["phases"] = add_shares(parts)
    say(parts_text(results["phases"]))
    write(results, workdir)
    if sweep:
        points = []
        results["sweep"] = {"of": sweep, "values": SWEEPS[sweep], "points": points}
        for point in run_sweep(config, sweep, makers, rounds, found):
            points.append(point)
            write(results, workdir)
    say(f"{workdir.benchmark_file} has all numbers, {workdir.benchmark_page} shows them")
    return 0


def write(results: dict[str, Any], workdir: Workdir) -> None:
    """All that was found, as JSON and as a page."""
    write_atomically(workdir.benchmark_file, json.dumps(results, indent=2) + "\n")
    write_atomically(workdir.benchmark_page, render_page(results))


def implementations(peers: Iterable[str]) -> dict[str, WorkerTarget]:
    """Ours and those of the peers."""
    makers = {OURS: WorkerTarget(STEP_PARTS, "steps")}
    for peer in peers:
        if peer not in PEERS:
            raise UsageError(f"--peers: there is no {peer}; there are {', '.join(PEERS)}")
        file = FOLDER / f"{peer}_peer.py"
        if not file.exists():
            raise UsageError(f"--peers: {file} is not there; run it from a clone of the project")
        if absent := [library for library in LIBRARIES[peer] if not find_spec(library)]:
            raise UsageError(
                f"--peers: {peer} is not installed here; pip install {' '.join(absent)}, or "
                "pix2pix_jax[peers] for all"
            )
        makers |= {name: WorkerTarget(file, function) for name, function in PEERS[peer].items()}
    return makers


@contextmanager
def worker_environment(devices: int = 0) -> Iterator[dict[str, str]]:
    """Variables of what is timed: a GPU's memory is for all, and nothing is compiled yet.

    Args:
      devices: how many to see; 0: as many as there are.
    """
    with TemporaryDirectory(ignore_cleanup_errors=True) as compiled:
        environment = {
            # Of one that is killed with its locks: they are gone with it.
            "PYTHONWARNINGS": "ignore:resource_tracker:UserWarning",
            "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
            "TF_FORCE_GPU_ALLOW_GROWTH": "true",
            "JAX_COMPILATION_CACHE_DIR": compiled,
            "TORCHINDUCTOR_CACHE_DIR": compiled,
        }
        if devices:
            given = os.environ.get("CUDA_VISIBLE_DEVICES")
            gpus = map(str, range(devices)) if given is None else given.split(",")[:devices]
            environment |= {
                "JAX_NUM_CPU_DEVICES": str(devices),
                "CUDA_VISIBLE_DEVICES": ",".join(gpus),
            }
        if os.environ.get("JAX_PLATFORMS") == "cpu":  # so that it is for the peers, too
            environment["CUDA_VISIBLE_DEVICES"] = ""
        yield environment


def devices_of(makers: dict[str, WorkerTarget]) -> int:
    """How many devices are timed: one where there are peers, who know of no more; or all."""
    return int(len(makers) > 1)


def check_plain(config: Config) -> None:
    """Raises UsageError where a config does what the peers' steps do not.

    A decaying rate is no more work, and is let be.
    """
    groups, plain = asdict(config), dict(PLAIN)
    if config.model.norm_images:
        plain["model.norm_images"] = config.data.batch_size
    if make_generator(config).bottleneck_norm:
        plain["model.bottleneck_norm"] = False
    if config.model.discriminator == "tutorial":  # whose padding is not even
        plain["model.discriminator"] = "patch142"
    for field, value in plain.items():
        group, _, name = field.partition(".")
        if groups[group][name] != value:
            raise UsageError(
                f"--peers: {field} is {groups[group][name]}, and they train as the paper does; "
                f"give --config.{field}={value}"
            )


def our_result(found: Found) -> dict[str, Any]:
    """What was found of ours.

    Raises:
      UsageError: it failed, without which nothing is of use.
    """
    if "failed" in found[OURS]:
        raise UsageError(f"{OURS}: {found[OURS]['failed']}")
    return found[OURS]


def unlike_ours(found: Found) -> dict[str, str]:
    """Which peers do not do what ours does, and why; raises UsageError when that failed."""
    our_result(found)
    return find_unlike(found)


def find_unlike(found: Found) -> dict[str, str]:
    """Peers whose networks are not as large as ours, or that compute elsewhere, and how."""
    ours, reasons = found[OURS], {}
    for name, result in found.items():
        if "failed" in ours or "failed" in result:
            continue
        if result["parameters"] != ours["parameters"]:
            reasons[name] = f"{result['parameters']} parameters, and not {ours['parameters']}"
        elif result["devices"] != ours["devices"]:
            there, here = (
                f"{len(each['devices'])} {each['devices'][0]}" for each in (result, ours)
            )
            reasons[name] = f"computes on {there}, and ours on {here}; give both the same"
    return reasons


def unlike_asked(devices: int, found: Found) -> dict[str, str]:
    """What was started on another number of devices."""
    return {
        name: f"{plural(len(result['devices']), 'device')} seen here, and not {devices}"
        for name, result in found.items()
        if len(result.get("devices", ())) not in (0, devices)
    }


def add_ratios(found: Found) -> Found:
    """Adds what the others take for what ours takes, turn by turn: the median, and quartiles."""
    for name, result in found.items():
        if name != OURS and "turns" in result and "turns" in found[OURS]:
            turns = zip(result["turns"], found[OURS]["turns"], strict=True)
            low, result["ratio"], high = quartiles([theirs / ours for theirs, ours in turns])
            result["ratio_quartiles"] = [low, high]
    return found


def explain_failure(ask: Any, *arguments: Any) -> Any:
    """What ours answers in a process of its own; that it fails is for the user to know."""
    try:
        return ask(*arguments)
    except WorkerFailed as error:
        raise UsageError(f"{OURS}: {error}") from error


def add_shares(found: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Adds what a second does, and the share that it is of the matrix product's or the copy's.

    Args:
      found: by part, its `seconds`, and what is known of `images`, `operations` and `bytes` in it.
    """
    for row in found.values():
        for work in ("images", "operations", "bytes"):
            if work in row:
                row[f"{work}_per_second"] = row[work] / row["seconds"]
    peak = found["matrix product"]["operations_per_second"]
    bandwidth = found["copy"]["bytes_per_second"]
    for row in found.values():
        if "operations" in row:
            row["share"] = row["operations_per_second"] / peak
        elif "bytes" in row:
            row["share"] = row["bytes_per_second"] / bandwidth
    return found


def run_sweep(
    config: Config, sweep: str, makers: dict[str, WorkerTarget], rounds: int, known: Found
) -> Iterator[dict[str, Any]]:
    """Times a config at several batches, sizes or numbers of devices, one by one.

    Args:
      config: resolved.
      sweep: of SWEEPS.
      makers: what is timed; on several devices, ours alone.
      rounds: turns of each.
      known: what was found of the config itself, and need not be timed again.
    """
    if sweep == "devices":
        makers = {OURS: makers[OURS]}
    for value in SWEEPS[sweep]:
        with worker_environment(value if sweep == "devices" else devices_of(makers)) as environment:
            try:
                point = vary(config, sweep, value)
                if len(makers) > 1:
                    check_plain(point)
                apart = partial(unlike_asked, value) if sweep == "devices" else find_unlike
                if point == config and not apart(known):
                    found = {name: known[name] for name in makers}
                else:
                    found = add_ratios(compare(makers, point, rounds, environment, apart))
            except UsageError as error:  # of the point, and so for all of them
                found = {name: {"failed": str(error)} for name in makers}
        say(f"{sweep} {value}: " + "; ".join(f"{n} {format_result(r)}" for n, r in found.items()))
        yield {sweep: value, "implementations": found}


def vary(config: Config, sweep: str, value: int) -> Config:
    """A config with a batch, of a size, or with a batch for so many devices."""
    if sweep == "size":
        size = {"image_size": (value, value), "load_size": None}
        return resolve(replace_fields(config, {"data": size, "model": {"depth": None}}))
    images = value if sweep == "batch" else value * config.data.batch_size
    return resolve(replace_fields(config, {"data": {"batch_size": images}}))


def machine() -> dict[str, Any]:
    """What it ran on."""
    affine = getattr(os, "sched_getaffinity", None)  # of Linux
    return {
        "cpu": cpu_info("model name") or platform.processor() or platform.machine(),
        "cores": len(affine(0)) if affine else os.cpu_count(),
    }


def versions(libraries: Iterable[str]) -> dict[str, str]:
    """Of Python, and of libraries by what they are imported as."""
    distributions = packages_distributions()
    python = {"python": platform.python_version()}
    known = {name: distributions[name][0] for name in libraries if name in distributions}
    return python | {name: version(distribution) for name, distribution in known.items()}
