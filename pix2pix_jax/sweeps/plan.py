"""The plan of a sweep as text: variants with their networks, their state and their time left."""

from pix2pix_jax.config.resolve import resolve
from pix2pix_jax.config.schema import Config
from pix2pix_jax.errors import UsageError
from pix2pix_jax.evaluation.class_reader import may_need_segmenter
from pix2pix_jax.evaluation.evaluation_file import read_finished_evaluation
from pix2pix_jax.runs.checks import check_devices
from pix2pix_jax.runs.workdir import SweepFolder, Workdir
from pix2pix_jax.runtime.console import format_duration
from pix2pix_jax.sweeps.checks import check_runs
from pix2pix_jax.sweeps.lengths import describe_length, fill_in_lengths
from pix2pix_jax.sweeps.step_time import StepTimes, describe_once, without_seed
from pix2pix_jax.sweeps.sweep_file import SweepPlan

HEADER = (
    f"{'index':>5}  {'variant':32} {'generator':>12} {'discriminator':>14} "
    f"{'receptive field':>15} "
    f"{'steps':>9} {'training':>12}  state"
)

SEGMENTER_NOTE = (
    " The FCN-score needs a segmenter for each dataset, which takes minutes to an hour to train on "
    "a CPU."
)
EPOCHS_NOTE = (
    " Variants with a length in epochs are not included. Their number of steps is known only after "
    "their run has started."
)


def format_plan(plan: SweepPlan, folder: SweepFolder, split: str, fcn_score: bool = True) -> str:
    """Formats a plan: a line for each variant, with the reason if the variant cannot be built.

    Args:
      plan: the sweep.
      folder: the folder of the sweep, which may not exist yet.
      split: the split to evaluate.
      fcn_score: whether to measure the FCN-score of datasets that can have one.

    Raises:
      UsageError: the folder contains another sweep, or a run that is not of this sweep.
    """
    plan = fill_in_lengths(plan, folder)
    check_runs(plan, folder)
    lines, total, times = [plan.title, HEADER], 0.0, StepTimes(plan, folder)
    for index, (name, config) in enumerate(plan.variants):
        first_columns = f"{index:>5}  {name:32}"
        try:
            config = resolve(config)
            check_devices(config.data.batch_size)
            networks, seconds = describe_once(without_seed(config)), times.seconds(config)
        except UsageError as error:
            lines.append(f"{first_columns} cannot be built: {error}")
            continue
        step, state = _read_progress(config, folder.workdir(name), split)
        length, time_left = f"{config.train.steps:,}", ""
        if config.train.epochs is None:
            left = (config.train.steps - step) * seconds
            total, time_left = total + left, format_duration(left)
        else:
            length = describe_length(config.train)
        generator, discriminator = networks["generator"], networks["discriminator"]
        size, field = discriminator["parameters"], discriminator["receptive_field"]
        if config.loss.gan == "none":
            size, field = 0, ""
        lines.append(
            f"{first_columns} {generator['parameters']:>12,} {size:>14,} {field:>15} "
            f"{length:>9} {time_left:>12}  {state}".rstrip()
        )
    lines.append(
        f"about {format_duration(total)} of training left, estimated from the runs of this sweep, "
        "or else from a step of the generator. In addition, each variant needs a minute to compile "
        "and to evaluate."
    )
    configs = [config for _, config in plan.variants]
    if fcn_score and any(may_need_segmenter(config.data) for config in configs):
        lines[-1] += SEGMENTER_NOTE
    if any(config.train.epochs for config in configs):
        lines[-1] += EPOCHS_NOTE
    return "\n".join(lines)


def _read_progress(config: Config, workdir: Workdir, split: str) -> tuple[int, str]:
    """The step that a variant has reached, and its state as text."""
    if read_finished_evaluation(config, workdir, split):
        return config.train.steps, "evaluated"
    step = min(max(workdir.checkpoint_steps(), default=0), config.train.steps)
    failed = "failed" if workdir.failure_file.exists() else ""
    return step, ", ".join(filter(None, (failed, f"at step {step:,}" if step else "")))
