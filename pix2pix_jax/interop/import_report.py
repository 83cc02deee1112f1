"""The lines that the import command prints about a new run."""

import shlex
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from pix2pix_jax.config.fields import field_values, format_value
from pix2pix_jax.config.presets import PRESETS
from pix2pix_jax.config.schema import Config
from pix2pix_jax.interop.import_config import PlannedConfig
from pix2pix_jax.interop.pytorch.train_options import TrainOptions
from pix2pix_jax.interop.weight_file import WeightFile
from pix2pix_jax.runs.workdir import Workdir


@dataclass(frozen=True)
class NewRun:
    """A new run with imported networks.

    Attributes:
      workdir: the workdir of the run.
      config: the resolved config.
      planned: the config before the flags of the user.
      files: the file of the generator, and maybe the file of the discriminator.
      flags: the fields that flags set, as GROUP.FIELD.
    """

    workdir: Workdir
    config: Config
    planned: PlannedConfig
    files: list[WeightFile]
    flags: Collection[str]


def describe_import(run: NewRun) -> list[str]:
    """The lines about the networks, the new run, and the fields that the weights do not determine.

    Args:
      run: the new run.
    """
    config, files = run.config, run.files
    data, model = config.data, config.model
    lines = [note for file in files for note in file.notes]
    lines.append(
        f"{run.workdir}: {model.generator} of depth {model.depth}, {model.features} features, "
        f"{data.input_channels} to {data.target_channels} channels, {model.norm} norm; "
        f"{'a new ' if len(files) == 1 else ''}{model.discriminator} discriminator"
        f"{describe_preset(config) if files[0].config is None else ''}"
    )
    lines.append(describe_undetermined(run))
    if len(files) == 1 and files[0].discriminators:
        path, places = files[0].path, files[0].discriminators
        lines.append(
            f"{path} also holds a discriminator at {' and at '.join(places)}; to use it, import "
            f"again with another --workdir, and with "
            f"--discriminator={shlex.quote(f'{path}:{places[0]}')}"
        )
    if size_note := describe_other_size(files[0], config, run.planned.options):
        lines.append(size_note)
    return lines + describe_options(run)


def describe_undetermined(run: NewRun) -> str:
    """The line about the direction, the image size and the dropout, which weights do not show."""
    data, model = run.config.data, run.config.model
    height, width = data.image_size
    phrases = {
        "data.direction": f"direction {data.direction}",
        "data.image_size": f"{height}x{width} images (height x width)",
        "model.dropout": f"dropout {model.dropout}",
    }
    options = {f"{group}.{name}" for _, group, name, _ in run.planned.settings}
    sources: dict[str, list[str]] = {}
    for field, phrase in phrases.items():
        source = run.planned.source
        if field in run.flags:
            source = "set by flags"
        elif field in options and run.planned.options:
            source = f"taken from {run.planned.options.path}"
        sources.setdefault(source, []).append(phrase)
    parts = [f"{', '.join(found)}: {source}" for source, found in sources.items()]
    other_direction = "BtoA" if data.direction == "AtoB" else "AtoB"
    return (
        f"{'; '.join(parts)}; to change these, import again with another --workdir, and with "
        f"--config.data.direction={other_direction}, --config.data.image_size=HEIGHT,WIDTH or "
        "--config.model.dropout=RATE"
    )


def describe_preset(config: Config) -> str:
    """The preset that networks of the PyTorch code have, as the end of a line."""
    name, differences = closest_preset(config)
    if not differences:
        return f"; as in the preset {name}"
    fields = " and ".join(f"model.{field} {value}" for field, value in differences.items())
    return f"; as in the preset {name}, with {fields}"


def closest_preset(config: Config) -> tuple[str, dict[str, Any]]:
    """The preset of the PyTorch code that is closest to the networks of a config.

    Args:
      config: the config of networks of the PyTorch code.

    Returns:
      The name of the preset, and the values of the fields in which the networks differ from it.
    """
    differences = {}
    for name in ("pytorch", "pytorch_instance"):
        preset = {"norm": "batch", "norm_affine": True} | PRESETS[name]["model"]
        differences[name] = {
            field: getattr(config.model, field)
            for field, value in preset.items()
            if getattr(config.model, field) != value
        }
    return min(differences.items(), key=lambda item: len(item[1]))


def describe_options(run: NewRun) -> list[str]:
    """The lines about the train_opt.txt of the weights; none if there is no such file.

    The lines name the fields that were taken from the file, and what was not used.

    Args:
      run: the new run.
    """
    options, values = run.planned.options, field_values(run.config)
    if options is None:
        return []
    settings = {f"{group}.{name}": value for _, group, name, value in run.planned.settings}
    used = [
        f"{name} {format_value(value)}"
        for name, value in values.items()
        if name not in run.flags and value is not None and value == settings.get(name)
    ]
    lines = [f"from {options.path}: {', '.join(used) or 'nothing'}"]
    if unavailable := options.unavailable():
        lines.append(f"WARNING: {options.path}: not available here: {unavailable}")
    if length := options.length():
        schedule = run.config.optimizer.schedule
        lines.append(
            f"not used: {length}; the schedule of this run is {schedule}; to change it, set "
            "train.epochs, train.decay_epochs, optimizer.schedule and optimizer.decay_per when you "
            "train"
        )
    return lines


def describe_other_size(weights: WeightFile, config: Config, options: TrainOptions | None) -> str:
    """The line about a run with images of another size than the generator was trained at, or "".

    Args:
      weights: the file of the generator.
      config: the resolved config of the new run.
      options: the train_opt.txt of the generator; None: there is none.
    """
    depth = config.model.depth
    assert depth is not None  # the config is resolved
    if weights.config is not None:
        trained, source = weights.config.data.image_size, "was trained at"
    elif options and (size := options.image_size()):
        trained, source = size, "was trained at"
    else:
        trained, source = (2**depth, 2**depth), f"has depth {depth} and was probably trained at"
    if config.data.image_size == trained:
        return ""
    height, width = trained
    return (
        f"the generator in {weights.path} {source} {height}x{width}; to train or translate at "
        f"{height}x{width}, import again with another --workdir and "
        f"--config.data.image_size={height},{width}"
    )
