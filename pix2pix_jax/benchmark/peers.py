"""The implementations to time: ours and the peers, and checks that they do the same work."""

from collections.abc import Iterable
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pix2pix_jax.benchmark.results import OURS, Measurements
from pix2pix_jax.benchmark.worker import WorkerTarget
from pix2pix_jax.config.schema import Config
from pix2pix_jax.errors import UsageError
from pix2pix_jax.gan.networks import make_generator
from pix2pix_jax.runtime.console import plural

STEP_PARTS = Path(__file__).with_name("step_parts.py")
FOLDER = Path(__file__).parents[2] / "experiments" / "benchmarks"
# The implementations of every peer, by their names in the results: functions of the peer's file.
PEERS = {
    "torch": {"torch": "eager", "torch tuned": "tuned", "torch compiled": "compiled"},
    "keras": {"keras": "tutorial"},
    "flax": {"flax": "plain"},
}
LIBRARIES = {"torch": ["torch"], "keras": ["keras", "tensorflow"], "flax": ["flax"]}
PLAIN = {  # the only values of these fields that the peers can train
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
    """Our implementation and those of the peers, by their names in the results.

    Raises:
      UsageError: a peer is unknown, or its file or library is missing.
    """
    targets = {OURS: WorkerTarget(STEP_PARTS, "steps")}
    for peer in peers:
        if peer not in PEERS:
            raise UsageError(f"--peers: {peer} is unknown; choose from {', '.join(PEERS)}")
        file = FOLDER / f"{peer}_peer.py"
        if not file.exists():
            raise UsageError(f"--peers: {file} is missing; run pix2pix from a clone of the project")
        if missing := [library for library in LIBRARIES[peer] if not find_spec(library)]:
            raise UsageError(
                f"--peers: {peer} is not installed here; pip install {' '.join(missing)}, or "
                "pix2pix_jax[peers] for all peers"
            )
        targets |= {name: WorkerTarget(file, function) for name, function in PEERS[peer].items()}
    return targets


def count_devices(targets: dict[str, WorkerTarget]) -> int:
    """The number of devices to time on: 1 with peers, since they use one; 0, for all, without."""
    return int(len(targets) > 1)


def check_plain(config: Config) -> None:
    """Checks that the peers' steps do the work that a resolved config asks for.

    The learning rate's schedule may differ: it costs no time.

    Raises:
      UsageError: the config asks for work that the peers do not do.
    """
    groups, plain = asdict(config), dict(PLAIN)
    if config.model.norm_images:
        plain["model.norm_images"] = config.data.batch_size
    if make_generator(config).bottleneck_norm:
        plain["model.bottleneck_norm"] = False
    if config.model.discriminator == "tutorial":  # Its padding differs between the sides.
        plain["model.discriminator"] = "patch142"
    for field, value in plain.items():
        group, _, name = field.partition(".")
        if groups[group][name] != value:
            raise UsageError(
                f"--peers: {field} is {groups[group][name]}, but the peers train as in the paper; "
                f"give --config.{field}={value}"
            )


def require_ours(found: Measurements) -> dict[str, Any]:
    """Our measurements.

    Raises:
      UsageError: our implementation failed; the others have nothing to be compared with.
    """
    if "failed" in found[OURS]:
        raise UsageError(f"{OURS}: {found[OURS]['failed']}")
    return found[OURS]


def find_mismatches(found: Measurements) -> dict[str, str]:
    """Peers that cannot be compared with ours, and why: other networks, or other devices.

    If ours failed, no peer is left out: in a sweep they go on where ours has no room.
    """
    ours, reasons = found[OURS], {}
    for name, result in found.items():
        if "failed" in ours or "failed" in result:
            continue
        if result["parameters"] != ours["parameters"]:
            reasons[name] = f"has {result['parameters']} parameters, but ours {ours['parameters']}"
        elif result["devices"] != ours["devices"]:
            there, here = (
                f"{len(each['devices'])} {each['devices'][0]}" for each in (result, ours)
            )
            reasons[name] = f"computes on {there}, but ours on {here}; give both the same devices"
    return reasons


def find_mismatches_of_config(found: Measurements) -> dict[str, str]:
    """`find_mismatches` for the config itself; raises UsageError if ours failed."""
    require_ours(found)
    return find_mismatches(found)


def find_other_devices(count: int, found: Measurements) -> dict[str, str]:
    """Implementations that compute on more or fewer than `count` devices, and on how many."""
    return {
        name: f"finds {plural(len(result['devices']), 'device')} here, not {count}"
        for name, result in found.items()
        if len(result.get("devices", ())) not in (0, count)
    }
