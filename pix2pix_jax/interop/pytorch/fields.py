"""Finds the config of a network of the authors' PyTorch code from its tensors' names and shapes."""

from typing import Any

from pix2pix_jax.config.presets import PRESETS
from pix2pix_jax.config.schema import Config
from pix2pix_jax.errors import UsageError
from pix2pix_jax.interop.foreign_networks import describe_network
from pix2pix_jax.interop.pytorch.names import (
    FIXED_FIELDS,
    PATCH_GANS,
    PIXEL_GAN,
    Tensors,
    block_name,
    generator_names,
    torch_bias_layers,
)

Fields = dict[str, dict[str, Any]]  # values of a config, by group and field


def generator_fields_from_tensors(tensors: Tensors) -> Fields:
    """The fields of a config that the tensors of a generator determine.

    Raises:
      UsageError: the tensors do not form a U-Net; the message says what they seem to be.
    """
    depth = 1
    while f"{block_name(depth + 1)}.1.weight" in tensors:
        depth += 1
    names = generator_names(depth)
    first, last = (f"{names[layer]}.weight" for layer in ("down1", f"up{depth}"))
    has_kernels = all(name in tensors and tensors[name].ndim == 4 for name in (first, last))
    if not 2 <= depth <= 16 or not has_kernels or 0 in tensors[first].shape:
        raise UsageError(*describe_network({"": tensors}, "generator"))
    norm, has_bias = names["up1_norm"], f"{names['down1']}.bias" in tensors
    kind, is_affine = _find_norm(tensors, norm, has_bias)
    return {
        "data": {
            "input_channels": tensors[first].shape[1],
            "target_channels": tensors[last].shape[1],
        },
        "model": PRESETS["pytorch"]["model"]
        | FIXED_FIELDS
        | {
            "depth": depth,
            "features": tensors[first].shape[0],
            "norm": kind,
            "norm_affine": is_affine,
            "bias": "all" if has_bias else "pytorch",
        },
    }


def _find_norm(tensors: Tensors, norm: str, has_bias: bool) -> tuple[str, bool]:
    """The values of model.norm and model.norm_affine that the norms of a generator have.

    In the PyTorch code, convolutions have biases with instance norms only. Batch norms keep running
    averages; instance norms kept them before September 2018. Other programs have biases beside
    batch norms, too.

    Args:
      tensors: the tensors of the generator.
      norm: the name of a norm in the file.
      has_bias: whether the convolutions have biases.
    """
    has_scale, has_averages = f"{norm}.weight" in tensors, f"{norm}.running_mean" in tensors
    if has_bias:
        return "batch" if has_scale and has_averages else "instance", has_scale
    if has_scale or has_averages:
        return "batch", has_scale
    return "none", True


def _describe_norms(norm: str, is_affine: bool) -> str:
    """The norms of a network in words, such as "batch norms with scales" or "no norms"."""
    if norm == "none":
        return "no norms"
    return f"{norm} norms {'with' if is_affine else 'without'} scales"


def discriminator_fields_from_tensors(tensors: Tensors, config: Config) -> Fields:
    """The fields of a config that the tensors of a discriminator determine.

    Args:
      tensors: the tensors of the discriminator.
      config: the config of the generator.

    Raises:
      UsageError: the tensors do not form a discriminator that this project has, or the
        discriminator has other norms than the generator, or needs another number of channels.
    """
    if "net.0.weight" in tensors:
        name, root, first = PIXEL_GAN, "net", "net.0.weight"
    else:
        n_layers = sum(value.ndim == 4 for value in tensors.values()) - 2
        first, last = "model.0.weight", f"model.{3 * n_layers + 2}.weight"
        if first not in tensors or last not in tensors or n_layers < 0:
            raise UsageError(*describe_network({"": tensors}, "discriminator"))
        if not 1 <= n_layers <= len(PATCH_GANS):
            raise UsageError(
                f"is a discriminator with n_layers {n_layers}",
                f"give a discriminator with n_layers 1 to {len(PATCH_GANS)}, or leave out "
                "--discriminator",
            )
        name, root = PATCH_GANS[n_layers - 1], "model"
    if tensors[first].ndim != 4 or 0 in tensors[first].shape:
        raise UsageError(
            f"has {first} of shape {tensors[first].shape}, but a kernel needs four axes, each "
            "longer than 0",
            "give the latest_net_D.pth of a pix2pix model",
        )
    features, channels = tensors[first].shape[:2]
    data, model = config.data, config.model
    target, source = data.target_channels, data.input_channels
    if channels not in (target, target + source):
        raise UsageError(
            f"contains a discriminator for {channels} channels, but a discriminator for this "
            f"generator needs {target} channels (target) or {target + source} channels (input and "
            "target)",
            "give the generator and the discriminator of the same run",
        )
    # The second convolution and its norm are the modules 2 and 3.
    norm, is_affine = _find_norm(tensors, f"{root}.3", has_bias=f"{root}.2.bias" in tensors)
    if (norm, is_affine) != (model.norm, model.norm_affine):
        raise UsageError(
            f"has {_describe_norms(norm, is_affine)}, but the generator has "
            f"{_describe_norms(model.norm, model.norm_affine)}",
            "give the generator and the discriminator of the same run",
        )
    return {
        "model": {
            "discriminator": name,
            "discriminator_features": features,
            "bias": torch_bias_layers(model),
        },
        "loss": {"conditional": channels == target + source},
    }
