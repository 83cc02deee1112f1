"""The benchmark command: how fast a config trains here, where the time goes, and who is faster."""

import html
import json
import os
import platform
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pix2pix_jax import phases
from pix2pix_jax.backend import tune, untuned
from pix2pix_jax.config import Config, UsageError, changed, resolve
from pix2pix_jax.console import say
from pix2pix_jax.files import write_whole
from pix2pix_jax.generator import make_generator
from pix2pix_jax.page import chart, page, svg, table
from pix2pix_jax.trial import Failed, Maker, compared, working

OURS = "pix2pix_jax"
FOLDER = Path(__file__).parent.parent / "experiments" / "benchmarks"
PEERS = {  # what each is timed as, and the function of its file that makes it
    "torch": {"torch": "eager", "torch compiled": "compiled"},
    "keras": {"keras": "tutorial"},
    "flax": {"flax": "plain"},
}
SWEEPS = {
    "batch": (1, 2, 4, 8, 16),
    "size": (64, 128, 256, 512),
    "devices": (1, 2, 4),
}


def benchmark(config: Config, workdir: Path, peers: Iterable[str], sweep: str, rounds: int) -> int:
    """Writes benchmark.json and report/benchmark.html, and prints a table.

    Args:
      config: an experiment.
      workdir: where they go.
      peers: of PEERS, to be timed beside ours.
      sweep: one of SWEEPS, or nothing.
      rounds: turns of each.

    Raises:
      UsageError: a peer that is not there, or that cannot do what the config asks for.
    """
    config, makers = resolve(config), implementations(peers)
    if len(makers) > 1:
        check_plain(config)
    say(f"timing {', '.join(makers)} in {rounds} turns; compiling takes a minute on a CPU")
    found = compared(makers, config, rounds, surroundings())
    check_alike(found)
    ours = found[OURS]
    for name, result in found.items():
        if name != OURS and "failed" not in result:
            result["ratio"] = result["seconds_per_step"] / ours["seconds_per_step"]
    say(implementations_text(found))
    say("timing the parts of a step")
    device, parts = measured_phases(config, ours["seconds_per_step"])
    results = {
        "machine": {"device": device} | machine(),
        "config": summary(config),
        "implementations": found,
        "phases": parts,
    }
    say(phases_text(results["phases"]))
    if sweep:
        results["sweep"] = {"of": sweep, "points": swept(config, sweep, makers, rounds)}
    write_whole(workdir / "benchmark.json", json.dumps(results, indent=2) + "\n")
    write_whole(workdir / "report" / "benchmark.html", report(results))
    say(f"{workdir}/benchmark.json has all numbers, {workdir}/report/benchmark.html shows them")
    return 0


def implementations(peers: Iterable[str]) -> dict[str, Maker]:
    """Ours and those of the peers."""
    makers = {OURS: Maker(Path(phases.__file__), "train", tune)}
    for peer in peers:
        if peer not in PEERS:
            raise UsageError(f"--peers: there is no {peer}; there are {', '.join(PEERS)}")
        file = FOLDER / f"{peer}_peer.py"
        if not file.exists():
            raise UsageError(f"--peers: {file} is not there; run it from a clone of the project")
        makers |= {name: Maker(file, function) for name, function in PEERS[peer].items()}
    return makers


