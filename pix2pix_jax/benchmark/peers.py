"""The implementations to time: ours and the peers, and checks that they do the same work."""

from collections.abc import Iterable
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pix2pix_jax.benchmark.choices import LIBRARIES, PEERS
from pix2pix_jax.benchmark.results import OURS, Measurements
from pix2pix_jax.benchmark.worker import WorkerTarget
from pix2pix_jax.config.schema import Config
from pix2pix_jax.errors import UsageError
from pix2pix_jax.gan.networks import make_generator
from pix2pix_jax.runtime.console import plural
from pix2pix_jax.suggestions import closest_name

STEP_PARTS = Path(__file__).with_name("step_parts.py")
FOLDER = Path(__file__).parents[2] / "experiments" / "benchmarks"
PEER_VALUES = {  # The peers can train only configs with these values.
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


def find_targets(peers: Iterable[str]) -> dict[str, WorkerTarget]:
    """Finds our implementation and the peers' implementations, by their names in the results.

    Raises:
      UsageError: a peer is unknown, or its file or library is missing.
    """
    targets = {OURS: WorkerTarget(STEP_PARTS, "make_trial")}
    for peer in peers:
        if peer not in PEERS:
            near = closest_name(peer, PEERS)
            hint = f"; did you mean {near}?" if near else ""
            raise UsageError(f"--peers: {peer} is unknown", f"choose from {', '.join(PEERS)}{hint}")
        file = FOLDER / f"{peer}_peer.py"
        if not file.exists():
            raise UsageError(
                f"--peers: {file} is missing",
                "run `python -m pix2pix_jax benchmark` in the folder of a clone of the project",
            )
        if missing := [library for library in LIBRARIES[peer] if not find_spec(library)]:
            raise UsageError(
                f"--peers: {peer} is not installed here",
                f"pip install {' '.join(missing)}, or pip install 'pix2pix_jax[peers]' for all "
                "peers",
            )
        targets |= {name: WorkerTarget(file, function) for name, function in PEERS[peer].items()}
    return targets


def count_devices(targets: dict[str, WorkerTarget]) -> int:
    """The number of devices to time on; 0 means all.

    With peers the number is 1, because peers use only one device.
    """
    return int(len(targets) > 1)


def check_peers_can_train(config: Config) -> None:
    """Checks that a training step of the peers does the work that a config describes.

    The schedule of the learning rate may differ, because it takes no time.

    Args:
      config: a resolved config.

    Raises:
      UsageError: the peers cannot train this config.
    """
    groups, allowed = asdict(config), dict(PEER_VALUES)
    if config.model.norm_images:
        allowed["model.norm_images"] = config.data.batch_size
    if make_generator(config).bottleneck_norm:
        allowed["model.bottleneck_norm"] = False
    if config.model.discriminator == "tutorial":  # The benchmark does not compare uneven padding.
        allowed["model.discriminator"] = "patch142"
    for field, value in allowed.items():
        group, _, name = field.partition(".")
        if groups[group][name] != value:
            raise UsageError(
                f"--peers: {field} is {groups[group][name]}, but the peers train with {value}",
                f"give --config.{field}={value}",
            )


def require_ours(measurements: Measurements) -> dict[str, Any]:
    """The measurements of our implementation.

    Raises:
      UsageError: our implementation failed, so other implementations cannot be compared with it.
    """
    if "failed" in measurements[OURS]:
        raise UsageError(
            f"{OURS}: cannot be timed, so it cannot be compared with any other implementation: "
            f"{measurements[OURS]['failed']}"
        )
    return measurements[OURS]


def find_mismatches(measurements: Measurements) -> dict[str, str]:
    """The peers that cannot be compared with our implementation, each with the reason.

    A peer cannot be compared if it has other networks or computes on other devices. If our
    implementation failed, the result is empty, so a sweep times the peers even where our
    implementation runs out of memory.
    """
    ours, reasons = measurements[OURS], {}
    for name, result in measurements.items():
        if "failed" in ours or "failed" in result:
            continue
        if result["parameters"] != ours["parameters"]:
            theirs, own = (
                " and ".join(f"{count:,}" for count in row["parameters"]) for row in (result, ours)
            )
            reasons[name] = f"has networks with {theirs} parameters, but our networks have {own}"
        elif result["devices"] != ours["devices"]:
            theirs, own = (
                f"{len(devices)} {devices[0]}" for devices in (result["devices"], ours["devices"])
            )
            reasons[name] = (
                f"uses {theirs}, but our implementation uses {own}; set JAX_PLATFORMS=cpu"
            )
    return reasons


def find_mismatches_or_raise(measurements: Measurements) -> dict[str, str]:
    """Calls `find_mismatches`, but raises UsageError if our implementation failed."""
    require_ours(measurements)
    return find_mismatches(measurements)


def find_other_devices(count: int, measurements: Measurements) -> dict[str, str]:
    """The implementations that do not compute on `count` devices, with the reasons."""
    return {
        name: f"finds {plural(len(result['devices']), 'device')} here, not {count}"
        for name, result in measurements.items()
        if len(result.get("devices", ())) not in (0, count)
    }
