"""Every field of an experiment: its type, its default and its meaning.

The defaults are the values of Isola et al. 2017 (arXiv 1611.07004), sections 3 and 6. An experiment
is a frozen `Config`; a file under `experiments/` sets only the fields that differ from the
defaults. The comment above a field describes the field in full sentences, which a test checks.
Pydantic checks the value of every field, whether the value comes from an experiment, a flag or a
`config.json`.
"""

from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

from pydantic import BeforeValidator, ConfigDict, Field
from pydantic.dataclasses import dataclass

from pix2pix_jax.config.metrics import MetricName
from pix2pix_jax.config.parsing import parse_none, parse_numbers, parse_size
from pix2pix_jax.models.topology import DISCRIMINATORS
from pix2pix_jax.runtime.storage.files import CACHE

Count = Annotated[int, Field(gt=0, lt=2**31)]
Fraction = Annotated[float, Field(ge=0, lt=1)]
Side = Annotated[int, Field(gt=0, le=2**16)]
Size = Annotated[tuple[Side, Side], BeforeValidator(parse_size)]
PairCounts = Annotated[tuple[Count, Count, Count], BeforeValidator(parse_numbers)]
Form = Literal["halves", "folders"]  # how the files of a source show the pairs
Channels = Annotated[int, Field(gt=0, le=64)]  # Image files have 1, 3 or 4; arrays may have more.
if TYPE_CHECKING:
    DiscriminatorName = str
else:
    DiscriminatorName = Literal[*DISCRIMINATORS]
