"""Every knob of an experiment, once: its type, the paper's value, and why.

An experiment is a frozen `Config`; a file under `experiments/` says only what differs from
these defaults, which are those of Isola et al. 2017 (arXiv 1611.07004), sections 3 and 6.
Pydantic checks every field, whether it comes from an experiment, a flag or a `config.json`.
"""

import hashlib
import json
import re
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, ValidationError
from pydantic.dataclasses import dataclass


class UsageError(ValueError):
    """What the user can mend, in one line that names the file or field: exit status 2."""

    def __init__(self, message: str):
        line = " ".join(message.split())
        # Names come from files of strangers, and could tell a terminal what to do.
        shown = (char if char.isprintable() else repr(char)[1:-1] for char in line)
        super().__init__("".join(shown))


def reason_of(error: BaseException) -> str:
    """What an error of a library says, in a line; its type where it says nothing."""
    return str(error).strip().partition("\n")[0][:200] or type(error).__name__


def _numbers(value: Any) -> Any:
    """A flag can only say text: "256", "256,512" and "(256, 512)" become tuples of numbers."""
    if isinstance(value, str) and re.fullmatch(r"[\d\s,x()\[\]]+", value):
        return tuple(int(number) for number in re.findall(r"\d+", value))
    return value


def _height_and_width(value: Any) -> Any:
    """One number is both sides."""
    value = _numbers(value)
    sides = value if isinstance(value, list | tuple) else (value,)
    return tuple(sides) * 2 if len(sides) == 1 else sides


def _none(value: Any) -> Any:
    return None if value in ("None", "none", "") else value


Count = Annotated[int, Field(gt=0, lt=2**31)]
Share = Annotated[float, Field(ge=0, lt=1)]
Side = Annotated[int, Field(gt=0, le=2**16)]
Size = Annotated[tuple[Side, Side], BeforeValidator(_height_and_width)]
Pairs = Annotated[tuple[Count, Count, Count], BeforeValidator(_numbers)]
Channels = Annotated[int, Field(gt=0, le=64)]  # of image files 1, 3 or 4; of arrays any
Metric = Literal[
    "l1", "psnr", "ssim", "lab_l", "lab_a", "lab_b",
    "per_pixel_accuracy", "per_class_accuracy", "class_iou",
]  # fmt: skip
_rules = ConfigDict(extra="forbid", allow_inf_nan=False, validate_default=True)
_checked = dataclass(frozen=True, kw_only=True, config=_rules)


@_checked
class Data:
    """Which pairs, which way, and how they are cut to size."""

    name: Literal[
        "synthetic_facades",
        "facades",
        "maps",
        "cityscapes",
        "edges2shoes",
        "edges2handbags",
        "night2day",
        "folder",
    ] = "synthetic_facades"
    # A directory or tarball that takes the place of the download; what `folder` reads.
    source: Annotated[str | None, BeforeValidator(_none)] = None
    # Where the prepared dataset is written once and read by every run.
    data_dir: str = "~/.cache/pix2pix_jax"
    # A is the left image of a pair, B the right one: which of the two is the input.
    direction: Literal["AtoB", "BtoA"] = "AtoB"
    input_channels: Channels = 3
    target_channels: Channels = 3
    # Height and width that the networks see.
    image_size: Size = (256, 256)
    # Random jitter (section 6.2): resize to load_size, then crop to image_size at random.
    # None: load_scale times image_size. Equal to image_size, there is nothing to crop.
    load_size: Annotated[Size | None, BeforeValidator(_none)] = None
    load_scale: Annotated[float, Field(ge=1, le=16)] = 286 / 256
    flip: bool = True
    # Pairs are held on every device, resized, if all take no more than so many MiB; a step is then
    # told which ones it gets, and cuts them there. Others are read and cut as they are needed.
    resident_mib: Annotated[int, Field(ge=0, lt=2**31)] = 1024
    # Images per step over all devices. Section 6.2 uses 1 or 4. See Model.norm.
    batch_size: Count = 1
    # synthetic_facades only: pairs in train, val and test. The defaults are those of facades.
    synthetic_pairs: Pairs = (400, 100, 106)
    # synthetic_facades only: label maps do not tell how their photos are painted, as real ones
    # do not. By default most of a photo can be foretold, so that little training shows much.
    synthetic_ambiguous: bool = False


