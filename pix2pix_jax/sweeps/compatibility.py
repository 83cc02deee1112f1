"""Whether a folder holds this sweep, another one, or a run."""

import json
from contextlib import suppress

from pix2pix_jax.checkpoints.reader import saved_steps
from pix2pix_jax.config.experiments import Sweep
from pix2pix_jax.config.files import read_config
from pix2pix_jax.config.resolve import resolve
from pix2pix_jax.errors import UsageError
from pix2pix_jax.runs.compatibility import check_same_run
from pix2pix_jax.runs.workdir import SweepFolder


def check_runs(plan: Sweep, folder: SweepFolder) -> None:
    """Raises UsageError where what is there is not of this sweep, before a table is lost."""
    if (folder.path / "config.json").exists():
        raise UsageError(f"{folder}: is the workdir of a run; give the sweep another --workdir")
    title = plan.title
    with suppress(FileNotFoundError, ValueError, KeyError, TypeError):  # none yet, or damaged
        title = json.loads(folder.results_file.read_bytes())["title"]
    if title != plan.title:
        raise UsageError(
            f"{folder.results_file}: is of another sweep, {title!r}; give this one another "
            "--workdir, or move that away"
        )
    for name, config in plan.variants:
        path = folder.run(name).config_file
        try:
            config = resolve(config)
            read_config(path)
        except UsageError:  # not there yet; or told as failed, once it is tried
            continue
        mend = "undo the change, or give the sweep another --workdir"
        check_same_run(path, config, mend)
        steps = saved_steps(folder.run(name))
        if steps and steps[-1] > config.train.steps and config.train.steps not in steps:
            raise UsageError(
                f"{path}: is of a run that has come to step {steps[-1]}, beyond train.steps; {mend}"
            )
