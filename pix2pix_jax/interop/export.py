"""The export command: writes a trained network to a file, and checks the file."""

import os
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from pix2pix_jax.config.initial_run import CheckpointStep
from pix2pix_jax.config.schema import Config
from pix2pix_jax.errors import UsageError, prefix_errors
from pix2pix_jax.evaluation.running_statistics import (
    NoStatistics,
    StatisticsOptions,
    find_kept,
    find_statistics,
)
from pix2pix_jax.gan.networks import NetworkName
from pix2pix_jax.interop.formats import DISCRIMINATOR_FORMATS, EXPORT_FORMATS, Format
from pix2pix_jax.interop.trained_network import TrainedNetwork, max_difference
from pix2pix_jax.runs.checks import resolve_run_config
from pix2pix_jax.runs.workdir import Workdir
from pix2pix_jax.runtime.console import say
from pix2pix_jax.runtime.storage.files import atomic_file, check_utf8, check_writable

MAX_DIFFERENCE = 1e-4  # The outputs of a file and of JAX must differ by less.


@dataclass(frozen=True)
class ExportOptions:
    """The networks to export, and the files to write.

    Attributes:
      output: the file to write the generator to.
      format: the format of the generator, a key of EXPORT_FORMATS; None: the suffix of `output`
        names the format. The discriminator has the same format, unless its suffix names another.
      step: the step of the checkpoint, or "newest" or "best".
      discriminator: the file to write the discriminator to; None: only the generator is exported.
      statistics: how to find the running statistics of the norms. In an ONNX or StableHLO file, all
        norms then normalize by them. None: such a file normalizes by the statistics of each image,
        and a .pth file gets the statistics that `find_statistics` finds without options.
      use_dropout: whether the generator has dropout while running statistics are estimated for a
        .pth file without `statistics`.
    """

    output: Path
    format: str | None = None
    step: CheckpointStep = "newest"
    discriminator: Path | None = None
    statistics: StatisticsOptions | None = None
    use_dropout: bool = True

    def files(self) -> dict[NetworkName, Path]:
        """The files to write, by the name of the network."""
        if self.discriminator is None:
            return {"generator": self.output}
        return {"generator": self.output, "discriminator": self.discriminator}

    def formats(self) -> dict[NetworkName, Format]:
        """The format of each file, by the name of the network.

        Raises:
          UsageError: neither --format nor the suffix of --output names a format, or --output is a
            folder.
        """
        generator = choose_format(self)
        if self.discriminator is None:
            return {"generator": generator}
        discriminator = EXPORT_FORMATS.get(suffix_of(self.discriminator), generator)
        return {"generator": generator, "discriminator": discriminator}


def suffix_of(path: Path) -> str:
    """The suffix of a file as the name of a format: lower case, without the dot."""
    return path.suffix[1:].lower()


def export(config: Config, workdir: Workdir, options: ExportOptions) -> None:
    """Writes the networks of a checkpoint, without dropout. If one file fails, no file is written.

    Args:
      config: the config of the run.
      workdir: the workdir of the run.
      options: the networks, the files and their formats.

    Raises:
      UsageError: the run has no such checkpoint, no format is given, a format cannot contain its
        network or needs a package, a path exists or has the suffix of another format, or the
        outputs of a file differ too much from the outputs of JAX.
    """
    config = resolve_run_config(workdir, config)
    formats = options.formats()
    check_paths(options, formats["generator"])
    for path in options.files().values():
        check_writable(path)
    check_networks(config, options, formats)
    lines, step = [], options.step
    with ExitStack() as files:
        for name, path in options.files().items():
            network = TrainedNetwork.restore(workdir, config, step, name)
            network = add_statistics(network, workdir, formats[name], path, options)
            # Both files contain this step, even if the run saves a newer checkpoint meanwhile.
            step = network.step
            temporary = files.enter_context(atomic_file(path))
            difference = write_network(network, formats[name], path, temporary)
            lines.append(
                f"{path}: {name} of step {network.step} as {formats[name].name}, "
                f"{temporary.stat().st_size / 1e6:.1f} MB; its outputs for random images differ "
                f"from JAX by {difference:.1e} at most{describe_statistics(network)}"
            )
    for line in lines:
        say(line)


