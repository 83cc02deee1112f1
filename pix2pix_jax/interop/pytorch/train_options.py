"""Reads train_opt.txt, in which the authors' PyTorch code records the options of a training.

A line of the file has the name of an option, a colon and a value, and then perhaps the default:

                batch_size: 1
                      norm: instance                      	[default: batch]
"""

import codecs
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from pix2pix_jax.config.schema import Config
from pix2pix_jax.errors import UsageError
from pix2pix_jax.interop.pytorch.names import PATCH_GANS, PIXEL_GAN

FILE_NAME = "train_opt.txt"
NONE = "none"  # the value of --options to import without the file
MAX_BYTES = 1_000_000
MAX_SIDE = 100_000
MAX_LOAD_SCALE = 16  # the largest data.load_scale
# The names that options have today, by their names in versions before September 2018.
OLD_NAMES = {
    "batchSize": "batch_size",
    "fineSize": "crop_size",
    "loadSize": "load_size",
    "niter": "n_epochs",
    "niter_decay": "n_epochs_decay",
    "resize_or_crop": "preprocess",
    "which_direction": "direction",
    "which_model_netD": "netD",
    "which_model_netG": "netG",
}
DEPTHS = {"unet_128": 7, "unet_256": 8}
GAN_MODES = {"vanilla": "vanilla", "lsgan": "lsgan", "wgangp": "wgan_gp"}
# Options of the length and the schedule. They are not used, because an imported run is fine-tuned.
LENGTH_OPTIONS = ("lr_policy", "n_epochs", "n_epochs_decay")


class Setting(NamedTuple):
    """A field of a config with the value that the options give it.

    Attributes:
      text: the option and its value, such as "lr 0.0002".
      group, name: the field.
      value: the value of the field.
    """

    text: str
    group: str
    name: str
    value: Any


class Contradiction(NamedTuple):
    """An option that does not fit the weights.

    Attributes:
      text: the option with its value in the file.
      weights: what the weights have instead.
    """

    text: str
    weights: str


def _parse_bool(text: str) -> bool:
    return {"True": True, "False": False}[text]


def _parse_int(text: str) -> int:
    return int(_check_digits(text))


def _parse_float(text: str) -> float:
    return float(_check_digits(text))


def _check_digits(text: str) -> str:
    """Raises ValueError for a number with underscores, which Python would read: 1_0 as 10."""
    if "_" in text:
        raise ValueError(text)
    return text


def _parse_side(text: str) -> int:
    """Parses the side of an image in pixels."""
    side = _parse_int(text)
    if not 1 <= side <= MAX_SIDE:
        raise ValueError(text)
    return side


def _parse_limit(text: str) -> int | None:
    """Parses a number of pairs; "inf", the default of the PyTorch code, is no limit."""
    return None if text == "inf" else _parse_int(text)


def _parse_choice(choices: dict[str, str]) -> Callable[[str], str]:
    return lambda text: choices[text]


# The fields that follow from one option alone: the option, the group and name of the field, and a
# function that parses the value. The function raises ValueError or KeyError for a wrong value.
FIELDS: tuple[tuple[str, str, str, Callable[[str], Any]], ...] = (
    ("direction", "data", "direction", _parse_choice({"AtoB": "AtoB", "BtoA": "BtoA"})),
    ("batch_size", "data", "batch_size", _parse_int),
    ("serial_batches", "data", "shuffle", lambda text: not _parse_bool(text)),
    ("max_dataset_size", "data", "max_pairs", _parse_limit),
    ("no_flip", "data", "flip", lambda text: not _parse_bool(text)),
    ("no_dropout", "model", "dropout", lambda text: 0.0 if _parse_bool(text) else 0.5),
    ("ndf", "model", "discriminator_features", _parse_int),
    (
        "init_type", "model", "initializer",
        _parse_choice({name: name for name in ("normal", "xavier", "kaiming", "orthogonal")}),
    ),
    ("init_gain", "model", "initializer_gain", _parse_float),
    ("gan_mode", "loss", "gan", _parse_choice(GAN_MODES)),
    ("lambda_L1", "loss", "l1_weight", _parse_float),
    ("lr", "optimizer", "learning_rate", _parse_float),
    ("beta1", "optimizer", "b1", _parse_float),
)  # fmt: skip