# Marks a field that may change when a run resumes; see `resume.free_fields`.
FREE = "free on resume"
T = TypeVar("T")
FreeOnResume = Annotated[T, FREE]
SPLITS = ("train", "val", "test")  # the splits of a dataset, in the order of all tables
STRICT = ConfigDict(extra="forbid", allow_inf_nan=False, validate_default=True)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Data:
    """The dataset, the direction of the translation, and the size of the images."""

    # The dataset: drawn by a program, one of the public sets, or a folder of your own.
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
    # The folder, tarball or zip file to read instead of a download. The dataset `folder` needs it.
    source: FreeOnResume[Annotated[str | None, BeforeValidator(parse_none)]] = None
    # How the files of a source show the pairs. `halves`: every file shows A on the left and B on
    # the right. `folders`: folders A and B hold the two sides under equal names, and other images
    # are left out. None reads the form from the names of the folders, and refuses a source whose
    # names could mean something else. The form does not decide whether a folder such as test_images
    # is a split.
    form: FreeOnResume[Annotated[Form | None, BeforeValidator(parse_none)]] = None
    # The folder, or gs://BUCKET/DIR, where a dataset is written once and read by every run.
    data_dir: FreeOnResume[str] = CACHE
    # Which image of a pair is the input. A is the left image, and B is the right image.
    direction: Literal["AtoB", "BtoA"] = "AtoB"
    # Channels of the input: 1 is grey, 3 is RGB, 4 is RGBA.
    input_channels: Channels = 3
    # Channels of the target, and of the generated image.
    target_channels: Channels = 3
    # Height and width of the images that the networks get, in pixels. A single number sets height
    # and width.
    image_size: Size = (256, 256)
    # Height and width before random jitter (section 6.2): images are resized to load_size, then
    # cropped to image_size at random. None means load_scale times image_size. If load_size equals
    # image_size, nothing is cropped.
    load_size: Annotated[Size | None, BeforeValidator(parse_none)] = None
    # The ratio of load_size to image_size if load_size is None.
    load_scale: Annotated[float, Field(ge=1, le=16)] = 286 / 256
    # Whether to mirror half of the pairs, chosen at random, left to right.
    flip: bool = True
    # If all pairs together need at most this number of MiB, every device holds all of them and
    # crops its images itself. Otherwise the host reads and crops the images of each step.
    resident_mib: FreeOnResume[Annotated[int, Field(ge=0, lt=2**31)]] = 1024
    # Whether every epoch has the pairs in a new random order. Without this, every epoch has the
    # pairs in the order of their names; crops and mirrors stay random.
    shuffle: bool = True
    # The largest number of pairs of each split, for a first try. The names of the pairs decide
    # which pairs these are; they are spread over the whole split. None means all pairs.
    max_pairs: Annotated[Count | None, BeforeValidator(parse_none)] = None
    # Images per step, over all devices. Section 6.2 uses 1 or 4. See also model.norm.
    batch_size: Count = 1
    # The number of pairs in train, val and test, for synthetic_facades only. The defaults are the
    # numbers of the dataset facades.
    synthetic_pairs: PairCounts = (400, 100, 106)
    # Whether one label map allows many different photos, as in real data; for synthetic_facades
    # only. By default most of a photo follows from its label map, so that a short training shows
    # good results.
    synthetic_ambiguous: bool = False


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Model:
    """The generator and the discriminator."""

    # The generator: a U-Net, or the same network without skip connections (section 4.3).
    generator: Literal["unet", "encoder_decoder"] = "unet"
    # Channels of the generator's first layer, C64 in the paper. Deeper layers have 2, 4 and 8 times
    # this number.
    features: Count = 64
    # The number of stride-2 layers down, and also of stride-2 layers up. None means as many as
    # image_size allows: 8 at 256.
    depth: Annotated[Annotated[int, Field(gt=0, le=16)] | None, BeforeValidator(parse_none)] = None
    # The normalization of both networks. In training, `batch` takes its statistics from norm_images
    # images of a step: by default from all images on one device. With one image on each device, as
    # in the paper, `batch` equals `instance`. Real and generated images never share statistics. At
    # test time, statistics come from each image alone. With wgan_gp, choose `instance`, because
    # with `batch` the penalty for an image would depend on the other images of the batch.
    norm: Literal["batch", "instance", "none"] = "batch"
    # The number of images that share the statistics of `batch`. None means the number on each
    # device when the run starts. A run that resumes on fewer devices keeps the number of its start.
    norm_images: FreeOnResume[Annotated[Count | None, BeforeValidator(parse_none)]] = None
    # The constant that norms add to the variance: 1e-5 in Torch and PyTorch, 1e-3 in Keras.
    norm_epsilon: Annotated[float, Field(gt=0, lt=1)] = 1e-5
    # Whether every norm learns a scale and a shift.
    norm_affine: bool = True
    # Whether the U-Net's last encoder layer has a norm. None means yes, unless the output of the
    # layer is 1x1 at image_size, because a norm of a single pixel returns only its shift.
    bottleneck_norm: Annotated[bool | None, BeforeValidator(parse_none)] = None
    # The convolutions that have a bias. `paper`: the U-Net's last convolution, and the first and
    # the last convolution of the discriminator. `pytorch`: the same, but without a bias in the last
    # convolution of the pixel discriminator, as in pytorch-CycleGAN-and-pix2pix. `unnormalized`:
    # the U-Net's last convolution, and the convolutions of the discriminator that no norm follows;
    # this differs from `paper` only if norm is `none`. `last`: the last convolution of each
    # network. `all`: all convolutions.
    bias: Literal["paper", "pytorch", "unnormalized", "last", "all"] = "paper"
    # How the kernels of both networks are drawn. `normal`: from a normal distribution with mean 0
    # (section 6.2). `xavier`, `kaiming` and `orthogonal`: as in torch.nn.init, with normal draws.
    initializer: Literal["normal", "xavier", "kaiming", "orthogonal"] = "normal"
    # The standard deviation of `normal`, and the factor on the kernels of `xavier` and
    # `orthogonal`; `kaiming` has no factor. It is also the standard deviation of the initial scales
    # of norms, around 1.
    initializer_gain: Annotated[float, Field(gt=0)] = 0.02
    # The slope of the LeakyReLUs below zero.
    leaky_slope: Fraction = 0.2
    # The slope below zero of the activation on skip connections. 0 is ReLU, as in the decoder.
    skip_slope: Fraction = 0.0
    # The dropout rate in the decoder, in training and at test time. Dropout is the only noise in
    # the paper (section 3.1).
    dropout: Fraction = 0.5
    # The decoder blocks with dropout. `first_three`: the three innermost blocks, but never the last
    # block. `middle`: the blocks with as many channels as the innermost block, except the innermost
    # block. Counted from the innermost block, a decoder of 8 blocks has dropout in blocks 2 to 4,
    # and a decoder of 5 blocks has no dropout.
    dropout_blocks: Literal["first_three", "middle"] = "first_three"
    # The discriminator, named after its receptive field in pixels. `tutorial` is the discriminator
    # of the Keras tutorial.
    discriminator: DiscriminatorName = "patch70"
    # Channels of the discriminator's first layer.
    discriminator_features: Count = 64


