"""The entry point of the command line: parses the arguments and runs a command.

The exit status is 0 if the command succeeded; 2 after an error that the user can fix; 1, with a
traceback, after a bug of this project; and 128 + N after signal N. If several processes train
together, a process that loses the others exits with 75 or is aborted; see `runtime.process_group`.

Every command has a file in this package with HELP, EXAMPLE, WHEN_STOPPED (what the same command
does if it is given again after a signal), add_arguments(parser) and run(options, fields), which
returns the exit status.

`pix2pix --help` takes a tenth of a second, because this module imports no library that loads
slowly. The function `run` of each command imports the libraries of that command.
"""

import argparse
import os
import signal
import sys
import traceback
from contextlib import AbstractContextManager, nullcontext, suppress
from functools import partial
from types import ModuleType
from typing import NoReturn

from pix2pix_jax.cli import (
    benchmark,
    demo,
    describe,
    evaluate,
    export,
    import_weights,
    prepare,
    sweep,
    train,
    translate,
)
from pix2pix_jax.cli.options import FlagValues, Parser, parse_workdir
from pix2pix_jax.cli.process import escape_unprintable, open_closed_streams, silence_libraries
from pix2pix_jax.errors import UsageError, closest_name, explain_error, is_debugging

COMMANDS: dict[str, ModuleType] = {  # in the order of `pix2pix --help`
    "prepare": prepare,
    "train": train,
    "evaluate": evaluate,
    "sweep": sweep,
    "describe": describe,
    "translate": translate,
    "export": export,
    "demo": demo,
    "benchmark": benchmark,
    "import": import_weights,
}
# The help texts of --config and --workdir for the commands in which they have another meaning.
CONFIG_HELP = {
    "sweep": "(required) file of the sweep: a Python file with a function sweep()",
    "train": "(required for a new run) file of the experiment; default: config.json in the workdir",
    "import": "file of the experiment that sets the fields which the weights do not determine",
}
WORKDIR_HELP = {
    "sweep": "(required) folder of the sweep",
    "prepare": "folder of a run, or gs://BUCKET/DIR; needed only without --config",
    "describe": "folder of a run, or gs://BUCKET/DIR; needed only without --config",
    "import": "(required) folder of the new run, or gs://BUCKET/DIR",
    "benchmark": "(required) folder to write the results to, or gs://BUCKET/DIR",
}
EPILOG = """\
pix2pix COMMAND --help lists the flags of a command.

An error that you can fix is printed as one line.
PIX2PIX_DEBUG=1 pix2pix COMMAND ... also prints its traceback.
"""


def main(arguments: list[str] | None = None) -> int:
    """Sets up the streams of this process, runs a command, and returns its exit status.

    Args:
      arguments: the words after `pix2pix`; None means the arguments of this process.
    """
    open_closed_streams()
    escape_unprintable(sys.stdout)
    try:
        status = run_command(sys.argv[1:] if arguments is None else arguments)
    except SystemExit as stopped:
        if isinstance(stopped.code, int) and stopped.code > 128:  # `stop` raised this exception.
            # Exit at once: threads that still compute would crash while Python shuts down.
            os._exit(stopped.code)
        raise
    try:
        sys.stdout.flush()
    except BrokenPipeError:  # For example, `head` in `pix2pix describe | head` has ended.
        # Python flushes stdout again at exit. The null device accepts everything.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return status


def run_command(arguments: list[str]) -> int:
    """Runs a command, and returns its exit status.

    For an error that the user can fix, prints one line to stderr and returns 2.
    """
    try:
        options, fields = parse(arguments)
        silence_libraries()
        command = COMMANDS[options.command]
        for number in (signal.SIGINT, signal.SIGTERM):
            # `stop` raises SystemExit, so that `with` blocks remove half-written files.
            signal.signal(number, partial(stop, command.WHEN_STOPPED))
        with synced_workdir(options):
            return command.run(options, fields)
    except BrokenPipeError:  # The program that read stdout has ended.
        return 128 + signal.SIGPIPE
    except Exception as error:  # Bugs are raised again below.
        line = explain_error(error)
        if line is None:
            raise
        if is_debugging():
            traceback.print_exc()
        print(line, file=sys.stderr)
        return 2


