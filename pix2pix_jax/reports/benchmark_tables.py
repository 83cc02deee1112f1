"""The tables of a benchmark, as cells and as aligned text."""

from collections.abc import Iterable
from typing import Any

Measurements = dict[str, dict[str, Any]]  # by implementation, or by part of a step
STEPS_HEADER = (
    "implementation",
    "ms per step",
    "quartiles",
    "images/s",
    "ratio",
    "ratio quartiles",
    "peak MiB",
    "first step, s",
)  # fmt: skip
PARTS_HEADER = ("part", "ms", "quartiles", "images/s", "GFLOP/s", "GB/s", "share")
# The names in the table of parts whose keys in benchmark.json differ; the keys are those of earlier
# versions.
PART_LABELS = {"data, were none resident": "data, cropped by the host"}


def steps_text(measurements: Measurements) -> str:
    """The table of implementations as text, with a note on the first step after a restart."""
    return align_columns(STEPS_HEADER, steps_rows(measurements)) + "\n" + restart_note(measurements)


def parts_text(measurements: Measurements) -> str:
    """The table of the parts of a step as text."""
    return align_columns(PARTS_HEADER, parts_rows(measurements))


def steps_rows(measurements: Measurements) -> list[list[str]]:
    """The cells under STEPS_HEADER, with a row for each implementation."""
    rows = []
    for name, result in measurements.items():
        if "failed" in result:
            rows.append([name, "failed", result["failed"], *[""] * (len(STEPS_HEADER) - 3)])
            continue
        rows.append(
            [
                name,
                format_number(1e3 * result["seconds_per_step"]),
                format_quartiles(result["quartiles"], 1e3),
                format_number(result["images_per_second"]),
                f"{result['ratio']:.2f}" if "ratio" in result else "",
                format_quartiles(result["ratio_quartiles"]) if "ratio" in result else "",
                f"{result['peak_memory_mib']:,}",
                f"{result['first_step_seconds']:.1f}",
            ]
        )
    return rows


def parts_rows(measurements: Measurements) -> list[list[str]]:
    """The cells under PARTS_HEADER, with a row for each part."""
    return [
        [
            PART_LABELS.get(name, name),
            format_number(1e3 * row["seconds"]),
            format_quartiles(row["quartiles"], 1e3),
            format_number(row["images_per_second"]) if "images_per_second" in row else "",
            f"{row['operations_per_second'] / 1e9:,.0f}" if "operations" in row else "",
            format_number(row["bytes_per_second"] / 1e9) if "bytes" in row else "",
            f"{row['share']:.0%}" if "share" in row else "",
        ]
        for name, row in measurements.items()
    ]


def restart_note(measurements: Measurements) -> str:
    """A sentence about the first step after a restart; empty if no restart was measured."""
    for name, result in measurements.items():
        if warm := result.get("restart_seconds"):
            cold = result["first_step_seconds"]
            return (
                f"If its programs are compiled already, {name} finishes its first step after "
                f"{warm:.1f} s, not {cold:.1f} s."
            )
    return ""


def format_result(result: dict[str, Any]) -> str:
    """The milliseconds and the ratio of an implementation, or the reason of its failure."""
    if "failed" in result:
        return result["failed"]
    ratio = f" ({result['ratio']:.2f}x)" if "ratio" in result else ""
    return f"{format_number(1e3 * result['seconds_per_step'])} ms{ratio}"


def format_number(number: float) -> str:
    """Formats a number with four significant digits, or a large number as a whole number."""
    return f"{number:,.4g}" if number < 9999.5 else f"{number:,.0f}"


def format_quartiles(quartiles: list[float], scale: float = 1) -> str:
    """Formats both quartiles times `scale`; empty if they are equal, as after a single turn."""
    low, high = quartiles
    return "" if low == high else f"{format_number(scale * low)} to {format_number(scale * high)}"


def align_columns(header: Iterable[str], rows: list[list[str]]) -> str:
    """Formats a table as text: the first column is aligned left, all other columns right."""
    lines = [list(header), *rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )
