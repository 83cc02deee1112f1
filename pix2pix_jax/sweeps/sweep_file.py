"""Sweep files: a Python file whose function sweep() yields the variants of an experiment.

A sweep is named FILE or FILE:ARG on the command line; ARG is passed to sweep().
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import FiniteFloat, TypeAdapter, ValidationError

from pix2pix_jax.config.experiment_errors import explain_experiment_errors
from pix2pix_jax.config.experiments import (
    ExperimentNotFound,
    check_is_python,
    function_parameters,
    run_experiment_file,
    split_spec,
)
from pix2pix_jax.config.files import override
from pix2pix_jax.config.metrics import METRICS, MetricName
from pix2pix_jax.config.schema import Config
from pix2pix_jax.errors import UsageError
from pix2pix_jax.runs.workdir import SweepFolder
from pix2pix_jax.suggestions import closest_name

PAPER = TypeAdapter(dict[str, dict[MetricName, FiniteFloat]])  # scores by row and metric
VARIANT_NAME = r"\w[\w.+-]{0,99}(/\w[\w.+-]{0,99})?"  # ROW or ROW/REPEAT


class SweepPlan(NamedTuple):
    """The variants of an experiment to compare."""

    title: str  # the first line of the file's docstring, without the full stop
    variants: list[tuple[str, Config]]  # by name: ROW or ROW/REPEAT
    paper: dict[str, dict[str, float]]  # the scores that the paper reports, by row and metric
    paper_table: str = ""  # the table and the dataset of these scores, for a note


def load_sweep(spec: str, seeds: int | None, fields: dict[str, str]) -> SweepPlan:
    """Loads the variants that the function sweep(ARG, seeds) of a sweep file yields.

    Variants with the names ROW/REPEAT form one row of the table; usually, they differ in the seed.
    The file may set PAPER = {ROW: {METRIC: VALUE}}, the scores of the paper, and PAPER_TABLE, the
    table and the dataset of these scores as text.

    Args:
      spec: FILE or FILE:ARG.
      seeds: the number of seeds of each row; None: the default of the file.
      fields: fields to change in the config of every variant, with their values as in `override`.

    Raises:
      UsageError: the file does not exist, has no function sweep or raises an error, or the function
        does not take ARG or `seeds`. It is also raised if there are no variants, a variant's name
        cannot be a folder, two variants are equal, or a field refuses its value.
    """
    path, arg = split_spec(spec)
    fix = "give a Python file with a function sweep(), such as those in experiments/ablations"
    check_is_python(path, "a sweep", fix)
    content = run_experiment_file(path)
    sweep: Callable[..., Any] | None = content.get("sweep")
    if not callable(sweep):
        fix = "define this function as the files in experiments/ablations do"
        if "get_config" in content:
            fix = "give this file to `pix2pix train`, or give a sweep, such as those in "
            fix += "experiments/ablations"
        raise UsageError(f"{path}: has no sweep()", fix)
    arguments = _sweep_arguments(sweep, path, arg, seeds)
    with explain_experiment_errors(path), _explain_unknown_experiment(spec, arg):
        variants = list(sweep(**arguments))
    paper = _check_paper(path, content.get("PAPER", {}))
    paper_table = content.get("PAPER_TABLE", "")
    if not isinstance(paper_table, str):
        raise UsageError(f"{path}: PAPER_TABLE is not a text", 'give PAPER_TABLE = "table 1, maps"')
    _check_variants(path, variants)
    variants = [(name, override(config, fields)) for name, config in variants]
    for (name, config), (other, same) in combinations(variants, 2):
        if name == other:
            raise UsageError(f"{path}: two variants have the name {name}", "rename one of them")
        if config == same:
            raise UsageError(
                f"{path}: {name} and {other} have the same config",
                "change the file, or leave out the --config field that makes these variants equal",
            )
    title = (content["__doc__"] or path).strip().partition("\n")[0].rstrip(".")
    scores = {row: {**metrics} for row, metrics in paper.items()}
    return SweepPlan(title, variants, scores, paper_table)


@contextmanager
def _explain_unknown_experiment(spec: str, arg: str) -> Iterator[None]:
    """Raises UsageError with the possible arguments if a sweep finds no experiment named ARG."""
    try:
        yield
    except ExperimentNotFound as error:
        if not arg:
            raise
        name = arg.partition(":")[0]
        names = ", ".join(error.others) or "facades, maps or another file name in experiments/"
        near = closest_name(name, error.others)
        suggestion = f"; did you mean {near}?" if near else ""
        raise UsageError(
            f"{spec}: there is no experiment {name}",
            f"after the colon, give one of {names}; or leave out ':{arg}'{suggestion}",
        ) from error


def _check_paper(path: str, paper: Any) -> dict[str, dict[str, float]]:
    """The scores of the paper; UsageError if the table has another form or unknown metrics."""
    try:
        return PAPER.validate_python(paper)
    except ValidationError as error:
        where = "".join(f"[{part!r}]" for part in error.errors()[0]["loc"] if part != "[key]")
        raise UsageError(
            f"{path}: PAPER{where} is not valid",
            f"give PAPER = {{ROW: {{METRIC: NUMBER}}}}, with a METRIC of {', '.join(METRICS)}",
        ) from error


def _sweep_arguments(
    sweep: Callable[..., Any], path: str, arg: str, seeds: int | None
) -> dict[str, Any]:
    """The arguments for a sweep function, by name; UsageError if a parameter is missing."""
    parameters = list(function_parameters(path, sweep))
    arguments: dict[str, Any] = {}
    if arg:
        if not parameters or parameters[0] == "seeds":
            raise UsageError(f"{path}:{arg}: sweep() takes no argument", f"leave out ':{arg}'")
        arguments[parameters[0]] = arg
    if seeds is not None:
        if "seeds" not in parameters:
            raise UsageError(
                f"--seeds: sweep() in {path} has no parameter `seeds`",
                "add this parameter, or leave out --seeds",
            )
        arguments["seeds"] = seeds
    return arguments


def _check_variants(path: str, variants: list[Any]) -> None:
    """Raises UsageError if there is no variant, or a variant is not a valid name and a Config."""
    if not variants:
        raise UsageError(f"{path}: sweep() yields nothing", "yield (NAME, CONFIG) for each variant")
    for variant in variants:
        if not isinstance(variant, tuple) or [type(part) for part in variant] != [str, Config]:
            raise UsageError(
                f"{path}: sweep() yields {variant!r:.60}, not a name and a Config",
                "yield (NAME, CONFIG)",
            )
    names = [name for name, _ in variants]
    reserved = SweepFolder(Path()).own_names
    for name in names:
        row, _, repeat = name.partition("/")
        # A run in the folder ROW would have the runs ROW/REPEAT inside its own folder.
        inside_a_run = repeat and row in names
        if row in reserved or inside_a_run or not re.fullmatch(VARIANT_NAME, name):
            raise UsageError(
                f"{path}: sweep() yields the name {name!r}, which cannot be a folder of the sweep",
                "use another name, ROW or ROW/SEED",
            )
