"""The evaluate command: scores the generator of a checkpoint on a whole split."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tensorflow_datasets.core import DatasetBuilder

from pix2pix_jax.checkpoints.reader import IMPORTED, read_network
from pix2pix_jax.config.files import read_config
from pix2pix_jax.config.initial_run import CheckpointStep
from pix2pix_jax.config.metrics import METRICS
from pix2pix_jax.config.schema import Config
from pix2pix_jax.data.contents.facts import dataset_contents, shows_halves_of
from pix2pix_jax.data.fingerprint import dataset_fingerprint
from pix2pix_jax.data.images.pixels import float_to_image
from pix2pix_jax.data.prepare import prepare
from pix2pix_jax.data.records import open_split
from pix2pix_jax.errors import UsageError
from pix2pix_jax.evaluation.class_reader import (
    note_without_classes,
    open_class_reader,
    why_no_classes,
)
from pix2pix_jax.evaluation.evaluation_file import (
    Evaluation,
    make_evaluation,
    read_evaluation,
    to_json,
)
from pix2pix_jax.evaluation.running_statistics import StatisticsOptions, find_statistics
from pix2pix_jax.evaluation.scorer import Pictures, Scorer
from pix2pix_jax.models.running_statistics import moments_of
from pix2pix_jax.reports.evaluation import render_evaluation_page
from pix2pix_jax.reports.page import TRUTH, format_metric
from pix2pix_jax.runs.checks import resolve_run_config
from pix2pix_jax.runs.pairs import run_contents
from pix2pix_jax.runs.workdir import Workdir, picture_file
from pix2pix_jax.runtime.console import plural, say
from pix2pix_jax.runtime.memory import explain_out_of_memory
from pix2pix_jax.runtime.storage.files import atomic_file, atomic_folder, check_writable
from pix2pix_jax.runtime.storage.locks import folder_lock


@dataclass(frozen=True)
class EvaluateOptions:
    """How a generator is scored.

    Attributes:
      split: train, val or test.
      step: the step of the checkpoint.
      fcn_score: whether to measure the FCN-score of a dataset that can have one.
      statistics: how to find the running statistics by which all norms normalize, as in PyTorch's
        eval mode; None: each image has its own statistics, as in training.
    """

    split: str
    step: CheckpointStep = "newest"
    fcn_score: bool = True
    statistics: StatisticsOptions | None = None


def evaluate(config: Config, workdir: Workdir, options: EvaluateOptions) -> None:
    """Scores a split; writes `evaluation_<split>.json`, its page and its pictures.

    Args:
      config: the config of the run; data.source and a few other fields may differ.
      workdir: the workdir of the run.
      options: what to score, and how.

    Raises:
      UsageError: there is no such run, checkpoint or split, a training pair may have moved to
        another split, the files show only one side of pairs, the running statistics cannot be
        found, or an output of the generator is not finite.
    """
    config, split = resolve_run_config(workdir, config), options.split
    step, params, training_fingerprint = read_network(workdir, config, options.step)
    dataset = prepare(config.data)
    check_pairs(workdir, config, dataset, training_fingerprint)
    check_halves(workdir, config, dataset)
    records = open_split(dataset, split, config.data.max_pairs)
    fcn_score = options.fcn_score
    if fcn_score and (reason := why_no_classes(config.data, dataset)):
        say(note_without_classes(reason))
        fcn_score = False
    found = moments = None
    if options.statistics:
        found = find_statistics(workdir, config, step, "generator", options.statistics)
        moments = moments_of(found.values)
        say(f"the norms use the {found.source}; there is no dropout")
    path, page = workdir.evaluation_file(split), workdir.evaluation_page(split)
    for file in (path, page):
        check_writable(file)
    with (
        folder_lock(page.parent, wait=True),
        explain_out_of_memory(),
        # The new files are moved into place from the last to the first, so that new scores never
        # stand next to an old page.
        atomic_file(path) as new_json,
        atomic_file(page) as new_page,
        atomic_folder(workdir.evaluation_pictures_folder(split)) as pictures,
    ):
        reader = open_class_reader(config.data, dataset) if fcn_score else None
        scorer = Scorer(config, records, reader, moments)
        scores = scorer.score(params, partial(write_pictures, pictures))
        evaluation = make_evaluation(config, dataset, split, step, reader, scores)
        if found:
            evaluation["running_statistics"] = found.source
        new_page.write_text(render_evaluation_page(workdir, evaluation, pictures), encoding="utf-8")
        new_json.write_text(to_json(evaluation), encoding="utf-8")
        # If the process is killed from here on, old scores must not stand next to new pictures.
        remove_old_evaluation(path, evaluation)
    for line in format_table(evaluation).splitlines():
        say(line)
    say(f"step {step}, {split}: {plural(len(records), 'pair')}; open {page}")


def check_pairs(
    workdir: Workdir, config: Config, dataset: DatasetBuilder, training_fingerprint: str
) -> None:
    """Checks that no training pair can have moved to another split since the run was trained.

    Args:
      workdir: the workdir of the run.
      config: the config to evaluate with.
      dataset: the dataset prepared from `config`.
      training_fingerprint: the fingerprint of the pairs that the run was trained on, or IMPORTED.

    Raises:
      UsageError: the source that the run was trained on has changed since then, so a pair may have
        moved from the training split to another split.
    """
    source = config.data.source
    has_training_source = source and source == read_config(workdir.config_file).data.source
    if not has_training_source or training_fingerprint == IMPORTED:
        return
    if dataset_fingerprint(dataset) != training_fingerprint:
        raise UsageError(
            f"data.source: {source} has other pairs than when {workdir} was trained, so a training "
            "pair may now be in another split",
            "restore the old pairs, or put the pairs to evaluate into FOLDER/test, and give "
            "--config.data.source=FOLDER --split=test",
        )


def check_halves(workdir: Workdir, config: Config, dataset: DatasetBuilder) -> None:
    """Checks that the files to evaluate show whole pairs, if the run was trained on halves.

    Args:
      workdir: the workdir of the run.
      config: the config to evaluate with.
      dataset: the dataset prepared from `config`.

    Raises:
      UsageError: the files have the proportions of one half of the pairs of the run.
    """
    trained_data = read_config(workdir.config_file).data
    if config.data.form != trained_data.form:  # The user has said what the files show.
        return
    trained = run_contents(workdir, trained_data)
    found = dataset_contents(dataset, config.data)
    if trained and found and shows_halves_of(found, trained):
        other_form = "halves" if trained_data.form is None else None
        raise UsageError(
            f"data.source: {config.data.source} shows one side of each pair in an image, but "
            f"{workdir} was trained on images that show A and B side by side",
            "give images that show A and B side by side; if these images do, give "
            f"--config.data.form={other_form}",
        )


def remove_old_evaluation(path: Path, new: Evaluation) -> None:
    """Removes the evaluation that `new` replaces; prints a line if the two are not comparable."""
    old = read_evaluation(path)
    keys = ("step", "data", "images", "segmenter", "running_statistics")
    if old and any(old.get(key) != new.get(key) for key in keys):
        say(
            f"{path}: the evaluation of step {old['step']} is replaced; to keep an evaluation, "
            "copy this file and report/ before you evaluate again"
        )
    path.unlink(missing_ok=True)


def write_pictures(folder: Path, name: str, pictures: Pictures) -> None:
    """Writes the pictures of the pair `name` into the folder of an evaluation's pictures."""
    for kind, pixels in pictures.items():
        path = picture_file(folder, kind, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        float_to_image(pixels).save(path, compress_level=1)


def format_table(evaluation: Evaluation) -> str:
    """Formats a line for each metric: its value for outputs, and for the ground truth if any."""
    truth = evaluation["ground_truth"]
    lines = [f"{'':20} {'output':>8} {TRUTH if truth else '':>13}".rstrip()]
    for name, value in evaluation["metrics"].items():
        output_cell = format_metric(name, value)
        truth_cell = format_metric(name, truth[name]) if name in truth else ""
        lines.append(f"{METRICS[name].label:20} {output_cell:>8} {truth_cell:>13}".rstrip())
    return "\n".join(lines)