@_checked
class Model:
    """Both networks."""

    generator: Literal["unet", "encoder_decoder"] = "unet"
    # C64 is the paper's first layer; deeper ones have 2, 4 and 8 times as many.
    features: Count = 64
    # Stride-2 layers down, and as many up. None: as many as the image allows, 8 at 256.
    depth: Annotated[Annotated[int, Field(gt=0, le=16)] | None, BeforeValidator(_none)] = None
    # `batch` takes its statistics from the images that one device holds in one step, at test
    # time too. At one image a device, the paper's setting, that is instance normalisation and
    # adding devices changes nothing. With more images a device, each image is normalised with
    # its neighbours, real and generated apart, while `translate` still treats every image on
    # its own, and the penalty of wgan_gp is not one image's alone; choose `instance` there.
    norm: Literal["batch", "instance", "none"] = "batch"
    # Images that share the statistics of `batch`. None: as many as a device holds when the run
    # starts. They stay as many when it goes on with fewer devices, each of which holds more.
    norm_images: Annotated[Count | None, BeforeValidator(_none)] = None
    # Added to the variance: 1e-5 in Torch and PyTorch, 1e-3 in Keras.
    norm_epsilon: Annotated[float, Field(gt=0, lt=1)] = 1e-5
    # A learnt scale and shift after every norm.
    norm_affine: bool = True
    # Whether the U-Net's last encoder layer has a norm. None: unless what it leaves is 1x1 at
    # image_size, of which a norm would leave only its shift.
    bottleneck_norm: Annotated[bool | None, BeforeValidator(_none)] = None
    # Biases of convolutions. paper: of the U-Net's last one, and of the discriminator's where no
    # norm follows. last: of the last of each network. all: of every one.
    bias: Literal["paper", "last", "all"] = "paper"
    # Slope of the LeakyReLUs below zero.
    leaky_slope: Share = 0.2
    # The same, of what the decoder takes from the encoder: 0 is ReLU, as on all of the decoder.
    skip_slope: Share = 0.0
    # In the decoder, at test time too: the paper's only noise (3.2.1).
    dropout: Share = 0.5
    # first_three: the innermost blocks, but for the last one. middle: after the innermost one,
    # those that as wide an encoder block answers; 2 to 4 of 8, none of 5.
    dropout_blocks: Literal["first_three", "middle"] = "first_three"
    # Named by receptive field in pixels; `tutorial` is the Keras tutorial's.
    discriminator: Literal[
        "pixel", "patch16", "patch34", "patch70", "patch142", "image286", "tutorial"
    ] = "patch70"
    discriminator_features: Count = 64


@_checked
class Loss:
    """What the two networks play for."""

    # vanilla: cross-entropy, non-saturating for the generator; none: L1 alone, no discriminator.
    gan: Literal["vanilla", "lsgan", "hinge", "wgan_gp", "none"] = "vanilla"
    l1_weight: Annotated[float, Field(ge=0)] = 100.0
    # The discriminator sees the input beside the image (cGAN), or the image alone (GAN).
    conditional: bool = True
    # On the discriminator's, "which slows down the rate at which D learns" (section 3.3).
    discriminator_weight: Annotated[float, Field(gt=0)] = 0.5
    gradient_penalty: Annotated[float, Field(ge=0)] = 10.0  # wgan_gp only (arXiv 1704.00028)


@_checked
class Optimizer:
    """Adam, alike for both networks, and whose turn it is."""

    learning_rate: Annotated[float, Field(gt=0)] = 2e-4
    b1: Share = 0.5
    b2: Share = 0.999
    epsilon: Annotated[float, Field(gt=0, lt=1)] = 1e-8
    # Adds epsilon before the second moment's bias is corrected, as Keras does: the "epsilon hat"
    # of Adam's paper (arXiv 1412.6980, section 2). After it elsewhere.
    epsilon_hat: bool = False
    # linear_decay: constant for the first half of train.steps, then down to zero.
    schedule: Literal["constant", "linear_decay"] = "constant"
    # Of a step. alternating: the discriminator's, then the generator's against the new one
    # (section 3.3). simultaneous: both from the same forward pass. real_then_fake: the
    # discriminator's on the real image, another on the generated one, which is also that of the
    # gradient penalty, then the generator's.
    updates: Literal["alternating", "simultaneous", "real_then_fake"] = "alternating"


