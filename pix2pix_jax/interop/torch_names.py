"""Our parameters by the names of github.com/junyanz/pytorch-CycleGAN-and-pix2pix, both ways.

There a U-Net of n levels is n blocks, each inside the one before; a discriminator is a list of
layers. Kernels are [out, in, h, w], those of transposed convolutions [in, out, h, w].
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from pix2pix_jax.config.presets import PRESETS
from pix2pix_jax.config.resolve import generator_depth
from pix2pix_jax.config.schema import Config, Model
from pix2pix_jax.errors import UsageError
from pix2pix_jax.gan.networks import make_generator
from pix2pix_jax.models.topology import DISCRIMINATORS, discriminator_layers, unet_layers

State = dict[str, np.ndarray]
STATISTICS = ("running_mean", "running_var", "num_batches_tracked")
# Of that code's networks, whatever their tensors.
FIXED = {"generator": "unet", "leaky_slope": 0.2, "skip_slope": 0.0, "norm_epsilon": 1e-5}
PATCHES = ("patch16", "patch34", "patch70", "patch142", "image286")  # n_layers 1 to 5


def generator_names(depth: int) -> dict[str, str]:
    """The PyTorch code's names for our layers, for a U-Net of 2 levels or more.

    Every level is a block: it begins with the encoder's layer and ends with the decoder's layer of
    the same size, and holds the next deeper block between them.
    """
    layers = unet_layers(channels=1, depth=depth)
    encoder, decoder = layers[:depth], layers[depth:]
    names = {}
    for level, (down, up) in enumerate(zip(encoder, reversed(decoder), strict=True), 1):
        if level == 1:  # convolution, inner block, activation, convolution
            names |= {down.name: "model.model.0", up.name: "model.model.3"}
        elif level == depth:  # activation, convolution, activation, convolution, norm
            block = _block(level)
            names |= {
                down.name: f"{block}.1",
                up.name: f"{block}.3",
                f"{up.name}_norm": f"{block}.4",
            }
        else:  # activation, convolution, norm, inner block, activation, convolution, norm
            block = _block(level)
            names |= {
                down.name: f"{block}.1",
                f"{down.name}_norm": f"{block}.2",
                up.name: f"{block}.5",
                f"{up.name}_norm": f"{block}.6",
            }
    return names


def _block(level: int) -> str:
    """The PyTorch code's name for the block of a level, from 2."""
    return "model.model.1." + "model.3." * (level - 2) + "model"


def discriminator_names(name: str) -> dict[str, str]:
    """The PyTorch code's names for our layers: their places in a list of modules."""
    layers = discriminator_layers(DISCRIMINATORS[name], features=1, norm="batch", bias="paper")
    root, place, names = "net" if name == "pixel" else "model", 0, {}
    for layer in layers:
        names[layer.name] = f"{root}.{place}"
        if layer.norm:
            place += 1
            names[f"{layer.name}_norm"] = f"{root}.{place}"
        place += 2  # past the activation, to the next convolution
    return names


def generator_fields(state: State) -> dict[str, dict[str, Any]]:
    """What the tensors of a U-Net say of its config, as `config.PRESETS` has it.

    Raises:
      UsageError: it is no U-Net, with what it is.
    """
    depth = 1
    while f"{_block(depth + 1)}.1.weight" in state:
        depth += 1
    names = generator_names(depth)
    first, last = (f"{names[layer]}.weight" for layer in ("down1", f"up{depth}"))
    kernels = all(name in state and state[name].ndim == 4 for name in (first, last))
    if not 2 <= depth <= 16 or not kernels or 0 in state[first].shape:
        held = _describe_tensors(state)
        raise UsageError(f"holds {held}, not a whole U-Net as that code saves it")
    channels = state[first].shape[1], state[last].shape[1]
    normed, biased = f"{names['up1_norm']}.weight" in state, f"{names['down1']}.bias" in state
    norm = "batch" if normed else "instance" if biased else "none"
    return {
        "data": {"input_channels": channels[0], "target_channels": channels[1]},
        "model": PRESETS["pytorch"]["model"]
        | FIXED
        | {
            "depth": depth,
            "features": state[first].shape[0],
            "norm": norm,
            "norm_affine": normed,
            "bias": "all" if biased else "paper",
        },
    }


def discriminator_fields(state: State, config: Config) -> dict[str, dict[str, Any]]:
    """The same of a discriminator, beside the generator of a config.

    Raises:
      UsageError: it is none of ours, or judges other images than those of the generator.
    """
    if "net.0.weight" in state:
        name, first = "pixel", "net.0.weight"
    else:
        count = sum(value.ndim == 4 for value in state.values()) - 1
        first = "model.0.weight"
        if first not in state or f"model.{3 * count - 1}.weight" not in state or count < 1:
            held = _describe_tensors(state)
            raise UsageError(f"holds {held}, not a discriminator as that code saves it")
        if not 2 <= count <= 6:
            raise UsageError(f"is of n_layers {count - 1}; 1 to 5 are {', '.join(PATCHES)}")
        name = PATCHES[count - 2]
    if state[first].ndim != 4 or 0 in state[first].shape:
        raise UsageError(f"has {first} as {state[first].shape}, which is no kernel")
    features, seen = state[first].shape[:2]
    target, source = config.data.target_channels, config.data.input_channels
    if seen not in (target, target + source):
        raise UsageError(
            f"its discriminator sees {seen} channels; with this generator it would see {target}, "
            f"or, with the input, {target + source}"
        )
    return {
        "model": {"discriminator": name, "discriminator_features": features},
        "loss": {"conditional": seen == target + source},
    }