GanLoss = Literal["vanilla", "lsgan", "hinge", "wgan_gp", "none"]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Loss:
    """The losses of both networks."""

    # The adversarial loss. `vanilla` is cross-entropy, non-saturating for the generator. `none`
    # trains on L1 alone, without a discriminator.
    gan: GanLoss = "vanilla"
    # The weight of the L1 loss, lambda in section 3.1.
    l1_weight: Annotated[float, Field(ge=0)] = 100.0
    # Whether the discriminator gets the input together with the image (cGAN), or only the image
    # (GAN).
    conditional: bool = True
    # The factor on the discriminator's loss. The paper halves the loss, so that the discriminator
    # learns more slowly than the generator (section 3.3).
    discriminator_weight: Annotated[float, Field(gt=0)] = 0.5
    # The weight of the gradient penalty, for wgan_gp only (arXiv 1704.00028).
    gradient_penalty: Annotated[float, Field(ge=0)] = 10.0


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Optimizer:
    """Adam with the same settings for both networks, and the order of their updates."""

    # Adam's step size.
    learning_rate: Annotated[float, Field(gt=0)] = 2e-4
    # Adam's decay rate of the first moment.
    b1: Fraction = 0.5
    # Adam's decay rate of the second moment.
    b2: Fraction = 0.999
    # Adam's constant in the denominator.
    epsilon: Annotated[float, Field(gt=0, lt=1)] = 1e-8
    # Whether epsilon is added before the bias of the second moment is corrected, as in Keras: the
    # "epsilon hat" of Adam's paper (arXiv 1412.6980, section 2).
    epsilon_hat: bool = False
    # The schedule of the learning rate. `linear_decay` is constant, then falls linearly to zero in
    # the last train.decay_epochs, by default in the second half of train.steps. `cosine` falls to
    # zero along half a wave of the cosine, by default over all train.steps. `step` multiplies the
    # rate by decay_factor every decay_interval epochs.
    schedule: Literal["constant", "linear_decay", "cosine", "step"] = "constant"
    # When the rate changes. `step`: at any step. `epoch`: only at the beginning of an epoch, as in
    # pytorch-CycleGAN-and-pix2pix, which counts epochs from 1. The last epoch of `linear_decay` and
    # of `cosine` then has the rate 0, and the schedule `step` decays one epoch earlier.
    decay_per: Literal["step", "epoch"] = "step"
    # The number of epochs from one decay of `step` to the next.
    decay_interval: Count = 50
    # The factor of one decay of `step`.
    decay_factor: Annotated[float, Field(gt=0, lt=1)] = 0.1
    # The updates of a step. `alternating`: the discriminator, then the generator against the
    # updated discriminator (section 3.3). `simultaneous`: both from the same forward pass.
    # `real_then_fake`: the discriminator on the real image, then on the generated image and the
    # gradient penalty, then the generator.
    updates: Literal["alternating", "simultaneous", "real_then_fake"] = "alternating"


