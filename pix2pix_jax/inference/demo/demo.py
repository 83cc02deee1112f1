"""What the demo does, apart from HTTP: settings of the page, examples, translations."""

import json
from dataclasses import asdict, dataclass
from threading import Lock

import numpy as np
from PIL import Image

from pix2pix_jax.config.schema import Config
from pix2pix_jax.data.image_files import decode_image
from pix2pix_jax.data.palettes import CMP, CMP_PUBLIC, PALETTES, Palette, nearest_class
from pix2pix_jax.data.pixels import (
    PILLOW_MODES,
    convert_channels,
    float_to_image,
    image_to_float,
    resize_image,
)
from pix2pix_jax.data.synthetic.paint import draw_facade
from pix2pix_jax.errors import UsageError
from pix2pix_jax.inference.translator import Translator
from pix2pix_jax.runs.workdir import Workdir

MAX_MEGABYTES = 64  # of an uploaded image
FIRST_EXAMPLE = 2_000_000  # number of a facade; the dataset and its tests use smaller numbers
MONOCHROME = {"black": (0, 0, 0), "white": (255, 255, 255)}  # brushes if no classes are known


@dataclass(frozen=True)
class Settings:
    """What the page needs to know about a run; page.js reads these names.

    Attributes:
      title: heading of the page.
      about: the sentence below it.
      width, height: of an image, in pixels.
      brushes: name and colour, such as #0000ff, of each brush.
      background: colour of an empty image.
      any_colour: whether the reader may choose other colours than the brushes'.
      has_examples: whether the server can draw examples.
      has_noise: whether outputs depend on the noise of the dropout.
      max_megabytes: of an uploaded image.
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
    """Translates images of a run, one at a time; all methods may be called by several threads."""

    def __init__(self, config: Config, workdir: Workdir, translator: Translator):
        """Keeps what every request needs.

        Args:
          config: of the run, resolved.
          workdir: of the run.
          translator: the generator of a checkpoint.

        Raises:
          UsageError: inputs or outputs of the run are no images.
        """
        data = config.data
        if data.input_channels not in PILLOW_MODES or data.target_channels not in PILLOW_MODES:
            raise UsageError(
                f"data.input_channels, data.target_channels: {data.input_channels} and "
                f"{data.target_channels} are not those of images (1, 3 or 4); use translate on "
                "arrays"
            )
        self.settings = make_settings(config, workdir, translator.step)
        self._config = config
        self._palette = input_palette(config)
        self._translator = translator
        # The devices do one thing at a time, and the memory holds one large upload at a time.
        self._lock = Lock()

    def compile(self) -> None:
        """Compiles the generator, so that the first translation takes no longer than others."""
        data = self._config.data
        self._translator.translate(np.zeros((1, *data.image_size, data.input_channels), "f4"), 0)

    def settings_json(self) -> bytes:
        """The settings of the page."""
        return json.dumps(asdict(self.settings)).encode()

    def read_input(self, body: bytes) -> Image.Image:
        """An image as the generator sees it, scaled as in training.

        Args:
          body: an image file.

        Raises:
          UsageError: the file cannot be read as an image.
        """
        with self._lock:
            return read_input(self._config, body)

    def draw_example(self, number: int) -> Image.Image:
        """A label map of a facade; each number has its own."""
        with self._lock:
            return draw_example(self._config, self._palette or CMP, number)

    def translate(self, body: bytes, sample: int) -> Image.Image:
        """The output of the generator.

        Args:
          body: an image file.
          sample: number of the sample; each number has its own noise.

        Raises:
          UsageError: the file cannot be read as an image.
        """
        with self._lock:
            image = image_to_float(read_input(self._config, body))  # [h, w, c]
            return float_to_image(self._translator.translate(image[None], sample)[0])


def make_settings(config: Config, workdir: Workdir, step: int) -> Settings:
    """The settings for a run; its brushes are the classes of its inputs if these are label maps.

    Args:
      config: of the run, resolved.
      workdir: of the run.
      step: of the checkpoint.
    """
    palette, (height, width) = input_palette(config), config.data.image_size
    brushes = {
        name: f"#{bytes(colour).hex()}"
        for name, colour in (palette.classes if palette else MONOCHROME).items()
    }
    subject = "a label map" if palette else "an input"
    first = next(iter(brushes))
    return Settings(
        title=f"{workdir.name} at step {step}",
        about=f"Paint {subject}, or open an image; it is scaled to {width}x{height} pixels "
        "(width x height), as in training.",
        width=width,
        height=height,
        brushes=list(brushes.items()),
        background=brushes.get("facade", brushes[first]) if palette else "#ffffff",
        any_colour=palette is None,
        has_examples=palette in (CMP, CMP_PUBLIC),
        has_noise=config.model.dropout > 0,
    )


def input_palette(config: Config) -> Palette | None:
    """The classes of the label maps that a run translates; None if its inputs are no label maps."""
    data = config.data
    # In all datasets with a palette, A is the photo and B the label map.
    has_labels = data.direction == "BtoA" and data.input_channels == 3
    return PALETTES[data.name][0] if has_labels and data.name in PALETTES else None


def draw_example(config: Config, palette: Palette, number: int) -> Image.Image:
    """A label map of a facade in the colours of a palette that has the classes of CMP."""
    _, label = draw_facade(FIRST_EXAMPLE + number, *config.data.image_size, False)
    colours = np.array(list(palette.classes.values()), np.uint8)
    return Image.fromarray(colours[nearest_class(label, CMP)])


def read_input(config: Config, body: bytes) -> Image.Image:
    """An image file with the channels and the size of the inputs of a run.

    Raises:
      UsageError: the file cannot be read as an image.
    """
    height, width = config.data.image_size
    image = convert_channels(decode_image(body, "this picture"), config.data.input_channels)
    return resize_image(image, (width, height))
