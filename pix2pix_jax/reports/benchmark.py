"""The page of a benchmark: tables of implementations and of the parts of a step, and a chart."""

from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from pix2pix_jax.reports.benchmark_tables import (
    PARTS_HEADER,
    STEPS_HEADER,
    format_number,
    format_result,
    parts_rows,
    restart_note,
    steps_rows,
)
from pix2pix_jax.reports.charts import make_chart, render_svg
from pix2pix_jax.reports.page import render
from pix2pix_jax.runtime.console import plural

FIELDS = (  # fields with the largest effect on the time of a step
    ("data", "image_size"),
    ("data", "batch_size"),
    ("model", "generator"),
    ("model", "features"),
    ("model", "depth"),
    ("model", "discriminator"),
    ("model", "discriminator_features"),
    ("model", "norm"),
    ("train", "dtype"),
)
X_LABELS = {"batch": "images per step", "size": "pixels per side", "devices": "devices"}
Point = tuple[int, float]  # the varied value, and milliseconds per step


@dataclass(frozen=True)
class Growth:
    """How the time of a step grows with the batch size, the image size or the number of devices.

    Attributes:
      chart: SVG; None if nothing could be timed.
      reference: name of an implementation; the dashed line passes through its first point.
      header, rows: cells of the table, a row for each point.
      done: number of points so far.
      total: number of points to time.
    """

    chart: Markup | None
    reference: str
    header: list[str]
    rows: list[list[str]]
    done: int
    total: int


def render_benchmark_page(results: dict[str, Any]) -> str:
    """Renders the page of a benchmark as HTML.

    Args:
      results: the content of benchmark.json.
    """
    config, implementations = results["config"], results["implementations"]
    devices = results["machine"]["devices"]
    machine = results["machine"] | {"devices": " and ".join(devices)} | results["versions"]
    turns = max(len(result.get("turns", ())) for result in implementations.values())
    sweep = results.get("sweep")
    return render(
        "benchmark.html",
        title="Benchmark",
        config=[f"{group}.{name} {config[group][name]}" for group, name in FIELDS],
        machine=[f"{name} {value}" for name, value in machine.items()],
        turns=plural(turns, "turn"),
        restart_note=restart_note(implementations),
        steps_header=STEPS_HEADER,
        steps=steps_rows(implementations),
        parts_header=PARTS_HEADER,
        parts=parts_rows(results["phases"]) if "phases" in results else [],
        # Real devices share the work. Simulated devices share the processors of one machine.
        growth=make_growth(sweep, shared="cpu" not in devices) if sweep else None,
    )


def make_growth(sweep: dict[str, Any], shared: bool = False) -> Growth:
    """Makes the chart and the table of a benchmark that varies a value.

    Args:
      sweep: an entry of benchmark.json. `of` is batch, size or devices, `values` are all values to
        time, and `points` are the results so far.
      shared: whether several devices share the work.
    """
    name, points = sweep["of"], sweep["points"]
    lines: dict[str, list[Point]] = {}
    for point in points:
        for implementation, result in point["implementations"].items():
            if "failed" not in result:
                milliseconds = 1e3 * result["seconds_per_step"]
                lines.setdefault(implementation, []).append((point[name], milliseconds))
    reference, chart = next(iter(lines), ""), None
    if lines:
        values = [point[name] for point in points]
        expected = expected_milliseconds(values, lines[reference][0], name, shared)
        chart = draw_growth(name, lines, list(zip(values, expected, strict=True)))
    return Growth(
        chart,
        reference,
        header=[name, *points[0]["implementations"]] if points else [],
        rows=[
            [str(point[name]), *map(format_result, point["implementations"].values())]
            for point in points
        ],
        done=len(points),
        total=len(sweep["values"]),
    )


def expected_milliseconds(values: list[int], known: Point, name: str, shared: bool) -> list[float]:
    """The milliseconds that a step would take in proportion to the work of one device.

    Args:
      values: values of batch, size or devices.
      known: one of the values, and its measured milliseconds.
      name: batch, size or devices.
      shared: whether several devices share the work.
    """
    value, milliseconds = known
    power = {"size": 2, "batch": 1, "devices": 0 if shared else 1}[name]
    return [milliseconds * (other / value) ** power for other in values]


def draw_growth(name: str, lines: dict[str, list[Point]], expected: list[Point]) -> Markup:
    """Draws the milliseconds of a step against the varied value; both axes are logarithmic.

    Args:
      name: batch, size or devices.
      lines: measured points by implementation.
      expected: points of the dashed line.

    Returns:
      SVG.
    """
    figure, axes = make_chart(3)
    for implementation, points in lines.items():
        axes.plot(*zip(*points, strict=True), "o-", label=implementation)
    dashed = {"color": "black", "linestyle": "--", "linewidth": 1}
    axes.plot(*zip(*expected, strict=True), label="in proportion to the work", **dashed)
    for axis, set_scale in ((axes.xaxis, axes.set_xscale), (axes.yaxis, axes.set_yscale)):
        set_scale("log", base=2)
        axis.set_major_formatter(lambda value, _: format_number(value))
    axes.set_xlabel(X_LABELS[name])
    axes.set_ylabel("ms per step")
    axes.legend(fontsize=8)
    return render_svg(figure)