def add_statistics(
    network: TrainedNetwork,
    workdir: Workdir,
    file_format: Format,
    path: Path,
    options: ExportOptions,
) -> TrainedNetwork:
    """Finds the running statistics that a file stores, or by which its network normalizes.

    Args:
      network: the network.
      workdir: the workdir of the run.
      file_format: the format of the file.
      path: the path of the file, for a warning.
      options: the options of the export.

    Raises:
      UsageError: the options ask for running statistics that cannot be found.
    """
    config, step, name = network.config, network.step, network.name
    if options.statistics is not None:
        found = find_statistics(workdir, config, step, name, options.statistics)
        uses_them = file_format.statistics == "none"
        return replace(network, statistics=found, uses_statistics=uses_them)
    if config.model.norm != "batch" or file_format.statistics == "none":
        return network
    if file_format.statistics == "kept":
        return replace(network, statistics=find_kept(workdir, step, name, network.params))
    try:
        estimate = StatisticsOptions(use_dropout=options.use_dropout, may_download=False)
        found = find_statistics(workdir, config, step, name, estimate)
    except NoStatistics as error:
        say(
            f"WARNING: {path}: `test.py --eval` of the PyTorch code gives wrong images with this "
            f"file, because its running averages are not known: {error.problem}; {error.fix}, or "
            "use test.py without --eval"
        )
        return network
    return replace(network, statistics=found)


def describe_statistics(network: TrainedNetwork) -> str:
    """The end of the line about a file: where its running statistics come from."""
    if network.statistics is None:
        return ""
    if network.uses_statistics:
        return f"; its norms use the {network.statistics.source}"
    return f"; it has the {network.statistics.source}"


def write_network(
    network: TrainedNetwork, file_format: Format, path: Path, temporary: Path
) -> float:
    """Writes a network and compares the file with JAX.

    Args:
      network: the network.
      file_format: the format of the file.
      path: the final path of the file, for error lines.
      temporary: the path to write to now.

    Returns:
      The largest difference between outputs of the file and of JAX.

    Raises:
      UsageError: the format cannot contain this network, or the difference is too large.
    """
    with prefix_errors(path):
        compute = file_format.write(temporary, network)
        difference = max_difference(network, compute)
        if not difference < MAX_DIFFERENCE:  # also if it is NaN
            raise UsageError(
                "was not written, because the outputs of the file differ from the outputs of JAX "
                f"by {difference:.1e}",
                "give another --format",
            )
    return difference


def choose_format(options: ExportOptions) -> Format:
    """The format that --format names; without --format, the suffix of --output names it.

    Raises:
      UsageError: the suffix of --output names no format, or --output is a folder.
    """
    name = options.format or suffix_of(options.output)
    if options.output.is_dir():
        raise UsageError(f"--output: {options.output} is a folder", "give a file")
    if name not in EXPORT_FORMATS:
        raise UsageError(
            f"--format: is missing, and the suffix of {options.output} names no format",
            f"give {' or '.join(f'--format={known}' for known in EXPORT_FORMATS)}",
        )
    return EXPORT_FORMATS[name]


def check_paths(options: ExportOptions, file_format: Format) -> None:
    """Checks the paths of the files to write.

    Args:
      options: the files.
      file_format: the format of the generator.

    Raises:
      UsageError: a path exists or is given twice, or --output has the suffix of another format.
    """
    suffix = suffix_of(options.output)
    if suffix in EXPORT_FORMATS and suffix != file_format.name:
        raise UsageError(
            f"--output: {options.output} has the suffix of another format than {file_format.name}",
            f"give --output={options.output.with_suffix('')}.{file_format.name}, or leave out "
            "--format",
        )
    flags = {"generator": "--output", "discriminator": "--discriminator"}
    for name, path in options.files().items():
        flag = flags[name]
        check_utf8(str(path), flag)
        if path.is_dir():
            raise UsageError(f"{flag}: {path} is a folder", "give a file")
        if os.path.lexists(path):
            raise UsageError(f"{flag}: {path} exists", "remove it, or give another file")
    if len({path.resolve() for path in options.files().values()}) < len(options.files()):
        raise UsageError(
            f"--discriminator: {options.discriminator} is also the file of the generator",
            "give another file",
        )


def check_networks(
    config: Config, options: ExportOptions, formats: dict[NetworkName, Format]
) -> None:
    """Raises UsageError if a format cannot contain its network, or needs a missing package."""
    for name, file_format in formats.items():
        if name == "discriminator" and not file_format.can_hold_discriminator:
            assert options.discriminator is not None
            stem = options.discriminator.with_suffix("")
            flags = [f"--discriminator={stem}.{suffix}" for suffix in DISCRIMINATOR_FORMATS]
            raise UsageError(
                f"--discriminator: {file_format.name} files can contain only generators",
                f"give {' or '.join(flags)}",
            )
        file_format.check(config, name)
