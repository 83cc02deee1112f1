"""Checks that a folder belongs to a sweep, before results in it are overwritten."""

import json
import shlex
from collections.abc import Mapping, Sequence
from contextlib import suppress

from pix2pix_jax.config.fields import changed_values, field_values, format_value
from pix2pix_jax.config.files import override, read_config
from pix2pix_jax.config.resolve import resolve
from pix2pix_jax.config.resume import changed_fields
from pix2pix_jax.config.schema import Config
from pix2pix_jax.errors import UsageError
from pix2pix_jax.runs.checks import check_config_unchanged
from pix2pix_jax.runs.restart import format_flag
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
        title = str(json.loads(folder.results_file.read_bytes())["title"])
    # Earlier versions had the table of the paper in the titles of experiments/ablations.
    if title not in (plan.title, f"{plan.title}; the paper's, {plan.paper_table}"):
        raise UsageError(
            f"{folder.results_file}: belongs to another sweep, {title!r}",
            "give this sweep another --workdir, or move the file to another folder",
        )
    configs = {}  # the resolved config of each variant that has a run, by its name
    run_configs = {}  # the config of its run
    for name, config in plan.variants:
        with suppress(UsageError):  # There is no run yet, or its variant will report the error.
            run_configs[name] = read_config(folder.workdir(name).config_file)
            configs[name] = resolve(config)
    flags = _flags_of_runs(plan, run_configs)
    fix = f"to continue its runs, give {flags}" if flags else "undo the change"
    fix += ", or give the sweep another --workdir"
    for name, config in configs.items():
        check_config_unchanged(folder.workdir(name).config_file, config, fix)
    for name, config in configs.items():
        run = folder.workdir(name)
        steps = run.checkpoint_steps()
        if steps and steps[-1] > config.train.steps and config.train.steps not in steps:
            raise UsageError(
                f"{run.config_file}: belongs to a run that has reached step {steps[-1]}, past "
                f"train.steps={config.train.steps}",
                "undo the change, or give the sweep another --workdir",
            )


def _flags_of_runs(plan: SweepPlan, run_configs: Mapping[str, Config]) -> str:
    """The flags that give every variant of a sweep the config of its run.

    Args:
      plan: the sweep.
      run_configs: the configs of runs, by the name of the variant.

    Returns:
      No more flags than are needed, separated by spaces; "" if there are no such flags.
    """
    pairs = [(config, run_configs[name]) for name, config in plan.variants if name in run_configs]
    values: dict[str, str] = {}
    with suppress(UsageError):  # The variant of a config that is not valid will report the error.
        for config, run_config in pairs[:1]:
            changes = changed_values(field_values(resolve(config)), field_values(run_config))
            values = {name: format_value(value) for name, (_, value) in changes.items()}
    for name in list(values):
        fewer = {other: value for other, value in values.items() if other != name}
        if _become_runs(plan, pairs, fewer):
            values = fewer
    if not _become_runs(plan, pairs, values):
        return ""
    return " ".join(shlex.quote(format_flag(name, value)) for name, value in values.items())


def _become_runs(
    plan: SweepPlan, pairs: Sequence[tuple[Config, Config]], values: dict[str, str]
) -> bool:
    """Whether flags give variants the configs of their runs, and no two variants the same config.

    Args:
      plan: the sweep.
      pairs: the config of each variant that has a run, and the config of its run.
      values: the values of the flags, by the field.
    """
    try:
        variants = {override(config, values) for _, config in plan.variants}
        configs = [(resolve(override(config, values)), run_config) for config, run_config in pairs]
    except UsageError:
        return False
    return len(variants) == len(plan.variants) and not any(
        changed_fields(run_config, config)
        # A run may read the same pairs from another folder, but not from no folder.
        or (config.data.source is None and run_config.data.source is not None)
        for config, run_config in configs
    )