@_checked
class Train:
    """How long, and what is kept and shown on the way."""

    steps: Count = 80_000  # 200 epochs of the 400 facades at batch 1
    log_every: Count = 50
    checkpoint_every: Count = 5_000
    sample_every: Count = 1_000
    # Metrics of the whole validation split; evaluated steps are saved, too. 0: never.
    evaluate_every: Annotated[int, Field(ge=0, lt=2**31)] = 0
    # The checkpoint that is best by it is kept beside the newest. The last three are the
    # FCN-score, for which a segmenter is trained first, where the dataset has none yet.
    best_metric: Metric = "l1"
    samples: Count = 4  # rows of the sample grid: the first pairs of the validation split
    keep: Count = 3  # newest checkpoints kept
    # Saves that may fail in a row, say on a full disk, until the run stops.
    max_failed_saves: Count = 3
    # Steps in one dispatch to the device: hides its latency, changes no bit of the result.
    # None: one on a CPU, elsewhere as many as the intervals allow, of 64 images a device or fewer.
    steps_per_call: Annotated[Count | None, BeforeValidator(_none)] = None
    # Of the convolutions; parameters, norms, losses and the optimizer stay float32.
    dtype: Literal["float32", "bfloat16"] = "float32"


@_checked
class Config:
    """One experiment."""

    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    data: Data = Data()
    model: Model = Model()
    loss: Loss = Loss()
    optimizer: Optimizer = Optimizer()
    train: Train = Train()


# What others do differently, each as what `preset` changes in an experiment. As in the paper are
# initial scales of norms, N(1, 0.02), where Keras starts at 1; images are resized bicubically; and
# a linear decay goes step by step.
PRESETS: dict[str, dict[str, dict[str, Any]]] = {
    "paper": {},
    # github.com/junyanz/pytorch-CycleGAN-and-pix2pix. Its pixel discriminator has no bias on the
    # logits; ours has.
    "pytorch": {
        "model": {"dropout_blocks": "middle", "bottleneck_norm": False},
        "optimizer": {"schedule": "linear_decay"},
    },
    # tensorflow.org/tutorials/generative/pix2pix. A norm of the 1x1 bottleneck leaves nothing of
    # the image there: so it is.
    "tf_tutorial": {
        "model": {
            "bias": "last",
            "bottleneck_norm": True,
            "leaky_slope": 0.3,
            "norm_epsilon": 1e-3,
            "skip_slope": 0.3,
        },
        "loss": {"discriminator_weight": 1.0},
        "optimizer": {"epsilon": 1e-7, "epsilon_hat": True, "updates": "simultaneous"},
    },
    # "How to Implement Pix2Pix GAN Models From Scratch With Keras" at machinelearningmastery.com.
    # Its generator runs twice a step, with two dropouts; ours once. Its discriminator's norms
    # are also updated with the generator; ours are not.
    "keras_tutorial": {
        "data": {"flip": False, "load_scale": 1.0},
        "model": {
            "bias": "all",
            "bottleneck_norm": False,
            "discriminator": "tutorial",
            "norm_epsilon": 1e-3,
        },
        "optimizer": {"epsilon": 1e-7, "epsilon_hat": True, "updates": "real_then_fake"},
    },
}


def preset(name: str, config: Config) -> Config:
    """An experiment with the networks and updates of another implementation, one of PRESETS.

    Raises:
      UsageError: no such preset.
    """
    if name not in PRESETS:
        raise UsageError(f"preset: there is no {name}; there are {', '.join(PRESETS)}")
    return changed(config, PRESETS[name])


def changed(config: Config, changes: dict[str, dict[str, Any]]) -> Config:
    """A config with other values of some fields, by group and name.

    Raises:
      UsageError: naming the field that refuses its value.
    """
    for group, fields in changes.items():
        try:
            config = replace(config, **{group: replace(getattr(config, group), **fields)})
        except ValidationError as error:
            raise UsageError(f"{group}.{first_complaint(error)}") from error
    return config


def first_complaint(error: ValidationError) -> str:
    """Pydantic's first complaint as `data.batch_size: input should be ..., not 'four'`."""
    first = error.errors()[0]
    complaint = first["msg"][0].lower() + first["msg"][1:]
    field = ".".join(part for part in first["loc"] if isinstance(part, str))
    # Without a field it is the whole file that is meant, too long to quote.
    return f"{field}: {complaint}, not {first['input']!r}" if field else complaint


