"""The demo without its server: settings of the page, examples, and translations."""

import json
from dataclasses import asdict, dataclass
from threading import Lock

import numpy as np
from PIL import Image

from pix2pix_jax.config.schema import Config
from pix2pix_jax.data.builders import SEEDS_PER_SPLIT
from pix2pix_jax.data.images.decoded_image import to_8_bits
from pix2pix_jax.data.images.image_reader import read_image
from pix2pix_jax.data.images.palettes import CMP, CMP_PUBLIC, PALETTES, Palette, nearest_class
from pix2pix_jax.data.images.pixels import (
    PILLOW_MODES,
    convert_channels,
    float_to_image,
    image_to_float,
    resize_image,
)
from pix2pix_jax.data.synthetic.paint import draw_facade
from pix2pix_jax.errors import UsageError
from pix2pix_jax.inference.half_cutter import HalfCutter, columns_of
from pix2pix_jax.inference.translator import Translator
from pix2pix_jax.runs.pairs import run_contents
from pix2pix_jax.runs.workdir import Workdir

MAX_MEGABYTES = 64  # largest image file that the page may send
# The seed of the first facade of the test split, because no run trains on that split.
FIRST_EXAMPLE = 2 * SEEDS_PER_SPLIT
MONOCHROME = {"black": (0, 0, 0), "white": (255, 255, 255)}  # brushes if no classes are known


@dataclass(frozen=True)
class Settings:
    """The settings of a run that the page needs; page.js reads these fields by name.

    Attributes:
      title: heading of the page.
      about: text below the heading.
      width, height: size of an image in pixels.
      brushes: the name and the colour, such as #0000ff, of each brush.
      background: colour of an empty image.
      any_colour: whether colours other than those of the brushes can be chosen.
      has_examples: whether the server can draw examples.
      has_noise: whether outputs depend on noise, which is dropout.
      max_megabytes: size of the largest image file that the page may send.
    """

    title: str
    about: str
    width: int
    height: int
    brushes: list[tuple[str, str]]
    background: str
    any_colour: bool
    has_examples: bool
    has_noise: bool
    max_megabytes: int = MAX_MEGABYTES


class Demo:
    """Translates images with the generator of a run; several threads may call its methods."""

    def __init__(self, config: Config, workdir: Workdir, translator: Translator):
        """Prepares the settings of the page.

        Raises:
          UsageError: the inputs or outputs of the run do not have 1, 3 or 4 channels.
        """
        data = config.data
        if data.input_channels not in PILLOW_MODES or data.target_channels not in PILLOW_MODES:
            raise UsageError(
                "data.input_channels, data.target_channels: the demo needs images of 1, 3 or 4 "
                f"channels, not of {data.input_channels} and {data.target_channels}",
                "use `pix2pix translate` with .npy files",
            )
        self._cutter = HalfCutter(data, run_contents(workdir, data))
        self.settings = make_settings(config, workdir, translator.step, self._cutter)
        self._config = config
        self._palette = input_palette(config)
        self._translator = translator
        # The demo handles one image at a time, because all requests share one device, and several
        # large uploads together could exhaust the memory.
        self._lock = Lock()

    def compile(self) -> None:
        """Compiles the generator, so that the first translation is as fast as all others."""
        data = self._config.data
        self._translator.translate(np.zeros((1, *data.image_size, data.input_channels), "f4"), 0)

    def settings_json(self) -> bytes:
        """The settings of the page as JSON."""
        return json.dumps(asdict(self.settings)).encode()

    def decode_upload(self, body: bytes) -> Image.Image:
        """Reads an image and scales it as in training; raises UsageError if it is not an image."""
        with self._lock:
            return decode_input(self._config, body, self._cutter)

    def draw_example(self, number: int) -> Image.Image:
        """Draws the label map of a facade; each number gives another facade.

        Call this method only if `settings.has_examples` is True.
        """
        assert self._palette is not None
        with self._lock:
            return draw_example(self._config, self._palette, number)

    def translate(self, body: bytes, sample: int) -> Image.Image:
        """Translates the canvas of the page, or an image; raises UsageError if it is not an image.

        Each number `sample` has its own noise, which is dropout.
        """
        with self._lock:
            image = decode_input(self._config, body, self._cutter, keep_canvas=True)
            values = image_to_float(image)[None]  # [1, h, w, c]
            return float_to_image(self._translator.translate(values, sample)[0])


def make_settings(config: Config, workdir: Workdir, step: int, cutter: HalfCutter) -> Settings:
    """Makes the settings of the page; if the inputs are label maps, each class has a brush."""
    palette, (height, width) = input_palette(config), config.data.image_size
    brushes = {
        name: f"#{bytes(colour).hex()}"
        for name, colour in (palette.classes if palette else MONOCHROME).items()
    }
    subject = "a label map" if palette else "an input"
    first = next(iter(brushes))
    pairs = (
        f" Of side-by-side pairs, the {cutter.input_half} half is used."
        if cutter.has_side_by_side_pairs
        else ""
    )
    return Settings(
        title=f"{workdir.name} at step {step}",
        about=f"Paint {subject} or open an image. Images are scaled to {width}x{height} pixels "
        f"(width x height), as in training.{pairs}",
        width=width,
        height=height,
        brushes=list(brushes.items()),
        background=brushes.get("facade", brushes[first]) if palette else "#ffffff",
        any_colour=palette is None,
        has_examples=palette in (CMP, CMP_PUBLIC),
        has_noise=config.model.dropout > 0,
    )


def input_palette(config: Config) -> Palette | None:
    """The palette of the inputs of a run; None if the inputs are not label maps."""
    data = config.data
    # In all datasets with a palette, A is the photo and B the label map.
    has_labels = data.direction == "BtoA" and data.input_channels == 3
    return PALETTES[data.name][0] if has_labels and data.name in PALETTES else None


def draw_example(config: Config, palette: Palette, number: int) -> Image.Image:
    """Draws the label map of a facade in the colours of a palette with the classes of CMP."""
    _, label = draw_facade(FIRST_EXAMPLE + number, *config.data.image_size, False)
    colours = np.array(list(palette.classes.values()), np.uint8)
    return Image.fromarray(colours[nearest_class(label, CMP)])


def decode_input(
    config: Config, body: bytes, cutter: HalfCutter, keep_canvas: bool = False
) -> Image.Image:
    """Decodes an image file, and converts it to the channels and the size of a run's inputs.

    If the image has the proportions of the run's side-by-side pairs, only the input's half is used.

    Args:
      keep_canvas: whether an image of the size of the page's canvas is never cut.

    Raises:
      UsageError: the file cannot be read as an image.
    """
    height, width = config.data.image_size
    image = to_8_bits(read_image(body, "this image"))
    if not (keep_canvas and image.size == (width, height)):
        columns = columns_of(cutter.find_half(image.height, image.width), image.width)
        image = image.crop((columns.start, 0, columns.stop, image.height))
    return resize_image(convert_channels(image, config.data.input_channels), (width, height))
