"""The options of a translation."""

from dataclasses import dataclass
from typing import Literal

from pix2pix_jax.config.initial_run import CheckpointStep
from pix2pix_jax.config.resolve import round_up, side_multiple
from pix2pix_jax.config.schema import Config
from pix2pix_jax.data.images.limits import MAX_PIXELS, PixelLimit
from pix2pix_jax.errors import UsageError
from pix2pix_jax.evaluation.running_statistics import STATISTICS_FLAG, StatisticsOptions

Half = Literal["left", "right"]  # a half of an image
HalfChoice = Literal["left", "right", "none"]  # a half of an image, or the whole image
MAX_PIXELS_OF_TILED = 10**9  # the limit for an image that is translated in tiles


@dataclass(frozen=True)
class TranslateOptions:
    """How images are translated.

    Attributes:
      step: the step of the checkpoint.
      seed: the seed of the dropout; None: the seed of the run.
      samples: number of translations of each image, each with its own dropout.
      tile: side in pixels of the tiles that images are cut into; None: images stay whole.
      resize: whether images are resized to the size of training, and their translations back.
      max_images: the largest number of images to translate, the first by their paths; None: all.
      max_megapixels: the largest image, in millions of pixels; None: 100, or 1000 for tiles.
      use_dropout: whether dropout is on, as in training.
      statistics: how to find the running statistics by which all norms normalize, as in PyTorch's
        eval mode; None: each image has its own statistics, as in training.
      half: the half of every image to translate, or "none" for whole images; None: the input's
        half of images with the proportions of side-by-side pairs.
    """

    step: CheckpointStep = "newest"
    seed: int | None = None
    samples: int = 1
    tile: int | None = None
    resize: bool = False
    max_images: int | None = None
    max_megapixels: int | None = None
    use_dropout: bool = True
    statistics: StatisticsOptions | None = None
    half: HalfChoice | None = None

    def pixel_limit(self, config: Config) -> PixelLimit:
        """The largest number of pixels of an image, for a run with this config."""
        if self.max_megapixels:
            fix = "give a larger --max_megapixels if the memory is large enough"
            return PixelLimit(self.max_megapixels * 10**6, fix)
        if self.tile:
            return PixelLimit(MAX_PIXELS_OF_TILED, "give --max_megapixels to allow larger images")
        fix = f"give {tile_flag(config)} to translate tiles, or scale the image down"
        return PixelLimit(MAX_PIXELS, fix)


def tile_flag(config: Config) -> str:
    """The flag that cuts images into tiles of the size of training."""
    return f"--tile={round_up(min(config.data.image_size), side_multiple(config))}"


def check_options(config: Config, options: TranslateOptions) -> None:
    """Raises UsageError if options do not fit the run or cannot be given together."""
    multiple = side_multiple(config)
    if options.tile and options.tile % multiple:
        raise UsageError(
            f"--tile: {options.tile} is not a multiple of {multiple}",
            f"give --tile={round_up(options.tile, multiple)}",
        )
    if options.tile and options.resize:
        raise UsageError("--tile, --resize: cannot be given together", "leave one of them out")
    if options.samples > 1 and options.statistics:
        raise UsageError(
            f"--samples: with {STATISTICS_FLAG} there is no dropout, so all samples are equal",
            "give --samples=1",
        )
    if options.samples > 1 and not (options.use_dropout and config.model.dropout):
        raise UsageError("--samples: without dropout, all samples are equal", "give --samples=1")