def _describe_tensors(state: State) -> str:
    """What a state dict seems to hold, for an error that refuses it."""
    if any(".conv_block." in name for name in state):
        return "a ResNet generator, of CycleGAN"
    if any(name.startswith("model.model.") for name in state):
        return "blocks of a U-Net"
    if "model.0.weight" in state or "net.0.weight" in state:
        return "a discriminator"
    return f"{len(state)} tensors ({', '.join(state)[:60]} ...)"


def strip_wrapper_names(state: State) -> State:
    """Removes the prefix "module." that DataParallel puts before every name."""
    return {name.removeprefix("module."): value for name, value in state.items()}


def from_torch(state: State, names: dict[str, str], template: dict, model: Model) -> dict:
    """Our parameters from theirs; a bias for which they have no place is zero.

    Args:
      state: theirs, which no one but this may need.
      names: theirs, of our layers.
      template: shapes of ours.
      model: of ours.

    Raises:
      UsageError: a tensor is missing, of another shape, or left over.
    """
    left, params = dict(state), {}
    for layer, name, value in _leaves(template):
        if layer not in names:
            raise UsageError(f"has no {layer}; leave out --config.model.bottleneck_norm")
        place = f"{names[layer]}.{_their_name(layer, name)}"
        if name == "bias" and not _has_bias(layer, names[layer], model) and place not in left:
            params.setdefault(layer, {})[name] = np.zeros(value.shape, np.float32)
            continue
        if place not in left:
            raise UsageError(f"lacks {place}")
        found = np.asarray(left.pop(place), np.float32)
        if name == "kernel" and found.ndim == 4:
            found = found.transpose(_axes(layer, back=True))
        if found.shape != value.shape:
            raise UsageError(f"has {place} as {found.shape}, where {value.shape} would fit")
        params.setdefault(layer, {})[name] = np.ascontiguousarray(found)
    over = [name for name in left if name.rpartition(".")[2] not in STATISTICS]
    if over:
        raise UsageError(f"has {over[0]}, for which there is no place here")
    return params


def to_torch(params: dict, names: dict[str, str], model: Model) -> State:
    """Their parameters from ours, with the running averages of a batch norm that never ran.

    Raises:
      UsageError: there is a bias for which they have no place, and it is not zero.
    """
    state = {}
    for layer, name, value in _leaves(params):
        value = np.asarray(value, np.float32)
        if name == "bias" and not _has_bias(layer, names[layer], model):
            if value.any():
                raise UsageError(
                    f"has a bias in {layer}, for which the PyTorch code has no place; give another "
                    "--format, or leave this network out"
                )
            continue
        if name == "kernel":
            value = value.transpose(_axes(layer, back=False))
        state[f"{names[layer]}.{_their_name(layer, name)}"] = np.ascontiguousarray(value)
        if name == "scale" and model.norm == "batch":
            state |= {
                f"{names[layer]}.running_mean": np.zeros_like(value),
                f"{names[layer]}.running_var": np.ones_like(value),
                f"{names[layer]}.num_batches_tracked": np.zeros((), np.int64),
            }
    return state


def check_theirs(config: Config) -> None:
    """Raises UsageError, naming the field, where that code cannot compute what a run does."""
    model, wanted = config.model, dict(FIXED)
    wanted |= {} if model.norm == "none" else {"norm_affine": model.norm == "batch"}
    wanted |= {"bias": "all" if model.norm == "instance" else "paper"}
    for name, value in wanted.items():
        if getattr(model, name) != value:
            raise UsageError(
                f"model.{name}: is {getattr(model, name)}, and {value} in the PyTorch code, which "
                "could not compute the same; give another --format"
            )
    if make_generator(config).bottleneck_norm:
        raise UsageError(
            f"model.bottleneck_norm: is {model.bottleneck_norm}, and False in the PyTorch code"
        )
    depth = generator_depth(config)
    if depth < 5:
        raise UsageError(f"model.depth: is {depth}, and 5 or more in the PyTorch code")


def _leaves(params: dict) -> Iterator[tuple[str, str, Any]]:
    for layer, leaves in params.items():
        for name, value in leaves.items():
            yield layer, name, value


def _has_bias(layer: str, name: str, model: Model) -> bool:
    """Whether theirs has one where ours has."""
    if model.norm == "instance" or layer.endswith("_norm"):
        return True
    return name != "net.5" and (layer == "conv1" or not layer.startswith("conv"))


def _their_name(layer: str, name: str) -> str:
    return "bias" if name == "bias" else "weight"


def _axes(layer: str, back: bool) -> tuple[int, int, int, int]:
    """From [h, w, in, out] to theirs, or back."""
    if layer.startswith("up"):
        return 2, 3, 0, 1
    return (2, 3, 1, 0) if back else (3, 2, 0, 1)
