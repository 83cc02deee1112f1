"""Makes charts as inline SVG; equal content gives equal bytes."""

import io

from markupsafe import Markup
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

WIDTH = 4.2  # inches, the same for all charts
COLOUR = "#1f77b4"  # the colour of charts with a single colour


def make_chart(height: float) -> tuple[Figure, Axes]:
    """Makes an empty chart of WIDTH by `height` inches."""
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    axes = figure.add_subplot()
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def render_svg(figure: Figure) -> Markup:
    """Renders a figure as an <svg> element, without Matplotlib's date and random names."""
    file = io.StringIO()
    no_metadata = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    with rc_context({"svg.hashsalt": "", "svg.fonttype": "none"}):
        figure.savefig(file, format="svg", metadata=no_metadata)
    text = file.getvalue()
    return Markup(text[text.index("<svg") :].strip())
