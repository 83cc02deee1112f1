"""Charts as inline SVG, the same for the same content."""

import io

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure


def chart(height: float) -> tuple[Figure, Axes]:
    """An empty chart, as wide as all of them, and so many inches high."""
    figure = Figure(figsize=(4.2, height), layout="constrained")
    axes = figure.add_subplot()
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def svg(figure: Figure) -> str:
    """A figure as inline SVG, the same for the same content."""
    file = io.StringIO()
    unsigned = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    with rc_context({"svg.hashsalt": "", "svg.fonttype": "none"}):
        figure.savefig(file, format="svg", metadata=unsigned)
    return f"<figure>{file.getvalue()[file.getvalue().index('<svg') :]}</figure>"
