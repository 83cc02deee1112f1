"""Computes the fields that follow from other fields, and checks fields against each other.

data.load_size and model.depth may be None, so code that needs their values calls `load_size` or
`generator_depth`. `resolve` writes the same values into the config, so that config.json shows them.
"""

from dataclasses import replace

from pix2pix_jax.config.fields import replace_fields
from pix2pix_jax.config.initial_run import InitialRun
from pix2pix_jax.config.schema import ENDLESS_SCHEDULES, INTERVALS, Config, Data, Train
from pix2pix_jax.errors import UsageError
from pix2pix_jax.runtime.console import plural
from pix2pix_jax.runtime.storage.files import check_utf8, local_path


def resolve(config: Config) -> Config:
    """Fills in data.load_size and model.depth, makes paths absolute, and checks fields together.

    Resolving a resolved config changes nothing.

    Raises:
      UsageError: the image cannot be halved model.depth times, load_size is smaller than
        image_size, steps_per_call does not divide an interval, train.steps and train.epochs are
        both given, train.decay_epochs does not fit the schedule or the length, data.source is an
        address or has an unknown home folder, or data.source or data.form is given for a dataset
        that takes no such field.
    """
    data, train = config.data, config.train
    (height, width), (load_height, load_width) = data.image_size, load_size(data)
    if train.epochs is not None and train.steps != Train().steps:
        raise UsageError(
            f"train.epochs: {train.epochs} is given together with train.steps {train.steps}",
            "give only one of these two fields",
        )
    _check_source(data)
    _check_decay(config)
    if load_height < height or load_width < width:
        raise UsageError(
            f"data.load_size: {data.load_size} is smaller than data.image_size {data.image_size}",
            "give --config.data.load_size=None, or a load_size at least as large as image_size",
        )
    for name in INTERVALS:
        if getattr(train, name) % (train.steps_per_call or 1):
            raise UsageError(
                f"train.{name}: {getattr(train, name)} is not a multiple of train.steps_per_call "
                f"{train.steps_per_call}",
                f"give --config.train.{name} a multiple of {train.steps_per_call}, or another "
                "--config.train.steps_per_call",
            )
    check_utf8(train.init or "", "--init")
    # Paths are absolute, so that the run can resume from any folder.
    source = data.source and str(local_path(data.source).absolute())
    init = train.init and str(InitialRun.parse(train.init).resolve())
    return replace(
        config,
        data=replace(data, load_size=(load_height, load_width), source=source),
        model=replace(config.model, depth=generator_depth(config)),
        train=replace(train, init=init),
    )


def _check_source(data: Data) -> None:
    """Raises UsageError for paths that cannot be used, or a source or form that is not needed."""
    if data.name == "synthetic_facades" and data.source is not None:
        raise UsageError(
            f"data.source: synthetic_facades draws its pairs, so it does not read {data.source}",
            "leave out data.source, or give --config=experiments/folder.py or another data.name",
        )
    if data.source is not None and "://" in data.source:
        raise UsageError(
            f"data.source: {data.source} is an address",
            "download the pairs, and give their folder or archive",
        )
    check_utf8(data.source or "", "data.source")
    check_utf8(data.data_dir, "data.data_dir")
    if data.form is None or data.source is not None:
        return
    if data.name == "synthetic_facades" or (data.name != "folder" and data.form == "folders"):
        raise UsageError(
            f"data.form: every image of {data.name} shows both sides of a pair",
            "leave out --config.data.form",
        )


def _check_decay(config: Config) -> None:
    """Raises UsageError if train.decay_epochs does not fit the schedule or train.epochs."""
    train, schedule = config.train, config.optimizer.schedule
    if train.decay_epochs is None:
        return
    if schedule in ENDLESS_SCHEDULES:
        raise UsageError(
            f"train.decay_epochs: the schedule {schedule} has no last epochs of decay",
            "give --config.optimizer.schedule=linear_decay or cosine, or leave out "
            "train.decay_epochs",
        )
    if train.epochs is not None and train.decay_epochs > train.epochs:
        raise UsageError(
            f"train.decay_epochs: {train.decay_epochs} is more than train.epochs {train.epochs}, "
            "the length of the whole run",
            f"give --config.train.epochs={train.epochs + train.decay_epochs}, or fewer "
            "decay_epochs",
        )


def needs_num_pairs(config: Config) -> bool:
    """Whether the learning rate depends on the number of training pairs."""
    return config.optimizer.schedule != "constant" and (
        changes_per_epoch(config) or config.train.decay_epochs is not None
    )


def changes_per_epoch(config: Config) -> bool:
    """Whether a schedule other than `constant` changes the rate at the beginning of epochs only."""
    return config.optimizer.schedule == "step" or config.optimizer.decay_per == "epoch"


def counted_pairs(config: Config) -> int:
    """The field train.num_pairs of a config in which `resolve_epochs` has filled it in."""
    assert config.train.num_pairs is not None
    return config.train.num_pairs


def run_epochs(config: Config) -> int:
    """The number of epochs up to the epoch in which the last step begins.

    With batches larger than the split, this can be less than the train.epochs that was given.

    Args:
      config: a config with train.num_pairs.
    """
    return (config.train.steps - 1) * config.data.batch_size // counted_pairs(config) + 1


