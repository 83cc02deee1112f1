"""Flags that several commands share, and the run and the config that they name."""

import argparse
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

from pix2pix_jax.cli.flags.values import parse_positive, parse_step
from pix2pix_jax.errors import UsageError
from pix2pix_jax.runs.nearby import explain_no_run
from pix2pix_jax.runs.workdir import Workdir
from pix2pix_jax.suggestions import OTHER_COMMANDS, advice_about_command, closest_name, give_one_of

if TYPE_CHECKING:
    from pix2pix_jax.config.schema import Config
    from pix2pix_jax.evaluation.running_statistics import StatisticsOptions

ALL_PAIRS = 0  # the value of --running_statistics without a number
Flags = dict[str, argparse.Action]  # what argparse knows about each flag, by --FLAG
FlagValues = dict[str, str]  # values of --config.GROUP.FIELD=VALUE, by GROUP.FIELD


class Parser(argparse.ArgumentParser):
    """A parser that raises UsageError, so that the user sees one line without the usage text.

    Attributes:
      end_of_help: a slow function that returns the text at the end of --help.
    """

    end_of_help: Callable[[], str] | None = None

    def format_help(self) -> str:
        """The text of --help."""
        end = self.end_of_help() if self.end_of_help else ""
        return super().format_help() + end

    def error(self, message: str) -> NoReturn:
        """Raises UsageError; argparse calls this method for a wrong command, flag or value."""
        # argparse writes "argument --split: invalid choice: 'tset' (choose from 'train', ...)".
        flag, _, problem = message.removeprefix("argument ").partition(": ")
        if choice := re.fullmatch(r"invalid choice: (.*) \(choose from (.*)\)", problem, re.S):
            names = choice[2].replace("'", "").split(", ")
            raise UsageError(
                f"{flag}: {choice[1]:.60} is not valid", _suggest(flag, choice[1], names)
            )
        if problem == "expected one argument":
            raise UsageError(f"{flag}: has no value", f"give {flag}=VALUE")
        if problem.startswith("ignored explicit argument"):
            raise UsageError(f"{flag}: takes no value", f"give {flag} alone")
        if not message.startswith("argument "):
            raise UsageError(f"{self.prog}: {message}", f"see {self.prog} --help")
        # The functions of `values` write the problem and the fix, separated by "; ".
        problem, _, fix = problem.partition("; ")
        raise UsageError(f"{flag}: {problem}", fix)

    @property
    def flags(self) -> Flags:
        """The flags that this parser knows, with their dashes."""
        return dict(self._option_string_actions)


def _suggest(flag: str, choice: str, names: list[str]) -> str:
    """The fix for a value that is not in `names`: all names, and the closest name."""
    wanted = choice.strip("'")
    if flag == "COMMAND" and (advice := advice_about_command(wanted)):
        return advice
    near = OTHER_COMMANDS.get(wanted.lower()) if flag == "COMMAND" else None
    near = near or closest_name(wanted, names)
    return give_one_of(names) + (f"; did you mean {near}?" if near else "")


def add_text_or_json(parser: argparse.ArgumentParser) -> None:
    """Adds --format, the text or json, the format of what a command prints."""
    parser.add_argument(
        "--format",
        choices=("text", "json"),
        default="text",
        help="format of the output: text for people, json for programs; default: text",
    )


def add_step(parser: argparse.ArgumentParser) -> None:
    """Adds --step, the step of the checkpoint to use."""
    parser.add_argument(
        "--step",
        type=parse_step,
        default="newest",
        help="step of the checkpoint: a number, newest or best; default: newest",
    )


def add_running_statistics(parser: argparse.ArgumentParser) -> None:
    """Adds --running_statistics[=N], to normalize as PyTorch does in eval mode."""
    parser.add_argument(
        "--running_statistics",
        nargs="?",
        const=ALL_PAIRS,
        type=parse_positive,
        metavar="N",
        help="normalize by running averages and without dropout, as `test.py --eval` of "
        "pytorch-CycleGAN-and-pix2pix does: by the averages of the imported file, or by averages "
        # 400 is MAX_PAIRS of evaluation.running_statistics, which loads slowly.
        "of N training pairs (default: all, at most 400); default: each image has its own "
        "statistics",
    )


def statistics_options(
    options: argparse.Namespace, use_dropout: bool = True
) -> "StatisticsOptions | None":
    """The value of --running_statistics; None if the flag is not given.

    Args:
      options: the flags.
      use_dropout: whether the generator has dropout while averages are estimated.
    """
    from pix2pix_jax.evaluation.running_statistics import StatisticsOptions

    number = options.running_statistics
    if number is None:
        return None
    return StatisticsOptions(None if number == ALL_PAIRS else number, use_dropout)


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
        raise UsageError(f"--{name}: is missing", fix)
    return value


def require_run(options: argparse.Namespace) -> Workdir:
    """The workdir of the run that a command works on.

    Raises:
      UsageError: --workdir was not given, or is not the workdir of a run.
    """
    workdir = require(options, "workdir", "give the folder of a run, e.g. --workdir=runs/first")
    if not workdir.config_file.exists():
        raise explain_no_run(workdir)
    return workdir


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
            "--config: is missing", "give an experiment, e.g. --config=experiments/quickstart.py"
        )
    path = options.workdir.config_file
    if options.command == "train" and options.workdir.address:
        from pix2pix_jax.remote.sync import find_config_file

        path = find_config_file(options.workdir)  # `train` has not synced the workdir yet
    if not path.exists():
        raise explain_no_run(options.workdir)
    return override(read_config(path), fields)
