"""The page of an evaluation: its numbers, and every pair as input, output and target."""

from operator import itemgetter
from pathlib import Path

from pix2pix_jax.files import write_whole
from pix2pix_jax.metrics import LABELS, METRICS
from pix2pix_jax.page import page

KINDS = ("input", "output", "target")
# Pairs are moved, not drawn again; without scripts they stay in the order of their names.
SCRIPT = """
const pairs = document.querySelector(".pairs"), order = document.querySelector("#order");
const byName = [...pairs.children];
order.addEventListener("change", () => {
  const [name, sign] = order.value.split(" ");
  const number = pair => ({inf: Infinity, None: NaN})[pair.dataset[name]] ?? pair.dataset[name];
  // What could not be measured stands last.
  const value = pair => isNaN(number(pair)) ? Infinity : sign * number(pair);
  pairs.append(...(name ? byName.toSorted((a, b) => value(a) < value(b) ? -1 : value(a) > value(b)) : byName));
});
"""


def write_gallery(workdir: Path, summary: dict) -> None:
    """Writes report/evaluation_<split>.html.

    Args:
      workdir: of the run, whose pictures lie in report/evaluation_<split>/.
      summary: the content of evaluation_<split>.json.
    """
    split, folder = summary["split"], workdir / "report"
    sortable = [name for name in summary["pairs"][0] if name != "name"]
    choices = "".join(
        f'<option value="{name} {sign if METRICS[name] else -sign}">{word} {LABELS[name]} first'
        "</option>"
        for name in sortable
        for word, sign in (("worst", 1), ("best", -1))
    )
    figures = "".join(
        _figure(pair, folder / f"evaluation_{split}", folder)
        for pair in sorted(summary["pairs"], key=itemgetter("name"))
    )
    body = (
        f"<p>Step {summary['step']}, seed {summary['seed']}, {summary['images']} pairs.</p>"
        f"{_numbers(summary)}"
        f'<h2>Colours</h2><div class="charts">{histograms(summary["lab_histograms"])}</div>'
        '<h2>Pairs</h2><p><label>Order: <select id="order">'
        f'<option value="">by name</option>{choices}</select></label></p>'
        f'<div class="heads">{"".join(f"<span>{kind}</span>" for kind in KINDS)}</div>'
        f'<div class="pairs">{figures}</div><script>{SCRIPT}</script>'
    )
    title = f"{workdir.resolve().name}: {split} at step {summary['step']}"
    write_whole(folder / f"evaluation_{split}.html", page(title, body))
