"""Every knob of an experiment, once: its type, the paper's value, and why.

An experiment is a frozen `Config`; a file under `experiments/` says only what differs from
these defaults, which are those of Isola et al. 2017 (arXiv 1611.07004), sections 3 and 6.
Pydantic checks every field, whether it comes from an experiment, a flag or a `config.json`.
"""

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from pydantic import BeforeValidator, ConfigDict, Field, ValidationError
from pydantic.dataclasses import dataclass

from pix2pix_jax.config.metrics import MetricName
from pix2pix_jax.errors import UsageError
from pix2pix_jax.models.topology import DISCRIMINATORS


def _parse_numbers(value: Any) -> Any:
    """A flag can only say text: "256", "256,512" and "(256, 512)" become tuples of numbers."""
    if isinstance(value, str) and re.fullmatch(r"[\d\s,x()\[\]]+", value):
        return tuple(int(number) for number in re.findall(r"\d+", value))
    return value


def _parse_size(value: Any) -> Any:
    """One number is both sides."""
    value = _parse_numbers(value)
    sides = value if isinstance(value, list | tuple) else (value,)
    return tuple(sides) * 2 if len(sides) == 1 else sides


def _parse_none(value: Any) -> Any:
    return None if value in ("None", "none", "") else value


Count = Annotated[int, Field(gt=0, lt=2**31)]
Share = Annotated[float, Field(ge=0, lt=1)]
Side = Annotated[int, Field(gt=0, le=2**16)]
Size = Annotated[tuple[Side, Side], BeforeValidator(_parse_size)]
Pairs = Annotated[tuple[Count, Count, Count], BeforeValidator(_parse_numbers)]
Channels = Annotated[int, Field(gt=0, le=64)]  # of image files 1, 3 or 4; of arrays any
if TYPE_CHECKING:
    DiscriminatorName = str
else:
    DiscriminatorName = Literal[*DISCRIMINATORS]
# Marks a field that a resumed run may change, as it does not change the numbers a step computes.
FREE = "free on resume"
T = TypeVar("T")
FreeOnResume = Annotated[T, FREE]
STRICT = ConfigDict(extra="forbid", allow_inf_nan=False, validate_default=True)


@dataclass(frozen=True, kw_only=True, config=STRICT)
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
    source: FreeOnResume[Annotated[str | None, BeforeValidator(_parse_none)]] = None
    # Where the prepared dataset is written once and read by every run.
    data_dir: FreeOnResume[str] = "~/.cache/pix2pix_jax"
    # A is the left image of a pair, B the right one: which of the two is the input.
    direction: Literal["AtoB", "BtoA"] = "AtoB"
    input_channels: Channels = 3
    target_channels: Channels = 3
    # Height and width that the networks see.
    image_size: Size = (256, 256)
    # Random jitter (section 6.2): resize to load_size, then crop to image_size at random.
    # None: load_scale times image_size. Equal to image_size, there is nothing to crop.
    load_size: Annotated[Size | None, BeforeValidator(_parse_none)] = None
    load_scale: Annotated[float, Field(ge=1, le=16)] = 286 / 256
    flip: bool = True
    # Pairs are held on every device, resized, if all take no more than so many MiB; a step is then
    # told which ones it gets, and cuts them there. Others are read and cut as they are needed.
    resident_mib: FreeOnResume[Annotated[int, Field(ge=0, lt=2**31)]] = 1024
    # Images per step over all devices. Section 6.2 uses 1 or 4. See Model.norm.
    batch_size: Count = 1
    # synthetic_facades only: pairs in train, val and test. The defaults are those of facades.
    synthetic_pairs: Pairs = (400, 100, 106)
    # synthetic_facades only: label maps do not tell how their photos are painted, as real ones
    # do not. By default most of a photo can be foretold, so that little training shows much.
    synthetic_ambiguous: bool = False


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Model:
    """Both networks."""

    generator: Literal["unet", "encoder_decoder"] = "unet"
    # C64 is the paper's first layer; deeper ones have 2, 4 and 8 times as many.
    features: Count = 64
    # Stride-2 layers down, and as many up. None: as many as the image allows, 8 at 256.
    depth: Annotated[Annotated[int, Field(gt=0, le=16)] | None, BeforeValidator(_parse_none)] = None
    # `batch` takes its statistics from the images that one device holds in one step, at test
    # time too. At one image a device, the paper's setting, that is instance normalisation and
    # adding devices changes nothing. With more images a device, each image is normalised with
    # its neighbours, real and generated apart, while `translate` still treats every image on
    # its own, and the penalty of wgan_gp is not one image's alone; choose `instance` there.
    norm: Literal["batch", "instance", "none"] = "batch"
    # Images that share the statistics of `batch`. None: as many as a device holds when the run
    # starts. They stay as many when it goes on with fewer devices, each of which holds more.
    norm_images: FreeOnResume[Annotated[Count | None, BeforeValidator(_parse_none)]] = None
    # Added to the variance: 1e-5 in Torch and PyTorch, 1e-3 in Keras.
    norm_epsilon: Annotated[float, Field(gt=0, lt=1)] = 1e-5
    # A learnt scale and shift after every norm.
    norm_affine: bool = True
    # Whether the U-Net's last encoder layer has a norm. None: unless what it leaves is 1x1 at
    # image_size, of which a norm would leave only its shift.
    bottleneck_norm: Annotated[bool | None, BeforeValidator(_parse_none)] = None
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
    discriminator: DiscriminatorName = "patch70"
    discriminator_features: Count = 64


