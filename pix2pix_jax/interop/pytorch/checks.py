"""Checks whether the authors' PyTorch code can compute the networks of a config."""

from pix2pix_jax.config.resolve import generator_depth
from pix2pix_jax.config.schema import Config
from pix2pix_jax.errors import UsageError
from pix2pix_jax.gan.networks import make_generator
from pix2pix_jax.interop.pytorch.names import (
    FIXED_FIELDS,
    PATCH_GANS,
    PIXEL_GAN,
    torch_bias_layers,
)


def check_torch_generator(config: Config) -> None:
    """Raises UsageError, naming the field, if the PyTorch code cannot compute a generator.

    Args:
      config: a resolved config.
    """
    model, expected = config.model, dict(FIXED_FIELDS)
    # Without `all`, only the last convolution of a U-Net has a bias, as with `pytorch`.
    if (model.bias == "all") != (model.norm == "instance"):
        expected["bias"] = torch_bias_layers(model)
    if model.norm != "none":
        expected["norm_affine"] = model.norm == "batch"
    for name, value in expected.items():
        if getattr(model, name) != value:
            raise UsageError(
                f"model.{name}: is {getattr(model, name)}, but the PyTorch code supports only "
                f"{value}",
                "give another --format",
            )
    if make_generator(config).bottleneck_norm:
        raise UsageError(
            "model.bottleneck_norm: the generator has a norm after its last encoder layer, but "
            "the PyTorch code has none there",
            "give another --format",
        )
    depth = generator_depth(config)
    if depth < 5:
        raise UsageError(
            f"model.depth: is {depth}, but the PyTorch code needs at least 5",
            "give another --format",
        )


def check_torch_discriminator(config: Config) -> None:
    """Raises UsageError if the PyTorch code does not have a config's discriminator."""
    model = config.model
    if model.discriminator not in (PIXEL_GAN, *PATCH_GANS):
        raise UsageError(
            f"model.discriminator: the PyTorch code does not have {model.discriminator}",
            "leave out --discriminator",
        )
    if model.bias == "last":
        raise UsageError(
            "model.bias: is last, so conv1 has no bias, but conv1 has a bias in the PyTorch code",
            "leave out --discriminator",
        )