# The schedules whose learning rate does not depend on the length of the run.
ENDLESS_SCHEDULES = ("constant", "step")

# The fields of Train that are numbers of steps between two outputs. Only evaluate_every may be 0.
INTERVALS = ("log_every", "checkpoint_every", "sample_every", "evaluate_every")


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Train:
    """The length of the training, and how often it logs, saves, shows samples and evaluates."""

    # The number of steps: by default 200 epochs of the 400 facades at batch size 1.
    steps: FreeOnResume[Count] = 80_000
    # The length in epochs, in place of train.steps. An epoch uses every training pair once, so the
    # number of steps follows from the number of pairs and from data.batch_size. The config.json of
    # a run shows the number of steps as train.steps.
    epochs: FreeOnResume[Annotated[Count | None, BeforeValidator(parse_none)]] = None
    # The number of epochs at the end of the run in which the learning rate decays, for the
    # schedules `linear_decay` and `cosine`. 200 epochs with 100 decay_epochs have a constant rate
    # for 100 epochs. None means half of the run for `linear_decay`, and the whole run for `cosine`.
    # With decay_per=epoch, half of an odd number of epochs is rounded down.
    decay_epochs: Annotated[Count | None, BeforeValidator(parse_none)] = None
    # The number of training pairs. `train` counts it if the learning rate depends on epochs, else
    # this is None; a value that is given is replaced.
    num_pairs: FreeOnResume[Annotated[Count | None, BeforeValidator(parse_none)]] = None
    # The run to start from, as WORKDIR, WORKDIR:STEP or WORKDIR:best; the flag --init sets this
    # field. The new run begins at step 0 with the networks and optimizers of that run. None means
    # random initial weights.
    init: FreeOnResume[Annotated[str | None, BeforeValidator(parse_none)]] = None
    # The number of steps from one log line to the next.
    log_every: FreeOnResume[Count] = 50
    # The number of steps from one checkpoint to the next.
    checkpoint_every: FreeOnResume[Count] = 5_000
    # The number of steps from one sample grid to the next.
    sample_every: FreeOnResume[Count] = 1_000
    # The number of steps from one evaluation of the whole validation split to the next; 0 means
    # never. A step that is evaluated is also saved.
    evaluate_every: FreeOnResume[Annotated[int, Field(ge=0, lt=2**31)]] = 0
    # The checkpoint with the best value of this metric is kept in addition to the newest
    # checkpoints. If evaluate_every is above 0, a metric of the FCN-score needs a segmenter. The
    # segmenter is trained first if the dataset has no segmenter yet.
    best_metric: FreeOnResume[MetricName] = "l1"
    # The number of rows of the sample grid, which shows the first pairs of the validation split.
    samples: Count = 4
    # The number of newest checkpoints that are kept; 0 means all.
    keep: FreeOnResume[Annotated[int, Field(ge=0, lt=2**31)]] = 3
    # The run stops when this number of saves fails in a row, for instance on a full disk.
    max_failed_saves: FreeOnResume[Count] = 3
    # The number of steps in one call to the devices. More steps hide the latency of a call, and
    # change no bit of the result. None means one step on a CPU; on other devices as many steps as
    # the intervals allow, with at most 64 images on each device.
    steps_per_call: FreeOnResume[Annotated[Count | None, BeforeValidator(parse_none)]] = None
    # How a step runs on several devices. Both ways give equal bits. In JAX, shard_map under
    # jit is the successor of pmap.
    parallel: FreeOnResume[Literal["pmap", "shard_map"]] = "pmap"
    # The type in which convolutions compute. Parameters, norms, losses and the optimizer stay
    # float32.
    dtype: Literal["float32", "bfloat16"] = "float32"


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Config:
    """All fields of an experiment."""

    # The seed of everything random: initial weights, the order of pairs, jitter and dropout.
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    data: Data = Data()
    model: Model = Model()
    loss: Loss = Loss()
    optimizer: Optimizer = Optimizer()
    train: Train = Train()