# What a resumed run may change without changing the numbers it computes.
FREE_ON_RESUME = {
    ("data", "source"),
    ("data", "data_dir"),
    ("data", "resident_mib"),
    ("model", "norm_images"),  # but what it was is kept; see guards.norm_images
    ("train", "steps"),
    ("train", "log_every"),
    ("train", "checkpoint_every"),
    ("train", "sample_every"),
    ("train", "evaluate_every"),
    ("train", "best_metric"),
    ("train", "keep"),
    ("train", "max_failed_saves"),
    ("train", "steps_per_call"),
}


def resolve(config: Config) -> Config:
    """Fills in what follows from other fields, and checks them against each other.

    Raises:
      UsageError: sizes that no U-Net of this depth can halve, a load_size smaller than the
        image, intervals that steps_per_call does not divide, a source for drawn pairs.
    """
    data, model, train = config.data, config.model, config.train
    height, width = data.image_size
    load_size = data.load_size or tuple(round(side * data.load_scale) for side in (height, width))
    if data.name == "synthetic_facades" and data.source is not None:
        raise UsageError(
            f"data.source: synthetic_facades are drawn, not read from {data.source}; "
            "give --config=experiments/folder.py, or another data.name"
        )
    if data.source is not None and "://" in data.source:
        raise UsageError(
            f"data.source: {data.source} is an address; fetch it, and give a folder or a tarball"
        )
    if load_size[0] < height or load_size[1] < width:
        raise UsageError(
            f"data.load_size: {load_size} is smaller than data.image_size {data.image_size}; "
            "the crop is taken from the resized image, so make it at least as large"
        )
    for name in ("log_every", "checkpoint_every", "sample_every", "evaluate_every"):
        if getattr(train, name) % (train.steps_per_call or 1):
            raise UsageError(
                f"train.{name}: {getattr(train, name)} is not a multiple of "
                f"train.steps_per_call {train.steps_per_call}; change either"
            )
    # Absolute, so that the run can go on from any folder.
    source = data.source and str(Path(data.source).expanduser().absolute())
    return replace(
        config,
        data=replace(data, load_size=load_size, source=source),
        model=replace(model, depth=unet_depth(height, width, model.depth)),
    )


def unet_depth(height: int, width: int, depth: int | None) -> int:
    """How many times a U-Net halves an image: `depth`, or as often as both sides allow.

    Raises:
      UsageError: naming the nearest sizes that work.
    """
    possible = halvings(height, width)
    least = depth or 3  # with fewer, a U-Net sees little more than texture
    if possible < least:
        multiple = 2**least
        nearest = [max(1, round(side / multiple)) * multiple for side in (height, width)]
        raise UsageError(
            f"data.image_size: {height}x{width} cannot be halved {least} times; "
            f"use multiples of {multiple}, the nearest being {nearest[0]}x{nearest[1]}"
            + (f", or a model.depth of {possible}" if possible else "")
        )
    return depth or possible


def halvings(height: int, width: int) -> int:
    """How many times both sides can be halved."""
    return min((side & -side).bit_length() - 1 for side in (height, width))


def changed_fields(old: Config, new: Config) -> list[str]:
    """Names of the fields that a resumed run may not change, but did."""
    old_groups, new_groups = asdict(old), asdict(new)
    fields = ["seed"] if old.seed != new.seed else []
    for group in ("data", "model", "loss", "optimizer", "train"):
        for name, value in new_groups[group].items():
            if (group, name) not in free_fields(new) and old_groups[group][name] != value:
                fields.append(f"{group}.{name}")
    return fields


def free_fields(config: Config) -> set[tuple[str, str]]:
    """What may change without changing the numbers that a config computes."""
    if config.optimizer.schedule == "constant":
        return FREE_ON_RESUME
    return FREE_ON_RESUME - {("train", "steps")}  # on which every learning rate depends


def identity(config: Config) -> str:
    """SHA-256 of all fields of a resolved config that shape its numbers.

    But for those at their defaults, so that it stays when there are more of them.
    """
    groups, defaults = asdict(config), asdict(Config())
    for group, name in free_fields(config):
        del groups[group][name]
    for group, fields in groups.items():
        if isinstance(fields, dict):
            default = defaults[group]
            groups[group] = {n: value for n, value in fields.items() if value != default[n]}
    return hashlib.sha256(json.dumps(groups, sort_keys=True).encode()).hexdigest()
