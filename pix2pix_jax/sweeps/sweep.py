"""The sweep command: trains and evaluates all variants, then writes a table of their scores."""

import shlex
import traceback
from contextlib import suppress
from dataclasses import dataclass

import jax

from pix2pix_jax.config.resolve import resolve
from pix2pix_jax.config.schema import Config
from pix2pix_jax.data.prepare import prepare
from pix2pix_jax.data.records import open_split
from pix2pix_jax.errors import UsageError, explain_error, is_debugging
from pix2pix_jax.evaluation.class_reader import note_without_classes, why_no_classes
from pix2pix_jax.evaluation.evaluate import EvaluateOptions, evaluate
from pix2pix_jax.evaluation.evaluation_file import is_up_to_date
from pix2pix_jax.runs.ownership import WorkdirBusy
from pix2pix_jax.runs.workdir import SweepFolder, Workdir
from pix2pix_jax.runtime.console import say, some_of
from pix2pix_jax.runtime.storage.files import check_writable, write_atomically
from pix2pix_jax.runtime.storage.locks import folder_lock
from pix2pix_jax.sweeps.checks import check_runs
from pix2pix_jax.sweeps.lengths import fill_in_lengths, resolve_variant_length
from pix2pix_jax.sweeps.results import write_results
from pix2pix_jax.sweeps.sweep_file import SweepPlan
from pix2pix_jax.training.divergence import Diverged
from pix2pix_jax.training.train import train


@dataclass(frozen=True)
class Outcome:
    """How a variant ended.

    Attributes:
      exit_status: 0, or 128 + the number of the signal that stopped the variant.
      failure: the reason why the variant failed; empty if it did not fail.
    """

    exit_status: int = 0
    failure: str = ""


def sweep(
    plan: SweepPlan, folder: SweepFolder, index: int | None, split: str, fcn_score: bool = True
) -> int:
    """Trains and evaluates all unfinished variants, and writes a table of all variants.

    The same command resumes an interrupted sweep. A variant that fails does not stop the others:
    the table shows the reason, and the same command tries the variant again.

    Args:
      plan: the sweep.
      folder: the folder of the sweep, with the workdir of each variant in it.
      index: the index of the only variant to run; None: all variants, one after another.
      split: the split to evaluate.
      fcn_score: whether to measure the FCN-score of datasets that can have one.

    Returns:
      The exit status: 0, or 128 + the number of the signal that stopped the sweep.

    Raises:
      UsageError: there is no variant `index`, the folder contains another sweep or other runs, or
        a dataset has no such split. It is also raised if a variant failed; then the table is
        written before the error.
    """
    chosen = plan.variants if index is None else [_choose_variant(plan, index)]
    check_runs(fill_in_lengths(plan, folder), folder)
    check_writable(folder.path)
    check_datasets([config for _, config in chosen], split, fcn_score)
    failed = []
    for number, (name, config) in enumerate(chosen, 1):
        say(f"== {name} ({number} of {len(chosen)})")
        outcome = run_variant(config, folder.workdir(name), split, fcn_score)
        if outcome.exit_status:
            return outcome.exit_status
        if outcome.failure:
            failed.append(name)
        jax.clear_caches()  # The compiled programs of all variants would not fit into memory.
    with folder_lock(folder.path, wait=True):
        write_results(fill_in_lengths(plan, folder), folder, split)
    say(f"the results are in {folder.table_file} and {folder.report_page}")
    if failed:
        file = folder.workdir(failed[0]).failure_file.name
        variants = some_of(len(failed), len(chosen), "variant")
        raise UsageError(
            f"{folder}: {variants} failed ({', '.join(failed)})",
            f"read {file} in the folder of each, fix the reason, and run the same command again",
        )
    return 0


def check_datasets(configs: list[Config], split: str, fcn_score: bool) -> None:
    """Checks that the datasets of all variants have the split to evaluate.

    If datasets cannot have an FCN-score, prints each reason once, and not again for each variant.

    Args:
      configs: the configs of the variants.
      split: the split to evaluate.
      fcn_score: whether to measure the FCN-score of datasets that can have one.

    Raises:
      UsageError: a dataset has no such split.
    """
    datasets = {}  # an ordered set, because several variants often share a dataset
    for config in configs:
        with suppress(UsageError):
            datasets[resolve(config).data] = None
    reasons = {}  # an ordered set
    for data in datasets:
        try:
            dataset = prepare(data)
            reason = why_no_classes(data, dataset) if fcn_score else ""
        except (UsageError, OSError):  # The run of the variant will report the same error.
            continue
        if split not in dataset.info.splits:
            open_split(dataset, split)  # raises UsageError
        reasons[reason] = None
    for reason in filter(None, reasons):
        say(note_without_classes(reason))


def _choose_variant(plan: SweepPlan, index: int) -> tuple[str, Config]:
    last = len(plan.variants) - 1
    if not 0 <= index <= last:
        raise UsageError(
            f"--index: {index} is not between 0 and {last}", "give an index that --list shows"
        )
    return plan.variants[index]


def run_variant(config: Config, workdir: Workdir, split: str, fcn_score: bool) -> Outcome:
    """Trains and evaluates a variant, unless its evaluation is up to date.

    Skips a variant that another process trains. If the variant fails, the reason is also written to
    the folder of the variant.
    """
    try:
        config = resolve(resolve_variant_length(config))
        status = _train_and_evaluate(config, workdir, split, fcn_score)
        if status:
            return Outcome(exit_status=status)
    except WorkdirBusy as error:  # For example, an array job was started twice.
        say(str(error))
    except Diverged as error:  # A flag would change the learning rate of all variants.
        fix = (
            "give this variant a lower optimizer.learning_rate in the sweep file, move "
            f"{shlex.quote(str(workdir))} away, and run the sweep again"
        )
        own = Diverged(error.problem, fix).with_traceback(error.__traceback__)
        return Outcome(failure=report_failure(workdir, own))
    except Exception as error:  # No error of a variant may stop the others, not even a bug.
        return Outcome(failure=report_failure(workdir, error))
    else:
        workdir.failure_file.unlink(missing_ok=True)
    return Outcome()


def report_failure(workdir: Workdir, error: Exception) -> str:
    """Prints the reason of a failure and writes it to the folder of the variant.

    The traceback of a bug is printed to stderr, although the sweep continues.

    Returns:
      The reason, one line.
    """
    reason = explain_error(error)
    if reason is None or is_debugging():
        traceback.print_exception(error)
    reason = reason or f"{type(error).__name__}: " + " ".join(str(error).split())
    say(f"{workdir}: the variant failed: {reason}")
    with suppress(OSError):  # The folder itself may be the reason.
        write_atomically(workdir.failure_file, reason + "\n")
    return reason


def _train_and_evaluate(config: Config, workdir: Workdir, split: str, fcn_score: bool) -> int:
    """Trains and evaluates a variant.

    Returns:
      0, or 128 + the number of the signal that stopped the training.
    """
    dataset = prepare(config.data)
    has_score = fcn_score and not why_no_classes(config.data, dataset)
    if is_up_to_date(config, dataset, workdir, split, fcn_score):
        say(f"{workdir}: is finished already")
        return 0
    workdir.failure_file.unlink(missing_ok=True)
    status = train(config, workdir)
    if not status:
        evaluate(config, workdir, EvaluateOptions(split, config.train.steps, has_score))
    return status
