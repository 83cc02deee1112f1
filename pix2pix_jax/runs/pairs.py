"""The contents of the pairs that a run was trained on: their form, sizes and proportions."""

from pix2pix_jax.config.schema import Data
from pix2pix_jax.data.contents.facts import Contents, drawn_contents, read_contents
from pix2pix_jax.runs.workdir import Workdir


def run_contents(workdir: Workdir, data: Data) -> Contents | None:
    """The contents of the pairs of a run; None if an earlier version trained the run.

    Args:
      workdir: the workdir of the run.
      data: the data of the config of the run.
    """
    if data.name == "synthetic_facades":
        return drawn_contents(data)
    return read_contents(workdir.pairs_file)
