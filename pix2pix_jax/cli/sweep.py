"""`pix2pix sweep`: run the variants of an experiment, and compare them."""

import argparse

from pix2pix_jax.cli.options import Fields, add_split, parse_positive
from pix2pix_jax.config.experiments import load_sweep
from pix2pix_jax.errors import UsageError
from pix2pix_jax.runs.workdir import SweepFolder

HELP = "run the variants of an experiment, and compare them"
EXAMPLE = "--config=experiments/ablations/receptive_field.py:facades --workdir=runs/field"
WHEN_STOPPED = "the same command goes on"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which variants, and which split to evaluate."""
    add_split(parser)
    parser.add_argument("--index", type=int, metavar="I", help="only variant I")
    parser.add_argument("--seeds", type=parse_positive, metavar="N", help="runs of each row")
    parser.add_argument("--list", action="store_true", help="only say what would be run")


def run(options: argparse.Namespace, fields: Fields) -> int:
    """Trains and evaluates the variants, or lists them."""
    if options.config is None:
        raise UsageError("--config: give a sweep, e.g. experiments/ablations/receptive_field.py")
    if options.workdir is None:
        raise UsageError("--workdir: sweep needs one, e.g. --workdir=runs/receptive_field")
    if options.workdir.address:
        raise UsageError("--workdir: sweep writes to a folder of this machine; give one")
    from pix2pix_jax.runtime.backend import start_backend

    start_backend()
    from pix2pix_jax.sweeps.plan import to_text
    from pix2pix_jax.sweeps.sweep import sweep

    folder = SweepFolder(options.workdir.path)
    plan = load_sweep(options.config, options.seeds, fields)
    if options.list:
        print(to_text(plan, folder, options.split))
        return 0
    return sweep(plan, folder, options.index, options.split, not options.no_fcn_score)
