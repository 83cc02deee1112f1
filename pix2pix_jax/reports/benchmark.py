"""What a benchmark has found: as text, and as a page with its chart."""

import html
from collections.abc import Iterable
from typing import Any

from pix2pix_jax.reports.charts import chart, svg
from pix2pix_jax.reports.page import page, table_html
from pix2pix_jax.runtime.console import plural

Found = dict[str, dict[str, Any]]  # of each implementation
STEPS = (
    "implementation",
    "ms a step",
    "quartiles",
    "images/s",
    "ratio",
    "its quartiles",
    "peak MiB",
    "first step, s",
)  # fmt: skip
FIELDS = (  # on which the time depends most
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
PARTS = "part", "ms", "quartiles", "images/s", "GFLOP/s", "GB/s", "share"


def steps_text(found: Found) -> str:
    """The table of implementations."""
    return align_columns(STEPS, steps_rows(found)) + "\n" + restart(found)


def parts_text(found: Found) -> str:
    """The table of parts."""
    return align_columns(PARTS, parts_rows(found))


def format_result(result: dict[str, Any]) -> str:
    """Milliseconds and the ratio, or why there are none."""
    if "failed" in result:
        return result["failed"]
    times = f" ({result['ratio']:.2f}x)" if "ratio" in result else ""
    return f"{format_number(1e3 * result['seconds_per_step'])} ms{times}"


def format_number(number: float) -> str:
    """A number with four significant figures, or with all that are before the point."""
    return f"{number:,.4g}" if number < 9999.5 else f"{number:,.0f}"


def steps_rows(found: Found) -> list[list[str]]:
    """A line for each implementation."""
    rows = []
    for name, result in found.items():
        if "failed" in result:
            rows.append([name, "failed", result["failed"], *[""] * (len(STEPS) - 3)])
            continue
        rows.append(
            [
                name,
                format_number(1e3 * result["seconds_per_step"]),
                between(result["quartiles"]),
                format_number(result["images_per_second"]),
                f"{result['ratio']:.2f}" if "ratio" in result else "",
                between(result["ratio_quartiles"], 1) if "ratio" in result else "",
                f"{result['peak_memory_mib']:,}",
                f"{result['first_step_seconds']:.1f}",
            ]
        )
    return rows


def parts_rows(found: Found) -> list[list[str]]:
    """A line for each part."""
    return [
        [
            name,
            format_number(1e3 * row["seconds"]),
            between(row["quartiles"]),
            format_number(row["images_per_second"]) if "images_per_second" in row else "",
            f"{row['operations_per_second'] / 1e9:,.0f}" if "operations" in row else "",
            format_number(row["bytes_per_second"] / 1e9) if "bytes" in row else "",
            f"{row['share']:.0%}" if "share" in row else "",
        ]
        for name, row in found.items()
    ]


def between(quartiles: list[float], times: float = 1e3) -> str:
    """Both quartiles, of seconds in milliseconds; of a single turn there are none."""
    low, high = quartiles
    return "" if low == high else f"{format_number(times * low)} to {format_number(times * high)}"


def restart(found: Found) -> str:
    """How long ours takes to start, with and without what it has compiled, once that is known."""
    for ours in found.values():
        if warm := ours.get("restart_seconds"):
            cold = ours["first_step_seconds"]
            return (
                f"With its programs compiled, ours has its first step in {warm:.1f} s, "
                f"not {cold:.1f}."
            )
    return ""


def align_columns(header: Iterable[str], rows: list[list[str]]) -> str:
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


def report(results: dict[str, Any]) -> str:
    """The page."""
    config, machine, versions = (results[name] for name in ("config", "machine", "versions"))
    fields = ", ".join(f"{group}.{name} {config[group][name]}" for group, name in FIELDS)
    machine = machine | {"devices": " and ".join(machine["devices"])}
    where = ", ".join(f"{name} {value}" for name, value in (machine | versions).items())
    found = results["implementations"]
    turns = max(len(result.get("turns", ())) for result in found.values())
    body = [
        f"<p>{html.escape(fields)}. {html.escape(where)}.</p><h2>Steps</h2>",
        f"<p>Medians of {plural(turns, 'turn')}, A B A B. A ratio is what the other takes for "
        "what ours takes, turn by turn. A "
        f"first step has all that comes before it. {restart(found)}</p>",
        table_html(STEPS, escaped(steps_rows(found))),
    ]
    if "phases" in results:
        body += [
            "<h2>Parts</h2><p>Shares are of this machine's matrix product, or of its copy. "
            "Operations are those of plain convolutions; some are done with fewer, so that a share "
            "can exceed 100%. Data are of pairs of noise; those that are not resident are cut on "
            "the host.</p>",
            table_html(PARTS, escaped(parts_rows(results["phases"]))),
        ]
    if "sweep" in results:
        simulated = "cpu" in results["machine"]["devices"]
        body.append("<h2>Growth</h2>" + growth(results["sweep"], shared=not simulated))
    return page("Benchmark", "".join(body))


def escaped(rows: list[list[str]]) -> list[list[str]]:
    """Cells as HTML."""
    return [[html.escape(cell) for cell in row] for row in rows]


def as_the_work(
    values: list[int], known: tuple[int, float], name: str, shared: bool
) -> list[float]:
    """Milliseconds that are to those of a known value as a device's work is to its work."""
    value, milliseconds = known
    power = {"size": 2, "batch": 1, "devices": 0 if shared else 1}[name]
    return [milliseconds * (other / value) ** power for other in values]


def growth(sweep: dict[str, Any], shared: bool = False) -> str:
    """Milliseconds of a step against what was varied, both in powers of two.

    Args:
      sweep: what it is of, its values, and the points that were timed so far.
      shared: whether devices share the work, being more than one device that is divided.
    """
    name = sweep["of"]
    lines: dict[str, list[tuple[int, float]]] = {}
    for point in sweep["points"]:
        for implementation, result in point["implementations"].items():
            if "failed" not in result:
                milliseconds = 1e3 * result["seconds_per_step"]
                lines.setdefault(implementation, []).append((point[name], milliseconds))
    if not lines:
        return "<p>Nothing could be timed.</p>"
    header = [name, *sweep["points"][0]["implementations"]]
    rows = [
        [str(point[name]), *map(format_result, point["implementations"].values())]
        for point in sweep["points"]
    ]
    done, all_of_them = len(rows), len(sweep["values"])
    stopped = f"Stopped after {done} of {all_of_them} points. " if done < all_of_them else ""
    figure, axes = chart(3)
    for implementation, points in lines.items():
        axes.plot(*zip(*points, strict=True), "o-", label=implementation)
    values = [point[name] for point in sweep["points"]]
    first = next(iter(lines))
    work = as_the_work(values, lines[first][0], name, shared)
    axes.plot(values, work, color="black", linestyle="--", linewidth=1, label="as the work")
    for axis, set_scale in ((axes.xaxis, axes.set_xscale), (axes.yaxis, axes.set_yscale)):
        set_scale("log", base=2)
        axis.set_major_formatter(lambda value, _: format_number(value))
    axes.set_xlabel({"batch": "images a step", "size": "pixels a side"}.get(name, name))
    axes.set_ylabel("ms a step")
    axes.legend(fontsize=8)
    return (
        f"<p>{stopped}Dashed: what {first} would take if that grew as the work does.</p>"
        + svg(figure)
        + table_html(header, escaped(rows))
    )
