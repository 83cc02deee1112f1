"""The page of a run: curves, samples, config and versions."""

import platform
from importlib.metadata import version
from typing import Any

import jax
from markupsafe import Markup
from pydantic import TypeAdapter

from pix2pix_jax.config.metrics import METRICS, goodness
from pix2pix_jax.config.schema import Config
from pix2pix_jax.reports.charts import COLOUR, make_chart, render_svg
from pix2pix_jax.reports.page import relative_link, render
from pix2pix_jax.runs.metrics_log import read_metrics
from pix2pix_jax.runs.workdir import Workdir
from pix2pix_jax.runtime.storage.files import link_or_copy, write_atomically

PACKAGES = ("jax", "flax", "optax", "orbax-checkpoint", "tensorflow-datasets", "grain", "numpy")
SMOOTHING_WINDOW = 13  # points; an odd number, so that the window has a centre
# Metrics with these prefixes are always measured on the same pairs, so they have little noise.
UNSMOOTHED = ("validation/", "evaluation/")


def write_run_page(workdir: Workdir, config: Config, step: int) -> None:
    """Writes the page of a run from the files of its workdir; does nothing if no step is logged.

    Args:
      workdir: the workdir of the run.
      config: the resolved config of the run.
      step: the number of completed steps. A run that was stopped may have logged fewer steps.
    """
    lines = read_metrics(workdir.metrics_file)
    if not lines:
        return
    # If the run resumed from an older step, samples of later steps are still there. They are left
    # out, because the run will write them again.
    steps = [sampled for sampled in workdir.sample_steps() if sampled <= step]
    copy_samples(workdir, steps)
    # The reverse alphabetical order puts validation and losses first.
    names = sorted({name for line in lines for name in line} - {"step"}, reverse=True)
    page = render(
        "run.html",
        title=f"{workdir.name}: step {step} of {config.train.steps}",
        best=best_evaluation(lines, config.train.best_metric),
        sample_every=config.train.sample_every,
        sample_width=3 * config.data.image_size[1],  # input, output and target
        samples=[
            {
                "step": sampled,
                "link": relative_link(workdir.report_sample_file(sampled), workdir.report_page),
            }
            for sampled in reversed(steps)
        ],
        curves=[draw_curve(name, lines) for name in names],
        config=TypeAdapter(Config).dump_json(config, indent=2).decode(),
        versions=[
            f"Python {platform.python_version()}",
            *(f"{package} {version(package)}" for package in PACKAGES),
        ],
        devices=f"{jax.device_count()} {jax.devices()[0].device_kind}",
    )
    write_atomically(workdir.report_page, page)


def copy_samples(workdir: Workdir, steps: list[int]) -> None:
    """Puts the sample grids of these steps into the report, and removes all other grids from it."""
    files = {workdir.report_sample_file(step): workdir.sample_file(step) for step in steps}
    for path in workdir.report_samples_folder.glob("step_*.png"):
        if path not in files:
            path.unlink(missing_ok=True)
    for path, sample in files.items():
        link_or_copy(sample, path)


def best_evaluation(lines: list[dict[str, float]], metric: str) -> dict[str, Any] | None:
    """The best evaluated step, or the last of equally good steps; None if no step was evaluated.

    Args:
      lines: the lines of the metrics log.
      metric: a key of METRICS.
    """
    name = f"evaluation/{metric}"
    values = {line["step"]: line[name] for line in lines if name in line}
    if not values:
        return None
    step = max(values, key=lambda step: (goodness(metric, {metric: values[step]}), step))
    return {"label": METRICS[metric].label, "step": step, "value": f"{values[step]:.3f}"}


def metric_unit(name: str) -> str:
    """The unit or the range of a logged metric, as the label of its axis."""
    measured = name.rpartition("/")[2]
    if measured in METRICS:
        return METRICS[measured].unit
    units = {"images_per_second": "images / s", "loss/generator_l1": METRICS["l1"].unit}
    kinds = {"logits": "logit", "gradient": "norm", "loss": "mean over patches"}
    return units.get(name) or kinds[name.partition("/")[0]]


def smooth(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """The centred moving average of a curve; it does not lag behind the curve.

    Every point becomes the mean of the SMOOTHING_WINDOW points around it. Near an end the window
    shrinks equally on both sides, so both ends keep their values. Steps are averaged like values,
    so points on a straight line stay on the line, even at uneven intervals.

    Args:
      points: pairs of step and value, in the order of steps.
    """
    means = []
    for index in range(len(points)):
        reach = min(SMOOTHING_WINDOW // 2, index, len(points) - 1 - index)
        window = points[index - reach : index + reach + 1]
        steps, values = zip(*window, strict=True)
        means.append((sum(steps) / len(window), sum(values) / len(window)))
    return means


def draw_curve(name: str, lines: list[dict[str, float]]) -> Markup:
    """Draws a metric against steps as SVG: logged values as a thin line, smoothed values thick.

    Args:
      name: name of the metric.
      lines: the lines of the metrics log; at least one line has the metric.
    """
    points = [(line["step"], line[name]) for line in lines if name in line]
    means = points if name.startswith(UNSMOOTHED) else smooth(points)
    figure, axes = make_chart(2.6)
    axes.plot(*zip(*points, strict=True), color=COLOUR, alpha=0.3, linewidth=1)
    marker = "o" if len(points) == 1 else ""
    axes.plot(*zip(*means, strict=True), color=COLOUR, linewidth=1.8, marker=marker)
    axes.set_title(name, fontsize=10)
    axes.set_xlabel("step")
    axes.set_ylabel(metric_unit(name))
    return render_svg(figure)
