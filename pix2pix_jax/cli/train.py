"""`pix2pix train`: start a run, or resume it."""

import argparse
from contextlib import nullcontext
from typing import TYPE_CHECKING

from pix2pix_jax.cli.flags.options import FlagValues, Parser, load_config, require
from pix2pix_jax.cli.flags.values import parse_init, parse_positive, parse_uint32
from pix2pix_jax.runs.workdir import Workdir

if TYPE_CHECKING:
    from pix2pix_jax.config.schema import Config

HELP = "start a run, or resume a run that was stopped"
EXAMPLE = "--config=experiments/facades.py --workdir=runs/first --config.data.batch_size=4"
WHEN_STOPPED = "the same command resumes"
WORKDIR_FIX = "give a folder, e.g. --workdir=runs/first"


def add_arguments(parser: Parser) -> None:
    """Adds --init, the flags that join several processes into one run, and the fields to --help."""
    parser.end_of_help = describe_fields
    parser.add_argument(
        "--init",
        type=parse_init,
        metavar="DIR[:STEP]",
        help="run to start from: its workdir, and optionally a step (number, newest or best); the "
        "new run takes its networks and optimizers, and also its config if --config is not given; "
        "default: random weights",
    )
    parser.add_argument(
        "--coordinator",
        metavar="HOST:PORT",
        help="address of process 0 if several processes train together; leave out this flag and "
        "the next two on TPUs, and with srun or mpirun",
    )
    parser.add_argument(
        "--num_processes",
        type=parse_positive,
        metavar="N",
        help="number of processes that train together",
    )
    parser.add_argument(
        "--process_id",
        type=parse_uint32,
        metavar="I",
        help="number of this process, from 0 to N - 1",
    )


def describe_fields() -> str:
    """The end of --help: all fields."""
    from pix2pix_jax.cli.flags.field_list import list_fields, to_text

    return f"\nfields:\n\n{to_text(list_fields())}\n"


def run(options: argparse.Namespace, fields: FlagValues) -> int:
    """Joins the other processes, if there are any, and trains."""
    from pix2pix_jax.runtime.backend import load_jax, start_backend

    load_jax()  # before the next import, because that module imports JAX
    from pix2pix_jax.runtime.distributed import ProcessFlags, is_first, join, wait_for_all

    flags = ProcessFlags(options.coordinator, options.num_processes, options.process_id)
    processes = join(flags)
    with processes.explain_lost_process():
        with processes.report_errors():
            config = load_training_config(options, fields)
            workdir = require(options, "workdir", WORKDIR_FIX)
            start_backend()
            from pix2pix_jax.remote.sync import sync_workdir
            from pix2pix_jax.training.train import train

            with (
                sync_workdir(workdir, trains=True) if is_first() else nullcontext(),
                processes.report_errors(),  # This reports an error before the last upload.
            ):
                status = train(config, workdir)
        wait_for_all("the end")
    return status


def load_training_config(options: argparse.Namespace, fields: FlagValues) -> "Config":
    """Loads the config of a run. A new run with --init alone has the config of the other run.

    Raises:
      UsageError: as in `load_config`; --init names no run, or is given without --workdir.
    """
    if not options.init:
        return load_config(options, fields)
    fields = fields | {"train.init": options.init}
    if options.config is not None or has_config(require(options, "workdir", WORKDIR_FIX)):
        return load_config(options, fields)
    from pix2pix_jax.config.fields import replace_fields
    from pix2pix_jax.config.files import override
    from pix2pix_jax.config.initial_run import InitialRun
    from pix2pix_jax.remote.sync import read_initial_config

    config = read_initial_config(InitialRun.parse(options.init))
    # The new run has its own batch on each device.
    return override(replace_fields(config, {"model": {"norm_images": None}}), fields)


def has_config(workdir: Workdir) -> bool:
    """Whether a workdir, which may be in a bucket, has a run already."""
    from pix2pix_jax.remote.sync import find_config_file

    return find_config_file(workdir).exists()
