"""`pix2pix evaluate`: compute the metrics of the translations of a split."""

import argparse

from pix2pix_jax.cli.flags.options import (
    FlagValues,
    add_evaluation_flags,
    add_running_statistics,
    add_step,
    load_config,
    require_run,
    statistics_options,
)

HELP = "compute the metrics of the translations of a split, and write a page that shows them"
EXAMPLE = "--workdir=runs/first --split=test"
WHEN_STOPPED = "the same command starts again from the beginning"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the flags for the split to evaluate, the FCN-score and the checkpoint to use."""
    add_evaluation_flags(parser)
    add_step(parser)
    add_running_statistics(parser)


def run(options: argparse.Namespace, fields: FlagValues) -> int:
    """Evaluates a split, and writes evaluation_SPLIT.json and its page."""
    from pix2pix_jax.runtime.backend import start_backend

    workdir, config = require_run(options), load_config(options, fields)
    start_backend()
    from pix2pix_jax.evaluation.evaluate import EvaluateOptions, evaluate

    evaluate_options = EvaluateOptions(
        split=options.split,
        step=options.step,
        fcn_score=not options.no_fcn_score,
        statistics=statistics_options(options),
    )
    evaluate(config, workdir, evaluate_options)
    return 0
