"""The names that layers have in the authors' PyTorch code, and the layers that have a bias there.

"The PyTorch code" is github.com/junyanz/pytorch-CycleGAN-and-pix2pix. There, a U-Net of n levels is
n nested blocks, and a discriminator is a list of layers.
"""

import re

import numpy as np

from pix2pix_jax.config.schema import Model
from pix2pix_jax.models.topology import DISCRIMINATORS, discriminator_layers, unet_layers

Tensors = dict[str, np.ndarray]  # the tensors of a state dict, by name
# Fields of our model that no option of the PyTorch code changes.
FIXED_FIELDS = {"generator": "unet", "leaky_slope": 0.2, "skip_slope": 0.0, "norm_epsilon": 1e-5}
# Our names of the PyTorch code's discriminators with n_layers of 1 to 5.
PATCH_GANS = ("patch16", "patch34", "patch70", "patch142", "image286")
PIXEL_GAN = "pixel"


def generator_names(depth: int) -> dict[str, str]:
    """The PyTorch code's names of the layers of a U-Net, by our names.

    Every level is a block. A block begins with a layer of the encoder, ends with the layer of the
    decoder that has the same size, and contains the block of the next level in between.

    Args:
      depth: the number of levels, 2 or more.
    """
    layers = unet_layers(channels=1, depth=depth)
    encoder, decoder = layers[:depth], layers[depth:]
    names = {}
    for level, (down, up) in enumerate(zip(encoder, reversed(decoder), strict=True), 1):
        # Each comment lists the modules of a block in their order. The number in a PyTorch name is
        # the position of a module in this list, counted from 0.
        if level == 1:  # convolution, inner block, activation, convolution
            names |= {down.name: "model.model.0", up.name: "model.model.3"}
        elif level == depth:  # activation, convolution, activation, convolution, norm
            block = block_name(level)
            names |= {
                down.name: f"{block}.1",
                up.name: f"{block}.3",
                up.norm_name: f"{block}.4",
            }
        else:  # activation, convolution, norm, inner block, activation, convolution, norm
            block = block_name(level)
            names |= {
                down.name: f"{block}.1",
                down.norm_name: f"{block}.2",
                up.name: f"{block}.5",
                up.norm_name: f"{block}.6",
            }
    return names


def block_name(level: int) -> str:
    """The PyTorch code's name of the block of a level, 2 or more."""
    return "model.model.1." + "model.3." * (level - 2) + "model"


def discriminator_names(name: str) -> dict[str, str]:
    """The PyTorch code's names of the layers of a discriminator, by our names.

    Args:
      name: a key of DISCRIMINATORS.
    """
    layers = discriminator_layers(
        DISCRIMINATORS[name], features=1, norm_kind="batch", bias_layers="paper"
    )
    root, index, names = "net" if name == PIXEL_GAN else "model", 0, {}
    for layer in layers:
        names[layer.name] = f"{root}.{index}"
        if layer.has_norm:
            index += 1
            names[layer.norm_name] = f"{root}.{index}"
        index += 2  # the activation is between this layer and the next convolution
    return names


def transposed_layers() -> set[str]:
    """The PyTorch code's names of the layers of U-Nets that are transposed convolutions."""
    names = {
        name: layer for depth in range(2, 17) for layer, name in generator_names(depth).items()
    }
    return {name for name, layer in names.items() if re.fullmatch(r"up\d+", layer)}


def torch_bias_layers(model: Model) -> str:
    """The value of model.bias with which both networks have the biases of the PyTorch code."""
    return "all" if model.norm == "instance" else "pytorch"


def has_torch_bias(layer: str, model: Model) -> bool:
    """Whether a layer with a bias in our network has a bias in the PyTorch code, too.

    Only layers of discriminators can differ.

    Args:
      layer: our name of the layer.
      model: the model of our config.
    """
    table = DISCRIMINATORS[model.discriminator]
    layers = discriminator_layers(table, 1, model.norm, torch_bias_layers(model))
    return {row.name: row.has_bias for row in layers}.get(layer, True)
