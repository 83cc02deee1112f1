"""Flags that several commands share, and functions that parse the values of flags."""

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from pix2pix_jax.errors import UsageError, closest_name
from pix2pix_jax.runs.workdir import SweepFolder, Workdir
from pix2pix_jax.runtime.storage.files import is_address, local_path

if TYPE_CHECKING:
    from pix2pix_jax.config.schema import Config

FlagValues = dict[str, str]  # values of --config.GROUP.FIELD=VALUE, by GROUP.FIELD


class Parser(argparse.ArgumentParser):
    """A parser that raises UsageError, so that the user sees one line without the usage text."""

    def error(self, message: str) -> NoReturn:
        """Raises UsageError; argparse calls this method for a wrong command, flag or value."""
        # argparse writes "argument --split: invalid choice: 'tset' (choose from 'train', ...)".
        flag, _, problem = message.removeprefix("argument ").partition(": ")
        if choice := re.fullmatch(r"invalid choice: (.*) \(choose from (.*)\)", problem):
            names = choice[2].replace("'", "").split(", ")
            near = closest_name(choice[1].strip("'"), names)
            hint = f"; did you mean {near}?" if near else ""
            problem = f"{choice[1]} is not valid; give one of {', '.join(names)}{hint}"
        elif problem == "expected one argument":
            problem = f"has no value; give {flag}=VALUE"
        elif problem.startswith("ignored explicit argument"):
            problem = f"takes no value; give {flag} alone"
        elif message == "the following arguments are required: COMMAND":
            raise UsageError(f"{self.prog}: the command is missing; see {self.prog} --help")
        elif not message.startswith("argument "):
            raise UsageError(f"{self.prog}: {message}; see {self.prog} --help")
        raise UsageError(f"{flag}: {problem}")

    @property
    def flags(self) -> list[str]:
        """The flags that this parser knows, with their dashes."""
        return list(self._option_string_actions)


def parse_path(text: str) -> Path:
    """Parses a path on this machine.

    Expands "~" at the start, because shells do not expand the "~" in `--workdir=~/run`.
    """
    # The text is empty if, for example, a shell variable is not set. Path("") would be the current
    # folder.
    if not text:
        raise argparse.ArgumentTypeError("is empty; give a path")
    if is_address(text):
        raise argparse.ArgumentTypeError(f"{text} is an address; give a path on this machine")
    try:
        return local_path(text)
    except UsageError as error:  # argparse adds the name of the flag to this error.
        raise argparse.ArgumentTypeError(str(error)) from error


def parse_workdir(text: str) -> Workdir:
    """Parses the path of a workdir, or its address gs://BUCKET/DIR."""
    if not text.startswith("gs://"):
        return Workdir(parse_path(text))
    if "/" not in text.removeprefix("gs://").rstrip("/"):
        raise argparse.ArgumentTypeError(
            f"{text} names no folder of the bucket; give gs://BUCKET/DIR"
        )
    try:
        return Workdir.parse(text)
    except UsageError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def parse_uint32(text: str) -> int:
    """Parses an integer from 0 to 2**32 - 1."""
    if not text.isdecimal() or int(text) >= 2**32:
        raise argparse.ArgumentTypeError(
            f"{text} is not valid; give an integer from 0 to 4294967295"
        )
    return int(text)


def parse_port(text: str) -> int:
    """Parses a TCP port, 0 to 65535."""
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text} is not a port; give an integer from 0 to 65535")
    return int(text)


def parse_positive(text: str) -> int:
    """Parses an integer above 0."""
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text} is not valid; give an integer above 0")
    return int(text)


def parse_step(text: str) -> int | str:
    """Parses the step of a checkpoint: a number, "newest" or "best"."""
    if text.isdecimal():
        return int(text)
    if text not in ("newest", "best"):
        raise argparse.ArgumentTypeError(f"{text} is not a step; give a number, newest or best")
    return text


def add_step(parser: argparse.ArgumentParser) -> None:
    """Adds --step, the step of the checkpoint to use."""
    parser.add_argument(
        "--step",
        type=parse_step,
        default="newest",
        help="step of the checkpoint: a number, newest or best; default: newest",
    )


def add_evaluation_flags(parser: argparse.ArgumentParser) -> None:
    """Adds --split and --no_fcn_score, the flags of an evaluation."""
    parser.add_argument(
        "--split",
        choices=("train", "val", "test"),  # equal to config.schema.SPLITS, which loads slowly
        default="val",
        help="split to evaluate; default: val",
    )
    parser.add_argument(
        "--no_fcn_score",
        action="store_true",
        help="leave out the FCN-score, which needs a trained segmenter",
    )


def require(options: argparse.Namespace, name: str, fix: str) -> Any:
    """The value of a flag that a command needs.

    Args:
      options: the flags.
      name: the flag, without its dashes.
      fix: the end of the error line: what to give, with an example.

    Raises:
      UsageError: the flag is missing or empty.
    """
    value = getattr(options, name)
    if not value:
        raise UsageError(f"--{name}: is missing; {fix}")
    return value


def require_run(options: argparse.Namespace) -> Workdir:
    """The workdir of the run that a command works on.

    Raises:
      UsageError: --workdir was not given.
    """
    return require(options, "workdir", "give the folder of a run, e.g. --workdir=runs/first")


def load_config(options: argparse.Namespace, fields: FlagValues) -> "Config":
    """Loads the config of --config, or else of the workdir, and sets the given fields.

    Raises:
      UsageError: neither --config nor --workdir was given, or a file or field is wrong.
    """
    from pix2pix_jax.config.experiments import load_experiment
    from pix2pix_jax.config.files import override, read_config

    if options.config is not None:
        return override(load_experiment(options.config), fields)
    if options.workdir is None:
        raise UsageError(
            "--config: is missing; give an experiment, e.g. --config=experiments/quickstart.py"
        )
    path = options.workdir.config_file
    if options.command == "train" and options.workdir.address:
        from pix2pix_jax.remote.sync import find_config_file

        path = find_config_file(options.workdir)  # `train` has not synced the workdir yet
    if not path.exists() and SweepFolder(options.workdir.path).results_file.exists():
        raise UsageError(
            f"--workdir: {options.workdir} is the folder of a sweep; give the folder of one of "
            "the runs inside it"
        )
    return override(read_config(path), fields)