def decay_epochs(config: Config) -> int:
    """The number of epochs in which a schedule by epochs decays. Args as in `run_epochs`."""
    epochs, given = run_epochs(config), config.train.decay_epochs
    if given is not None:
        return min(given, epochs)
    return epochs if config.optimizer.schedule == "cosine" else epochs // 2


def resolve_epochs(config: Config, num_pairs: int) -> Config:
    """Turns train.epochs into train.steps, and fills in train.num_pairs if it is needed.

    Args:
      config: a config in which train.epochs may be None.
      num_pairs: the number of training pairs.

    Raises:
      UsageError: the number of steps is too large or smaller than train.decay_epochs, the learning
        rate would be 0 in all steps, or the epoch of a step cannot be computed in 32 bits.
    """
    epochs, decay = config.train.epochs, config.train.decay_epochs
    counted = num_pairs if needs_num_pairs(config) else None
    config = replace_fields(_resolve_steps(config, num_pairs), {"train": {"num_pairs": counted}})
    if counted is None:
        return config
    if epochs is None and decay is not None and decay > run_epochs(config):
        length = f"{plural(run_epochs(config), 'epoch')} of {plural(num_pairs, 'pair')}"
        raise UsageError(
            f"train.decay_epochs: {decay} is more than the {length} in train.steps "
            f"{config.train.steps}",
            "give fewer decay_epochs or more train.steps",
        )
    _check_rate(config)
    return config


def _resolve_steps(config: Config, num_pairs: int) -> Config:
    """Turns train.epochs into train.steps. Raises UsageError for too many steps."""
    epochs = config.train.epochs
    if epochs is None:
        return config
    steps = -(-epochs * num_pairs // config.data.batch_size)  # rounded up
    try:
        return replace_fields(config, {"train": {"steps": steps, "epochs": None}})
    except UsageError as error:
        raise UsageError(
            f"train.epochs: {plural(epochs, 'epoch')} of {plural(num_pairs, 'pair')} would be "
            f"{steps:,} steps, which are too many",
            "give fewer epochs",
        ) from error


def _check_rate(config: Config) -> None:
    """Raises UsageError if a rate per epoch is always 0, or its epochs need more than 32 bits."""
    if not changes_per_epoch(config):
        return
    schedule, batch_size, num_pairs = (
        config.optimizer.schedule,
        config.data.batch_size,
        counted_pairs(config),
    )
    is_decaying = schedule not in ENDLESS_SCHEDULES
    if is_decaying and run_epochs(config) == decay_epochs(config) == 1:
        raise UsageError(
            f"optimizer.decay_per: {schedule} has the learning rate 0 in the last epoch, and a run "
            f"of {plural(config.train.steps, 'step')} ends in its first epoch",
            "give --config.optimizer.decay_per=step, or a longer run",
        )
    if max(num_pairs * batch_size, run_epochs(config)) >= 2**31:
        raise UsageError(
            f"data.batch_size: batches of {batch_size} from {num_pairs:,} pairs are too large for "
            "the 32-bit number of an epoch",
            "give a smaller batch_size, fewer train.steps, or --config.optimizer.schedule=constant",
        )


def load_size(data: Data) -> tuple[int, int]:
    """The height and width to which images are resized before they are cropped.

    This is data.load_size. If that field is None, it is data.load_scale times data.image_size,
    rounded.
    """
    if data.load_size is not None:
        return data.load_size
    height, width = data.image_size
    return round(height * data.load_scale), round(width * data.load_scale)


def generator_depth(config: Config) -> int:
    """The number of times that the generator of a config halves its images.

    This is model.depth. None means as often as image_size allows.

    Raises:
      UsageError: images of image_size cannot be halved model.depth times, or 3 times if model.depth
        is None.
    """
    return unet_depth(*config.data.image_size, config.model.depth)


def side_multiple(config: Config) -> int:
    """The number that must divide both sides of an input, because each level halves the sides."""
    return 2 ** generator_depth(config)


def round_up(side: int, multiple: int) -> int:
    """The smallest multiple of `multiple` that is at least `side`."""
    return -(-side // multiple) * multiple


def unet_depth(height: int, width: int, depth: int | None) -> int:
    """The number of times that a U-Net halves an image.

    Args:
      height: the height of the image in pixels.
      width: the width of the image in pixels.
      depth: model.depth; None means as often as both sides allow.

    Raises:
      UsageError: the image cannot be halved `depth` times, or 3 times if `depth` is None. The
        message names the nearest size that is possible.
    """
    max_depth = halvings(height, width)
    # If the depth is chosen here, it is at least 3: a smaller U-Net sees little more than texture.
    min_depth = depth or 3
    if max_depth < min_depth:
        raise UsageError(
            f"data.image_size: {height}x{width} cannot be halved {min_depth} times",
            advise_size(height, width, min_depth)
            + (f", or --config.model.depth={max_depth}" if max_depth else ""),
        )
    return depth or max_depth


def advise_size(height: int, width: int, depth: int) -> str:
    """What to give for a size that cannot be halved `depth` times: the nearest possible size."""
    multiple = 2**depth
    sides = ",".join(str(max(1, round(side / multiple)) * multiple) for side in (height, width))
    return f"give multiples of {multiple}, such as --config.data.image_size={sides}"


def halvings(height: int, width: int) -> int:
    """The number of times that a height and a width can both be halved without a remainder."""
    return min((side & -side).bit_length() - 1 for side in (height, width))
