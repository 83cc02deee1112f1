"""Checks that a folder belongs to a sweep, before results in it are overwritten."""

import json
from contextlib import suppress

from pix2pix_jax.config.files import read_config
from pix2pix_jax.config.resolve import resolve
from pix2pix_jax.errors import UsageError
from pix2pix_jax.runs.checks import check_config_unchanged
from pix2pix_jax.runs.workdir import SweepFolder, Workdir
from pix2pix_jax.sweeps.sweep_file import SweepPlan


def check_runs(plan: SweepPlan, folder: SweepFolder) -> None:
    """Checks that all runs and results in a folder belong to the given sweep.

    Args:
      plan: the sweep.
      folder: the folder, which may not exist yet.

    Raises:
      UsageError: the folder is the workdir of a run, or has the results of another sweep. It is
        also raised if the run of a variant has another config, or has passed train.steps without a
        checkpoint of that step.
    """
    if Workdir(folder.path).config_file.exists():
        raise UsageError(f"{folder}: is the workdir of a run", "give the sweep another --workdir")
    title = plan.title
    # A missing or damaged results file contains nothing to lose, so it may be written again.
    with suppress(FileNotFoundError, ValueError, KeyError, TypeError):
        title = json.loads(folder.results_file.read_bytes())["title"]
    if title != plan.title:
        raise UsageError(
            f"{folder.results_file}: belongs to another sweep, {title!r}",
            "give this sweep another --workdir, or move the file to another folder",
        )
    for name, config in plan.variants:
        run = folder.workdir(name)
        try:
            config = resolve(config)
            read_config(run.config_file)
        except UsageError:  # There is no run yet, or the run of the variant will report the error.
            continue
        fix = "undo the change, or give the sweep another --workdir"
        check_config_unchanged(run.config_file, config, fix)
        steps = run.checkpoint_steps()
        if steps and steps[-1] > config.train.steps and config.train.steps not in steps:
            raise UsageError(
                f"{run.config_file}: belongs to a run that has reached step {steps[-1]}, past "
                f"train.steps={config.train.steps}",
                fix,
            )
