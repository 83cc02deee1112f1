"""The page of a run: curves, samples, config and versions, in files that open from disk."""

import html
import platform
from importlib.metadata import version

import jax
from pydantic import TypeAdapter

from pix2pix_jax.config.metrics import METRICS, goodness
from pix2pix_jax.config.schema import Config
from pix2pix_jax.reports.charts import chart, svg
from pix2pix_jax.reports.page import page
from pix2pix_jax.runs.metrics_log import read_metrics
from pix2pix_jax.runs.workdir import Workdir
from pix2pix_jax.runtime.files import write_atomically

PACKAGES = ("jax", "flax", "optax", "orbax-checkpoint", "tensorflow-datasets", "grain", "numpy")


def write_report(workdir: Workdir, config: Config) -> None:
    """Writes report/index.html from what stands in the workdir; old pages are replaced whole."""
    lines = read_metrics(workdir.metrics_file)
    if not lines:  # stopped before there was anything to show
        return
    last = lines[-1]["step"]
    samples = [  # those of a run that was set back come again
        path for path in sorted(workdir.samples.glob("step_*.png")) if int(path.stem[5:]) <= last
    ]
    curves = "".join(
        curve_svg(name, lines)
        # Backwards: validation, losses, logits, speed.
        for name in sorted({name for line in lines for name in line} - {"step"}, reverse=True)
    )
    older = "".join(
        f"<details><summary>step {int(path.stem[5:])}</summary>"
        f'<img loading="lazy" src="../samples/{path.name}" alt="samples"></details>'
        for path in reversed(samples[:-1])
    )
    newest = (
        f"<h2>Samples at step {int(samples[-1].stem[5:])}</h2>"
        f'<img loading="lazy" src="../samples/{samples[-1].name}" '
        f'alt="input, output and target">{older}'
        if samples
        else ""
    )
    text = TypeAdapter(Config).dump_json(config, indent=2).decode()
    versions = ", ".join(f"{package} {version(package)}" for package in PACKAGES)
    title = f"{workdir.name}: step {last} of {config.train.steps}"
    body = (
        f"{best_step_html(lines, config.train.best_metric)}{newest}"
        "<h2>Curves</h2><p>Thin as logged, thick smoothed, but for validation, which is of the "
        "pairs shown above, and evaluation, which is of the whole validation split.</p>"
        f'<div class="charts">{curves}</div>'
        f"<h2>Config</h2><pre>{html.escape(text)}</pre><h2>Versions</h2>"
        f"<p>Python {platform.python_version()}, {versions}; {jax.device_count()} "
        f"{html.escape(jax.devices()[0].device_kind)}</p>"
    )
    write_atomically(workdir.report_page, page(title, body))


def best_step_html(lines: list[dict[str, float]], metric: str) -> str:
    """Which step to keep, of those that were evaluated."""
    name = f"evaluation/{metric}"
    values = {line["step"]: line[name] for line in lines if name in line}
    if not values:
        return ""
    step = max(values, key=lambda step: (goodness(metric, {metric: values[step]}), step))
    return f"<p>Best by {METRICS[metric].label} so far: step {step}, {values[step]:.3f}.</p>"


def metric_unit(name: str) -> str:
    """What a metric of the log is measured in."""
    measured = name.rpartition("/")[2]
    if measured in METRICS:  # of a whole image, or of all pixels
        return METRICS[measured].unit
    units = {"images_per_second": "images / s", "loss/generator_l1": METRICS["l1"].unit}
    kinds = {"logits": "logit", "gradient": "norm", "loss": "mean over patches"}
    return units.get(name) or kinds[name.partition("/")[0]]


def curve_svg(name: str, lines: list[dict[str, float]]) -> str:
    """A metric against steps as inline SVG: every logged value faint, their running mean strong.

    Validation and evaluation are of the same pairs every time, so a rise is no noise and is not
    smoothed away.
    """
    points = [(line["step"], line[name]) for line in lines if name in line]
    means, mean = [], points[0][1]
    for count, (_, value) in enumerate(points, 1):
        share = max(0.15, 1 / count) if name.startswith(("loss/", "logits/", "images")) else 1
        mean += share * (value - mean)
        means.append(mean)
    figure, axes = chart(2.6)
    steps, values = zip(*points, strict=True)
    axes.plot(steps, values, color="#1f77b4", alpha=0.3, linewidth=1)
    axes.plot(steps, means, color="#1f77b4", linewidth=1.8, marker="o" if len(steps) == 1 else "")
    axes.set_title(name, fontsize=10)
    axes.set_xlabel("step")
    axes.set_ylabel(metric_unit(name))
    return svg(figure)