def surroundings() -> dict[str, str]:
    """Variables of what is timed: a GPU's memory is for all, and what tunes ours is not theirs."""
    return {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"} | untuned()


def check_plain(config: Config) -> None:
    """Raises UsageError where a config does what the peers' steps do not."""
    data, model, loss, options = config.data, config.model, config.loss, config.optimizer
    for field, plain in {
        "data.input_channels": data.input_channels == 3,
        "data.target_channels": data.target_channels == 3,
        "model.generator": model.generator == "unet",
        "model.norm": model.norm == "batch" and model.norm_affine,
        "model.norm_images": model.norm_images in (None, data.batch_size),
        "model.depth": not make_generator(config).bottleneck_norm,
        "model.bias": model.bias == "paper",
        "model.skip_slope": model.skip_slope == 0,
        "model.discriminator": model.discriminator != "tutorial",  # whose padding is not even
        "loss.gan": loss.gan == "vanilla",
        "loss.conditional": loss.conditional,
        "optimizer.epsilon_hat": not options.epsilon_hat,
        "optimizer.updates": options.updates == "alternating",
    }.items():
        if not plain:
            raise UsageError(f"--peers: they train as the paper does; leave {field} at its default")


def check_alike(found: dict[str, dict[str, Any]]) -> None:
    """Raises UsageError when ours failed, or a peer's networks are not as large as ours."""
    if "failed" in found[OURS]:
        raise UsageError(f"{OURS}: {found[OURS]['failed']}")
    ours = found[OURS]["parameters"]
    for name, result in found.items():
        if result.get("parameters", ours) != ours:
            raise UsageError(
                f"--peers: {name} has {result['parameters']} parameters and not {ours}, so that "
                "nothing would be compared; leave it out"
            )


def measured_phases(config: Config, seconds_per_step: float) -> tuple[str, dict[str, Any]]:
    """The device, and the parts of a step, with what was reached of what this machine can do."""
    maker = Maker(Path(phases.__file__), "phases", tune)
    with working({"phases": maker}, config, surroundings()) as (workers, failures):
        if failures:
            raise UsageError(f"{OURS}: {failures['phases']}")
        found: Any = workers["phases"].close()
    device = found.pop("device")
    found["step"] = {"seconds": seconds_per_step} | found["step"]
    return device, with_shares(found)


def with_shares(found: dict[str, Any]) -> dict[str, Any]:
    """Adds what a second does, and the share that it is of the matrix product's or the copy's."""
    for row in found.values():
        for work in ("operations", "bytes"):
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


def swept(
    config: Config, sweep: str, makers: dict[str, Maker], rounds: int
) -> list[dict[str, Any]]:
    """Times a config at several batches, sizes or numbers of devices."""
    points = []
    for value in SWEEPS[sweep]:
        environment = surroundings()
        if sweep == "batch":
            changes = {"data": {"batch_size": value}}
        elif sweep == "size":
            size = {"image_size": (value, value), "load_size": None}
            changes = {"data": size, "model": {"depth": None}}
        else:
            environment |= {"JAX_NUM_CPU_DEVICES": str(value)}
            environment |= {"CUDA_VISIBLE_DEVICES": ",".join(map(str, range(value)))}
            changes = {"data": {"batch_size": value * config.data.batch_size}}
            makers = {OURS: makers[OURS]}
        try:
            found = compared(makers, resolve(changed(config, changes)), rounds, environment)
        except (UsageError, Failed) as error:
            found = {OURS: {"failed": str(error)}}
        points.append({sweep: value, "implementations": found})
        say(f"{sweep} {value}: " + "; ".join(f"{n} {short(r)}" for n, r in found.items()))
    return points


def short(result: dict[str, Any]) -> str:
    """Milliseconds, or why there are none."""
    return result.get("failed") or f"{1e3 * result['seconds_per_step']:.4g} ms"


def machine() -> dict[str, Any]:
    """What it ran on."""
    model = platform.processor() or platform.machine()
    for line in (
        Path("/proc/cpuinfo").read_text().splitlines() if os.path.exists("/proc/cpuinfo") else []
    ):
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    versions = {name: version(name) for name in ("jax", "flax", "optax")}
    return {
        "cpu": model,
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
    } | versions


def summary(config: Config) -> dict[str, Any]:
    """The fields on which the time depends most."""
    return {
        "data.image_size": list(config.data.image_size),
        "data.batch_size": config.data.batch_size,
        "model.discriminator": config.model.discriminator,
        "model.norm": config.model.norm,
        "train.dtype": config.train.dtype,
    }


def implementations_rows(found: dict[str, dict[str, Any]]) -> list[list[str]]:
    """A line for each."""
    rows = []
    for name, result in found.items():
        if "failed" in result:
            rows.append([name, "failed", result["failed"][:80], "", "", "", ""])
            continue
        low, high = result["quartiles"]
        rows.append(
            [
                name,
                f"{1e3 * result['seconds_per_step']:.4g}",
                f"{1e3 * low:.4g} to {1e3 * high:.4g}",
                f"{result['images_per_second']:.4g}",
                f"{result['ratio']:.2f}" if "ratio" in result else "",
                f"{result['peak_memory_mib']:,}",
                f"{result['first_step_seconds']:.1f}",
            ]
        )
    return rows


IMPLEMENTATIONS = (
    "implementation", "ms a step", "quartiles", "images/s", "ratio", "peak MiB", "first step, s"
)  # fmt: skip
PHASES = "part", "ms", "GFLOP/s", "GB/s", "share"


def phases_rows(found: dict[str, dict[str, float]]) -> list[list[str]]:
    """A line for each."""
    return [
        [
            name,
            f"{1e3 * row['seconds']:.4g}",
            f"{row['operations_per_second'] / 1e9:,.0f}" if "operations" in row else "",
            f"{row['bytes_per_second'] / 1e9:.3g}" if "bytes" in row else "",
            f"{row['share']:.0%}" if "share" in row else "",
        ]
        for name, row in found.items()
    ]


def aligned(header: Iterable[str], rows: list[list[str]]) -> str:
    """A table as text."""
    lines = [list(header), *rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def implementations_text(found: dict[str, dict[str, Any]]) -> str:
    """Their table."""
    return aligned(IMPLEMENTATIONS, implementations_rows(found))


def phases_text(found: dict[str, dict[str, float]]) -> str:
    """Their table."""
    return aligned(PHASES, phases_rows(found))


def report(results: dict[str, Any]) -> str:
    """The page."""
    fields = ", ".join(f"{name} {value}" for name, value in results["config"].items())
    where = ", ".join(f"{name} {value}" for name, value in results["machine"].items())
    body = [
        f"<p>{html.escape(fields)}. {html.escape(where)}.</p><h2>Steps</h2>",
        "<p>Medians of turns, A B A B. A ratio is what the other takes for what ours takes.</p>",
        table(IMPLEMENTATIONS, implementations_rows(results["implementations"])),
        "<h2>Parts</h2><p>Shares are of this machine's matrix product, or of its copy. Operations "
        "are those of plain convolutions; some are done with fewer, so that a share can exceed "
        "100%.</p>",
        table(PHASES, phases_rows(results["phases"])),
    ]
    if "sweep" in results:
        body.append("<h2>Growth</h2>" + growth(results["sweep"]))
    return page("Benchmark", "".join(body))


def growth(sweep: dict[str, Any]) -> str:
    """Milliseconds of a step against what was varied, both in powers of two."""
    name = sweep["of"]
    figure, axes = chart(3)
    names = dict.fromkeys(n for point in sweep["points"] for n in point["implementations"])
    for implementation in names:
        points = [
            (point[name], 1e3 * point["implementations"][implementation]["seconds_per_step"])
            for point in sweep["points"]
            if "seconds_per_step" in point["implementations"].get(implementation, {})
        ]
        if points:
            axes.plot(*zip(*points, strict=True), "o-", label=implementation)
    first = next(iter(axes.lines)).get_xydata()
    power = 2 if name == "size" else 1
    axes.plot(
        first[:, 0],
        first[0, 1] * (first[:, 0] / first[0, 0]) ** power,
        color="black",
        linestyle="--",
        linewidth=1,
        label="as the work",
    )
    axes.set_xscale("log", base=2)
    axes.set_yscale("log", base=2)
    axes.set_xlabel({"batch": "images a step", "size": "pixels a side"}.get(name, name))
    axes.set_ylabel("ms a step")
    axes.legend(fontsize=8)
    return svg(figure)
