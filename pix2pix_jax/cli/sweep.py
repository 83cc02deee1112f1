"""`pix2pix sweep`: train and evaluate the variants of an experiment, and compare them."""

import argparse

from pix2pix_jax.cli.flags.options import FlagValues, add_evaluation_flags, require
from pix2pix_jax.cli.flags.values import parse_positive, parse_uint32
from pix2pix_jax.errors import UsageError
from pix2pix_jax.runs.workdir import SweepFolder

HELP = "train and evaluate the variants of an experiment, and compare them"
EXAMPLE = "--config=experiments/ablations/receptive_field.py:facades --workdir=runs/field"
WHEN_STOPPED = "the same command resumes"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the flags for the split to evaluate, and for the variants to run."""
    add_evaluation_flags(parser)
    parser.add_argument(
        "--index",
        type=parse_uint32,
        metavar="I",
        help="number of the only variant to run, as --list prints it; default: all variants",
    )
    parser.add_argument(
        "--seeds",
        type=parse_positive,
        metavar="N",
        help="number of seeds for each row of the table; default: the number in the --config file",
    )
    parser.add_argument(
        "--list",
        action="store_true",
        help="print the variants and an estimate of their training time, and run none of them",
    )


def run(options: argparse.Namespace, fields: FlagValues) -> int:
    """Trains and evaluates the variants, or lists them."""
    example = "--config=experiments/ablations/receptive_field.py"
    spec = require(options, "config", f"give a sweep, e.g. {example}")
    workdir = require(options, "workdir", "give a folder, e.g. --workdir=runs/receptive_field")
    if workdir.address:
        raise UsageError(
            "--workdir: sweep cannot write to a bucket", "give a folder on this machine"
        )
    from pix2pix_jax.runtime.backend import start_backend
    from pix2pix_jax.sweeps.sweep_file import load_sweep

    start_backend()
    from pix2pix_jax.sweeps.plan import format_plan
    from pix2pix_jax.sweeps.sweep import sweep

    folder = SweepFolder(workdir.path)
    plan = load_sweep(spec, options.seeds, fields)
    if options.list:
        print(format_plan(plan, folder, options.split, not options.no_fcn_score))
        return 0
    return sweep(plan, folder, options.index, options.split, not options.no_fcn_score)