def parse(arguments: list[str]) -> tuple[argparse.Namespace, FlagValues]:
    """Parses the flags of a command, and the fields of `--config.GROUP.FIELD=VALUE`.

    Raises:
      UsageError: the command or a flag is unknown, or a flag has a wrong value or no value.
    """
    parser = Parser(
        prog="pix2pix",
        description="Image-to-image translation: pix2pix in JAX",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=EPILOG,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, command in COMMANDS.items():
        command_parser = commands.add_parser(
            name,
            help=command.HELP,
            description=command.HELP,
            allow_abbrev=False,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            epilog=f"example: pix2pix {name} {command.EXAMPLE}\n\n"
            "--config.GROUP.FIELD=VALUE sets a field; see the list in pix2pix_jax/config/schema.py",
        )
        command_parser.add_argument(
            "--config",
            metavar="FILE[:ARG]",
            help=CONFIG_HELP.get(
                name, "file of the experiment; default: config.json in the workdir"
            ),
        )
        command_parser.add_argument(
            "--workdir",
            type=parse_workdir,
            metavar="DIR",
            help=WORKDIR_HELP.get(name, "(required) folder of the run, or gs://BUCKET/DIR"),
        )
        command.add_arguments(command_parser)
    options, rest = parser.parse_known_args(arguments)
    flags = commands.choices[options.command].flags
    return options, parse_fields(rest, flags)


def parse_fields(arguments: list[str], flags: list[str]) -> FlagValues:
    """Parses `--config.GROUP.FIELD=VALUE` into values by GROUP.FIELD.

    Args:
      arguments: all arguments of the command line except the flags of the command.
      flags: the flags of the command, to suggest one for an unknown flag.

    Raises:
      UsageError: an argument does not have this form.
    """
    fields = {}
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if name.startswith("--config.") and not equals:
            raise UsageError(f"{argument}: has no value; give {argument}=VALUE")
        if not name.startswith("-"):
            raise UsageError(
                f"{argument}: does not begin with --; put a pattern, or a path with spaces, in "
                "quotes, as in --input='photos/*.png'"
            )
        if name in flags:  # before the command, where argparse does not look for it
            raise UsageError(f"{argument}: stands before the command; give it after the command")
        if not name.startswith("--config."):
            raise UsageError(f"{argument}: unknown flag; {suggest_flag(name, flags)}")
        fields[name.removeprefix("--config.")] = value
    return fields


def suggest_flag(name: str, flags: list[str]) -> str:
    """The end of the error line for an unknown flag: the closest flag, or else a hint to --help.

    Args:
      name: the unknown flag, with its dashes.
      flags: the flags of the command.
    """
    own, wanted = {flag.strip("-"): flag for flag in flags}, name.strip("-").replace("-", "_")
    # A similar flag comes before a field: for `translate --steps`, --step and not train.steps.
    if similar := closest_name(wanted, own, similarity=0.8):
        return f"did you mean {own[similar]}?"
    # This import is here, because the module imports Pydantic, which loads slowly.
    from pix2pix_jax.config.schema import field_names

    fields = {field.rpartition(".")[2]: f"--config.{field}" for field in field_names()}
    known = fields | {field: f"--config.{field}" for field in field_names()} | own
    near = closest_name(wanted, known)
    if near is None:
        return "give a flag that --help lists, or set a field by --config.GROUP.FIELD=VALUE"
    return f"did you mean {known[near]}?"


def synced_workdir(options: argparse.Namespace) -> AbstractContextManager[None]:
    """Downloads a workdir from its bucket before the `with` block, and uploads it afterwards.

    Does nothing for a workdir that is not in a bucket, and for two commands: `train` syncs its
    workdir itself, because only the first of several processes may do so; `sweep` refuses buckets.
    """
    if options.workdir is None or options.workdir.address is None:
        return nullcontext()
    if options.command in ("train", "sweep"):
        return nullcontext()
    from pix2pix_jax.remote.sync import sync_workdir

    return sync_workdir(options.workdir)


def stop(when_stopped: str | None, number: int, frame: object) -> NoReturn:
    """Handles a signal outside of training: prints that the command was stopped, and exits.

    Args:
      when_stopped: what the same command does if it is given again; None prints only "stopped".
      number: the number of the signal.
      frame: unused; Python passes it to every signal handler.
    """
    text = "\nstopped" + (f"; {when_stopped}" if when_stopped else "") + "\n"
    with suppress(OSError):  # Stdout may be closed.
        os.write(1, text.encode())  # `print` is not safe in a signal handler.
    sys.exit(128 + number)