@dataclass(frozen=True, kw_only=True, config=STRICT)
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


@dataclass(frozen=True, kw_only=True, config=STRICT)
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


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Train:
    """How long, and what is kept and shown on the way."""

    steps: FreeOnResume[Count] = 80_000  # 200 epochs of the 400 facades at batch 1
    log_every: FreeOnResume[Count] = 50
    checkpoint_every: FreeOnResume[Count] = 5_000
    sample_every: FreeOnResume[Count] = 1_000
    # Metrics of the whole validation split; evaluated steps are saved, too. 0: never.
    evaluate_every: FreeOnResume[Annotated[int, Field(ge=0, lt=2**31)]] = 0
    # The checkpoint with the best value of this metric is kept beside the newest ones. For a metric
    # of the FCN-score, a segmenter is trained first if the dataset has none yet.
    best_metric: FreeOnResume[MetricName] = "l1"
    samples: Count = 4  # rows of the sample grid: the first pairs of the validation split
    keep: FreeOnResume[Count] = 3  # newest checkpoints kept
    # Saves that may fail in a row, say on a full disk, until the run stops.
    max_failed_saves: FreeOnResume[Count] = 3
    # Steps in one dispatch to the device: hides its latency, changes no bit of the result.
    # None: one on a CPU, elsewhere as many as the intervals allow, of 64 images a device or fewer.
    steps_per_call: FreeOnResume[Annotated[Count | None, BeforeValidator(_parse_none)]] = None
    # Of the convolutions; parameters, norms, losses and the optimizer stay float32.
    dtype: Literal["float32", "bfloat16"] = "float32"


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Config:
    """One experiment."""

    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    data: Data = Data()
    model: Model = Model()
    loss: Loss = Loss()
    optimizer: Optimizer = Optimizer()
    train: Train = Train()


def replace_fields(config: Config, changes: dict[str, dict[str, Any]]) -> Config:
    """A config with other values of some fields, by group and name.

    Raises:
      UsageError: naming the field that refuses its value.
    """
    for group, fields in changes.items():
        try:
            config = replace(config, **{group: replace(getattr(config, group), **fields)})
        except ValidationError as error:
            raise UsageError(f"{group}.{first_error(error)}") from error
    return config


def first_error(error: ValidationError) -> str:
    """Pydantic's first complaint as `data.batch_size: input should be ..., not 'four'`."""
    first = error.errors()[0]
    complaint = first["msg"][0].lower() + first["msg"][1:]
    field = ".".join(part for part in first["loc"] if isinstance(part, str))
    # Without a field it is the whole file that is meant, too long to quote.
    return f"{field}: {complaint}, not {first['input']!r}" if field else complaint
