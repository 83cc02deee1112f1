"""The sweep command: every variant trained and evaluated, then all of them in one table."""

import traceback
from contextlib import suppress

import jax

from pix2pix_jax.config.experiments import Sweep
from pix2pix_jax.config.resolve import resolve
from pix2pix_jax.config.schema import Config
from pix2pix_jax.data.pipeline import open_split
from pix2pix_jax.data.prepare import prepare
from pix2pix_jax.errors import UsageError, explain_error, is_debugging
from pix2pix_jax.evaluation.class_reader import why_no_classes
from pix2pix_jax.evaluation.evaluate import evaluate
from pix2pix_jax.evaluation.summary import is_up_to_date
from pix2pix_jax.runs.ownership import WorkdirBusy
from pix2pix_jax.runs.workdir import SweepFolder, Workdir
from pix2pix_jax.runtime.console import say
from pix2pix_jax.runtime.files import write_atomically
from pix2pix_jax.runtime.locks import folder_lock
from pix2pix_jax.sweeps.compatibility import check_runs
from pix2pix_jax.sweeps.results import write_results
from pix2pix_jax.training.train import train


def sweep(
    plan: Sweep, folder: SweepFolder, index: int | None, split: str, fcn_score: bool = True
) -> int:
    """Trains and evaluates the variants that are not finished, and collects them all.

    The same command goes on where it was stopped. One that fails is told in the table and does
    not stop the others; the next time it is tried again.

    Args:
      plan: the variants, each of which gets the folder folder/<name>.
      folder: of the sweep.
      index: of the one variant to run; None: all, one after another.
      split: to evaluate.
      fcn_score: whether to measure it, where a dataset can have one.

    Returns:
      The exit status: 0, or 128 + the number of a signal that stopped it.

    Raises:
      UsageError: the workdir holds another sweep or other runs, or there is no such split; or,
        after all else was written, a variant failed.
    """
    chosen = plan.variants if index is None else [_variant(plan, index)]
    check_runs(plan, folder)
    check_split([config for _, config in chosen], split)
    failed = []
    for place, (name, config) in enumerate(chosen, 1):
        say(f"== {name} ({place} of {len(chosen)})")
        status, reason = run_variant(config, folder.run(name), split, fcn_score)
        if status:
            return status
        if reason:
            failed.append(name)
        jax.clear_caches()  # or the programs of all variants would pile up
    with folder_lock(folder.path, wait=True):
        write_results(plan, folder, split)
    say(f"{folder}: the tables are in results.md, the pictures in report/index.html")
    if failed:
        raise UsageError(
            f"{folder}: {len(failed)} of {len(chosen)} variants failed ({', '.join(failed)}), for "
            f"the reasons in their failed.txt; the same command tries them again"
        )
    return 0


def check_split(configs: list[Config], split: str) -> None:
    """Raises UsageError where the data of variants have no such split, before a table is lost."""
    sources = {}  # in their order, each once
    for config in configs:
        with suppress(UsageError):
            sources[resolve(config).data] = None
    for data in sources:
        try:
            dataset = prepare(data)
        except (UsageError, OSError):  # told as failed, once a variant is tried
            continue
        if split not in dataset.info.splits:
            open_split(dataset, split)  # which says so


def _variant(plan: Sweep, index: int) -> tuple[str, Config]:
    if not 0 <= index < len(plan.variants):
        raise UsageError(f"--index: {index} is none of 0 to {len(plan.variants) - 1}; see --list")
    return plan.variants[index]


def run_variant(config: Config, workdir: Workdir, split: str, fcn_score: bool) -> tuple[int, str]:
    """Trains and evaluates one variant, as far as that is not done.

    Returns:
      0, or 128 + the number of a signal; and why it failed, which is also told in its folder.
    """
    try:
        config = resolve(config)
        dataset = prepare(config.data)
        unread = why_no_classes(config.data, dataset) if fcn_score else ""
        if unread:
            say(unread)
        if is_up_to_date(config, dataset, workdir, split, fcn_score):
            say(f"{workdir}: finished")
        else:
            workdir.failure_file.unlink(missing_ok=True)
            status = train(config, workdir)
            if status:
                return status, ""
            evaluate(config, workdir, split, config.train.steps, fcn_score and not unread)
    except WorkdirBusy as error:  # say, by the same variant of an array job that was started twice
        say(str(error))
    except Exception as error:  # whatever it is, the others are to go on
        reason = report_failure(workdir, error)
        return 0, reason
    else:
        workdir.failure_file.unlink(missing_ok=True)
    return 0, ""


def report_failure(workdir: Workdir, error: Exception) -> str:
    """Prints why a variant failed and writes it to the variant's folder; returns the reason.

    A fault of ours keeps its traceback, on stderr, though the other variants are still to run.
    """
    reason = explain_error(error)
    if reason is None or is_debugging():
        traceback.print_exception(error)
    reason = reason or f"{type(error).__name__}: " + " ".join(str(error).split())
    say(f"{workdir}: failed: {reason}")
    with suppress(OSError):  # the folder may be what failed
        write_atomically(workdir.failure_file, reason + "\n")
    return reason
