"""`pix2pix evaluate`: score a split."""

import argparse

from pix2pix_jax.cli.options import Fields, add_split, add_step, load_config, require_run

HELP = "score a split, and show its pairs"
EXAMPLE = "--workdir=runs/first --split=test"
WHEN_STOPPED = "the same command begins anew"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which split and which checkpoint."""
    add_split(parser)
    add_step(parser)


def run(options: argparse.Namespace, fields: Fields) -> int:
    """Writes evaluation_<split>.json and its page."""
    from pix2pix_jax.runtime.backend import start_backend

    workdir, config = require_run(options), load_config(options, fields)
    start_backend()
    from pix2pix_jax.evaluation.evaluate import evaluate

    return evaluate(config, workdir, options.split, options.step, not options.no_fcn_score)
