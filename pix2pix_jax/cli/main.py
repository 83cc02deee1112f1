"""The entry point of the command line: parses the arguments and runs a command.

The exit status is 0 if the command succeeded; 2 after an error that the user can fix; 1, with a
traceback, after a bug of this project; and 128 + N after signal N. If several processes train
together, a process that loses the others exits with 75 or is aborted; see `runtime.process_group`.

Every command has a file in this package with HELP, EXAMPLE, WHEN_STOPPED (what the same command
does if it is run again after a signal), add_arguments(parser) and run(options, fields), which
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
from typing import NoReturn

from pix2pix_jax.cli.arguments import COMMANDS, make_parser, parse
from pix2pix_jax.cli.process import escape_unprintable, open_closed_streams, silence_libraries
from pix2pix_jax.errors import StoppedBySignal, explain_error, is_debugging
from pix2pix_jax.runtime.library_variables import explain_failed_import, set_library_variables


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
        if options.command is None:
            return print_usage()
        set_library_variables()
        silence_libraries()
        command = COMMANDS[options.command]
        # `sweep --list` changes no run, so there is nothing to resume.
        is_list = options.command == "sweep" and options.list
        when_stopped = None if is_list else command.WHEN_STOPPED
        for number in (signal.SIGINT, signal.SIGTERM):
            # `stop` raises SystemExit, so that `with` blocks remove half-written files.
            signal.signal(number, partial(stop, when_stopped))
        with synced_workdir(options):
            return command.run(options, fields)
    except BrokenPipeError:  # The program that read stdout has ended.
        return 128 + signal.SIGPIPE
    except Exception as error:  # Bugs are raised again below.
        line = explain_error(error) or explain_failed_import(error)
        if line is None:
            raise
        if is_debugging():
            traceback.print_exc()
        print(line, file=sys.stderr)
        return 2


def print_usage() -> int:
    """Prints the help text. Returns 2, because a script that gives no command is wrong."""
    parser, _ = make_parser()
    print(parser.format_help())
    print("pix2pix: the command is missing; give one of the commands above", file=sys.stderr)
    return 2


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
      when_stopped: what the same command does if it is run again; None prints only "stopped".
      number: the number of the signal.
      frame: unused; Python passes it to every signal handler.
    """
    text = "\nstopped" + (f"; {when_stopped}" if when_stopped else "") + "\n"
    with suppress(OSError):  # Stdout may be closed.
        os.write(1, text.encode())  # `print` is not safe in a signal handler.
    raise StoppedBySignal(128 + number)