@dataclass(frozen=True)
class TrainOptions:
    """The options in a train_opt.txt.

    Attributes:
      path: the path of the file.
      values: the values as text, by the names that options have today.
    """

    path: Path
    values: dict[str, str]

    @classmethod
    def read(cls, path: Path) -> "TrainOptions":
        """Reads a train_opt.txt.

        Raises:
          UsageError: the file cannot be read, or has no options.
        """
        try:
            with path.open("rb") as file:
                content = file.read(MAX_BYTES)
        except OSError as error:
            raise UsageError(
                f"--options: {path} cannot be read ({error.strerror})",
                f"give another file, or --options={NONE}",
            ) from error
        is_utf16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        text = content.decode("utf-16" if is_utf16 else "utf-8-sig", errors="replace")
        values = {}
        for line in text.splitlines():
            name, colon, value = line.partition(":")
            if colon and re.fullmatch(r"\w+", name := name.strip()):
                values[OLD_NAMES.get(name, name)] = value.partition("[default: ")[0].strip()
        if "no_lsgan" in values and "gan_mode" not in values:
            no_lsgan = values["no_lsgan"]
            values["gan_mode"] = {"True": "vanilla", "False": "lsgan"}.get(no_lsgan, no_lsgan)
        if not values.keys() & {"direction", "netG", "crop_size"}:
            raise UsageError(
                f"{path}: has no options of pytorch-CycleGAN-and-pix2pix",
                f"give the {FILE_NAME} of these weights as --options=FILE, or --options={NONE}",
            )
        return cls(path, values)

    def settings(self) -> list[Setting]:
        """The fields of a config that the options determine, with their values.

        Raises:
          UsageError: an option has a wrong value.
        """
        found = [
            Setting(self._describe(option), group, name, self._parse(option, parse))
            for option, group, name, parse in FIELDS
            if option in self.values
        ]
        if self.values.get("gan_mode") == "wgangp":
            # The PyTorch code computes no penalty for pix2pix.
            option = self._describe("gan_mode")
            found.append(Setting(option, "loss", "gradient_penalty", 0.0))
        if name := self.discriminator():
            found.append(Setting(self._describe_discriminator(), "model", "discriminator", name))
        return [*found, *self._sizes()]

    def discriminator(self) -> str | None:
        """Our name of the discriminator; None if the options name none that exists here."""
        kind = self.values.get("netD")
        if kind == "pixel":
            return PIXEL_GAN
        layers = 3 if kind in ("basic", "n_layers") else 0
        if kind == "n_layers" and "n_layers_D" in self.values:
            layers = self._parse("n_layers_D", _parse_int)
        return PATCH_GANS[layers - 1] if 1 <= layers <= len(PATCH_GANS) else None

    def image_size(self) -> tuple[int, int] | None:
        """Height and width of the images in training; None if the options do not determine them."""
        sizes = {setting.name: setting.value for setting in self._sizes()}
        return sizes.get("image_size")

    def _sizes(self) -> list[Setting]:
        """The sizes of the images, if the options prepare images as this project does."""
        if not {"load_size", "crop_size"} <= self.values.keys():
            return []
        load, crop = self._parse_sizes()
        preprocess = self.values.get("preprocess", "resize_and_crop")
        option = "crop_size"
        if preprocess == "resize":
            crop, option = load, "load_size"
        elif "crop" not in preprocess:
            return []
        elif preprocess == "crop" or load < crop:
            load = crop  # The crops have this size; `unavailable` describes what is not done here.
        sizes = [
            Setting(self._describe(option), "data", "image_size", (crop, crop)),
            Setting(self._describe("load_size"), "data", "load_size", (load, load)),
        ]
        if load <= MAX_LOAD_SCALE * crop:
            # With a flag for image_size, load_size follows from this field.
            scale = Setting(self._describe("load_size"), "data", "load_scale", load / crop)
            sizes.append(scale)
        return sizes

    def _parse_sizes(self) -> tuple[int, int]:
        """The options load_size and crop_size; raises UsageError if one is not a side in pixels."""
        return self._parse("load_size", _parse_side), self._parse("crop_size", _parse_side)

    def unavailable(self) -> str:
        """What of the options this project does not have; "" if it has everything that counts."""
        phrases = []
        preprocess = self.values.get("preprocess", "resize_and_crop")
        if preprocess not in ("resize_and_crop", "resize"):
            phrases.append(
                f"preprocess {preprocess} (images are resized to data.load_size, then cropped)"
            )
        if self._crops_more_than_it_loads():
            phrases.append(f"{self._describe('load_size')} below crop_size")
        if self.values.get("pool_size", "0") != "0":
            phrases.append(self._describe("pool_size"))
        if (model := self.values.get("model", "pix2pix")) != "pix2pix":
            phrases.append(f"model {model} (training here is that of pix2pix)")
        if "netD" in self.values and self.discriminator() is None:
            phrases.append(self._describe_discriminator())
        return "; ".join(phrases)

    def _crops_more_than_it_loads(self) -> bool:
        """Whether the crops are larger than the images, which PyTorch refuses in training."""
        if not {"load_size", "crop_size"} <= self.values.keys():
            return False
        is_default = self.values.get("preprocess", "resize_and_crop") == "resize_and_crop"
        load, crop = self._parse_sizes()
        return is_default and load < crop

    def length(self) -> str:
        """The options of the length and the schedule, in words; "" if there are none."""
        names = [name for name in LENGTH_OPTIONS if name in self.values]
        return ", ".join(self._describe(name) for name in names)

    def _describe(self, option: str) -> str:
        """An option and its value, such as "lr 0.0002"."""
        return f"{option} {self.values[option]}"

    def _describe_discriminator(self) -> str:
        """The options of the discriminator, such as "netD n_layers with n_layers_D 7"."""
        text = self._describe("netD")
        if self.values["netD"] == "n_layers" and "n_layers_D" in self.values:
            text += f" with {self._describe('n_layers_D')}"
        return text

    def contradictions(self, config: Config, has_discriminator: bool) -> list[Contradiction]:
        """The options that do not fit the weights.

        Args:
          config: the config with the fields that the weights determine.
          has_discriminator: whether the weights have a discriminator.

        Raises:
          UsageError: an option has a wrong value.
        """
        data, model = config.data, config.model
        found = [
            ("input_nc", _parse_int, data.input_channels),
            ("output_nc", _parse_int, data.target_channels),
            ("ngf", _parse_int, model.features),
            ("norm", str, model.norm),
        ]
        if has_discriminator:
            found.append(("ndf", _parse_int, model.discriminator_features))
        wrong = [
            Contradiction(self._describe(name), f"{value}")
            for name, parse, value in found
            if name in self.values and self._parse(name, parse) != value
        ]
        depth, kind = model.depth, self.values.get("netG")
        assert depth is not None  # the weights determine the depth
        depths = [name for name in DEPTHS if DEPTHS[name] == depth]
        if kind is not None and kind not in depths and (kind in DEPTHS or "unet" not in kind):
            wrong.append(Contradiction(self._describe("netG"), f"a U-Net of depth {depth}"))
        wrong += [
            Contradiction(setting.text, f"a U-Net that halves images {depth} times")
            for setting in self._sizes()
            if setting.name == "image_size" and setting.value[0] % 2**depth
        ]
        name = self.discriminator()
        if has_discriminator and "netD" in self.values and name != model.discriminator:
            text = self._describe_discriminator() + (f" ({name})" if name else "")
            wrong.append(Contradiction(text, model.discriminator))
        return wrong

    def _parse(self, option: str, parse: Callable[[str], Any]) -> Any:
        """The value of an option; raises UsageError, naming the option, if it is not valid."""
        text = self.values[option]
        try:
            return parse(text)
        except (ValueError, KeyError) as error:
            raise UsageError(
                f"{self.path}: {option}: {text or 'nothing'} is not valid",
                f"correct this line, or give --options={NONE}",
            ) from error
