"""Describes the networks of a config: layers, shapes, parameters and receptive fields."""

import json
import textwrap
from dataclasses import asdict
from math import prod
from typing import Any

from pix2pix_jax.config.resolve import halvings, resolve
from pix2pix_jax.config.schema import Config, Data, Model
from pix2pix_jax.gan.networks import make_discriminator, make_generator
from pix2pix_jax.models.patchgan import Discriminator
from pix2pix_jax.models.topology import layer_shapes, receptive_field
from pix2pix_jax.models.unet import UNet


def describe(config: Config) -> dict[str, Any]:
    """Describes both networks of a config as plain data, without making their parameters.

    Args:
      config: the config of an experiment; this function resolves it.

    Returns:
      `layers`: the rows of `layer_rows` for both networks, each with the name of its `network`.
      `generator` and `discriminator`: name, input and output shape [h, w, c] and number of
      parameters; for the discriminator also the receptive field in pixels.
      `differences`: the fields that differ from the paper, with their values.

    Raises:
      UsageError: data.image_size does not fit these networks, or `resolve` finds fields that do not
        fit each other.
    """
    config = resolve(config)
    data = config.data
    discriminator_channels = data.target_channels
    if config.loss.conditional:
        discriminator_channels += data.input_channels
    networks = {
        "generator": (make_generator(config), data.input_channels),
        "discriminator": (make_discriminator(config), discriminator_channels),
    }
    summary: dict[str, Any] = {"layers": []}
    for name, (module, channels) in networks.items():
        rows = layer_rows(module, (*data.image_size, channels))
        summary["layers"] += [row | {"network": name} for row in rows]
        summary[name] = {
            "input_shape": [*data.image_size, channels],
            "output_shape": rows[-1]["output_shape"],
            "parameters": sum(row["parameters"] for row in rows),
        }
    summary["generator"]["name"] = config.model.generator
    summary["discriminator"]["name"] = config.model.discriminator
    summary["discriminator"]["receptive_field"] = summary["layers"][-1]["receptive_field"]
    summary["differences"] = differences(config)
    return summary


def differences(config: Config) -> dict[str, Any]:
    """The fields that differ from the paper at the same image size, with their values.

    The function compares the jitter, the networks, the losses and the optimizer.

    Args:
      config: a resolved config.
    """
    size, depth = config.data.image_size, config.model.depth
    paper_config = Config(data=Data(image_size=size), model=Model(depth=depth))
    ours, paper = asdict(config), asdict(resolve(paper_config))
    paper["model"]["depth"] = halvings(*size)
    names = {group: list(ours[group]) for group in ("model", "loss", "optimizer")}
    return {
        f"{group}.{name}": ours[group][name]
        for group, fields in ({"data": ["load_size", "flip"]} | names).items()
        for name in fields
        if ours[group][name] != paper[group][name]
    }


def layer_rows(module: UNet | Discriminator, shape: tuple[int, int, int]) -> list[dict[str, Any]]:
    """Describes every layer of a network.

    Args:
      module: either network.
      shape: the shape of one input image, (h, w, c).

    Returns:
      A row for each layer: name, kind, kernel [k, k, input channels, output channels], stride,
      norm, number of parameters of the layer and its norm, and output shape [h, w, c]. A row of the
      discriminator also has the receptive field in pixels, a row of the generator the dropout rate.
    """
    rows: list[dict[str, Any]] = []
    for layer, (inputs, output) in zip(
        module.layers, layer_shapes(module.layers, *shape), strict=True
    ):
        kernel = [layer.kernel, layer.kernel, inputs, layer.features]
        norm_parameters = 2 * layer.features if layer.has_norm and module.norm.affine else 0
        row = {
            "name": layer.name,
            "kernel": kernel,
            "norm": module.norm.kind if layer.has_norm else "none",
            "parameters": prod(kernel) + layer.has_bias * layer.features + norm_parameters,
            "output_shape": list(output),
            "kind": "transposed convolution" if layer.transposed else "convolution",
            "stride": layer.stride,
        }
        if isinstance(module, Discriminator):
            row["receptive_field"] = receptive_field(module.layers[: len(rows) + 1])
        else:
            row["dropout"] = module.dropout_rate if layer.has_dropout else 0.0
        rows.append(row)
    return rows


def to_json(summary: dict[str, Any]) -> str:
    """The summary of `describe` as JSON, for programs."""
    return json.dumps(summary, indent=2)


