"""Chooses the config of an imported run, and remembers where its fields come from."""

from dataclasses import asdict, dataclass
from pathlib import Path

from pix2pix_jax.config.fields import replace_fields
from pix2pix_jax.config.schema import Config, Data
from pix2pix_jax.errors import UsageError, prefix_errors
from pix2pix_jax.interop.pytorch.train_options import FILE_NAME, NONE, Setting, TrainOptions
from pix2pix_jax.interop.weight_file import WeightFile


@dataclass(frozen=True)
class PlannedConfig:
    """The config of an imported run, before the flags of the user.

    Attributes:
      config: the config.
      source: where the other fields come from that the weights do not determine, in words.
      options: the train_opt.txt of the weights; None: there is none.
      settings: the fields that were taken from the options.
    """

    config: Config
    source: str
    options: TrainOptions | None
    settings: list[Setting]


def plan_config(
    weights: Path, files: list[WeightFile], base: Config | None, options: str | None
) -> PlannedConfig:
    """Chooses the config of a run with the networks in files.

    Args:
      weights: the path of the generator, as the user gave it.
      files: the file of the generator, and maybe the file of the discriminator.
      base, options: as in `import_weights`.

    Raises:
      UsageError: a file does not contain its network, the networks do not fit each other, or the
        options are not valid or contradict the weights.
    """
    with prefix_errors(weights):
        config = config_for_generator(files[0], base)
    for file in files[1:]:
        with prefix_errors(file.path):
            config = replace_fields(config, file.discriminator_fields(config))
    has_config = files[0].config is not None
    if has_config and options not in (None, NONE):
        raise UsageError(f"--options: {weights} has a config of its own", "leave out --options")
    train_options = None if has_config else find_train_options(files[0].path, options)
    if train_options is not None:
        check_train_options(train_options, config, has_discriminator=len(files) == 2)
        settings = choose_settings(train_options.settings(), base, len(files) == 2)
        config = apply_settings(train_options, settings, config)
        source = "taken from the experiment" if base else f"guessed, because {FILE_NAME} lacks it"
        return PlannedConfig(config, source, train_options, settings)
    if base:
        source = "taken from the experiment"
    elif has_config:
        source = f"taken from the config in {weights}"
    else:
        source = (
            f"guessed, because {weights} has no config, and no {FILE_NAME} is used; the image size "
            "is the one at which the bottleneck of this U-Net is 1x1"
        )
    return PlannedConfig(config, source, None, [])


def config_for_generator(weights: WeightFile, base: Config | None) -> Config:
    """The config of a run with the generator in a file.

    Args:
      weights: the file of the generator.
      base: as in `import_weights`.

    Raises:
      UsageError: the file does not contain a U-Net.
    """
    fields = weights.generator_fields()
    if base is None:
        base = weights.config or default_config(fields["model"]["depth"])
    return replace_fields(base, fields)


def default_config(depth: int) -> Config:
    """The config of a run from files of the authors' PyTorch code, which contain no config.

    Images have the size at which the bottleneck is 1x1, as in the PyTorch code. The learning rate
    does not decay, so that fine-tuning can take any number of steps.

    Args:
      depth: the depth of the generator.
    """
    return Config(data=Data(name="folder", image_size=(2**depth, 2**depth)))


def find_train_options(weights: Path, given: str | None) -> TrainOptions | None:
    """Reads the train_opt.txt that belongs to weights.

    Args:
      weights: the file of the generator; the file of the options is in the same folder.
      given: the path that the user gave instead, or "none" for no options; None: not given.

    Raises:
      UsageError: the file that the user gave does not exist, or a file is not a train_opt.txt.
    """
    if given == NONE:
        return None
    path = weights.parent / FILE_NAME if given is None else Path(given)
    if given is None and not path.is_file():
        return None
    return TrainOptions.read(path)


def check_train_options(options: TrainOptions, config: Config, has_discriminator: bool) -> None:
    """Raises UsageError if options contradict the weights. Args as in `contradictions`."""
    wrong = options.contradictions(config, has_discriminator)
    if wrong:
        said = ", ".join(each.text for each in wrong)
        found = ", ".join(each.weights for each in wrong)
        raise UsageError(
            f"{options.path}: says {said}, but the weights have {found}",
            f"give the {FILE_NAME} of these weights as --options=FILE, or --options={NONE}",
        )


def choose_settings(
    settings: list[Setting], base: Config | None, has_discriminator: bool
) -> list[Setting]:
    """Leaves out the fields that the user's experiment or the weights determine.

    Args:
      settings: the settings of a train_opt.txt.
      base: the experiment; None: there is none.
      has_discriminator: whether the weights have a discriminator.
    """
    left_out = set()
    if has_discriminator:
        left_out |= {("model", "discriminator"), ("model", "discriminator_features")}
    if base is not None:
        given, default = asdict(base), asdict(Config())
        left_out |= {
            (group, name)
            for _, group, name, _ in settings
            if given[group][name] != default[group][name]
        }
        # The sizes follow from each other.
        if left_out & {("data", "image_size"), ("data", "load_size")}:
            left_out |= {("data", name) for name in ("image_size", "load_size", "load_scale")}
        if ("data", "load_scale") in left_out:
            left_out.add(("data", "load_size"))
    return [setting for setting in settings if (setting.group, setting.name) not in left_out]


def apply_settings(options: TrainOptions, settings: list[Setting], config: Config) -> Config:
    """Sets fields of a config to the values of a train_opt.txt.

    Raises:
      UsageError: a value is out of the range of its field.
    """
    for text, group, name, value in settings:
        try:
            config = replace_fields(config, {group: {name: value}})
        except UsageError as error:
            raise UsageError(
                f"{options.path}: {text}: {error.problem}",
                f"correct this line, or give --options={NONE}",
            ) from error
    return config