def to_text(summary: dict[str, Any]) -> str:
    """The summary of `describe` as text.

    The text has a drawing of the generator, a table of the discriminator, and the differences from
    the paper.
    """
    rows = summary["layers"]
    generator = [row for row in rows if row["network"] == "generator"]
    discriminator = [row for row in rows if row["network"] == "discriminator"]
    g, d = summary["generator"], summary["discriminator"]
    lines = [f"generator {g['name']}: {g['parameters']:,} parameters", ""]
    lines += draw_u_net(generator, g["input_shape"], skips=g["name"] == "unet")
    lines += [
        "",
        f"discriminator {d['name']}: {d['parameters']:,} parameters, receptive field "
        f"{d['receptive_field']}x{d['receptive_field']}, output {format_shape(d['output_shape'])}",
        "",
        f"  {'layer':8} {'kind':12} {'kernel':>8} {'stride':>6} {'norm':>8} {'output':>14} "
        f"{'parameters':>12} {'receptive field':>15}",
    ]
    for row in discriminator:
        kernel = f"{row['kernel'][0]}x{row['kernel'][1]}"
        lines.append(
            f"  {row['name']:8} {row['kind']:12} {kernel:>8} {row['stride']:>6} {row['norm']:>8} "
            f"{format_shape(row['output_shape']):>14} {row['parameters']:>12,} "
            f"{row['receptive_field']:>15}"
        )
    changes = ", ".join(f"{name}={value}" for name, value in summary["differences"].items())
    if changes:
        lines += ["", *textwrap.wrap(f"differs from the paper: {changes}", 96)]
    return "\n".join(lines)


def draw_u_net(rows: list[dict[str, Any]], image: list[int], skips: bool) -> list[str]:
    """Draws the encoder on the left and the decoder on the right, with one line for each level.

    Args:
      rows: the layers of the generator, as in `layer_rows`.
      image: shape of the input, [h, w, c].
      skips: whether there are skip connections.
    """
    depth = len(rows) // 2
    down, up = rows[:depth], rows[depth:][::-1]

    def format_row(row: dict[str, Any]) -> str:
        norm = "" if row["norm"] == "none" else row["norm"]
        shape = format_shape(row["output_shape"])
        return f"{row['name']:6} {shape:>12} {row['parameters']:>10,} {norm:8}"

    def format_decoder_row(row: dict[str, Any]) -> str:
        return format_row(row).rstrip() + (" dropout" if row["dropout"] else "")

    gap = " " * 12
    skip = "─── skip ──▶" if skips else gap
    kinds = [f"{row['kind']}s 4x4, stride 2" for row in (down[0], up[0])]
    lines = [f"  {kinds[0]:39} {gap}  {kinds[1]}"]
    lines.append(
        f"  {'input':6} {format_shape(image):>12} {'':19} {gap}  {format_row(up[0]).rstrip()}  tanh"
    )
    for level in range(depth - 1):
        lines.append(f"  {format_row(down[level])} {skip}  {format_decoder_row(up[level + 1])}")
    return [*lines, f"  {format_row(down[-1])} ─────┘"]


def format_shape(shape: list[int]) -> str:
    """Formats a shape, such as 256x256x3."""
    return "x".join(map(str, shape))


def operations(summary: dict[str, Any]) -> tuple[int, int]:
    """The floating-point operations of all convolutions in a training step on one image.

    The unit of cost is a forward pass. A backward pass costs 2: 1 for the gradient with respect to
    the parameters, and 1 for the gradient with respect to the input. The generator costs 3, a
    forward and a backward pass. The discriminator costs 8: 3 for the real image, 3 for the
    generated image, and 2 for the generator's loss, which needs only a forward pass and the
    gradient with respect to the input.

    Args:
      summary: the result of `describe`.

    Returns:
      The operations of the generator, and the operations of the discriminator.
    """
    forward = {"generator": 0, "discriminator": 0}
    for row in summary["layers"]:
        height, width, _ = row["output_shape"]
        # A transposed convolution runs over its input, which has a quarter of the output's pixels.
        num_pixels = height * width // (4 if row["kind"].startswith("transposed") else 1)
        forward[row["network"]] += 2 * prod(row["kernel"]) * num_pixels
    return 3 * forward["generator"], 8 * forward["discriminator"]
