"""What a config builds: layers, shapes, parameters and receptive fields, read off the modules."""

import json
import textwrap
from dataclasses import asdict
from math import prod
from typing import Any

import jax
import jax.numpy as jnp

from pix2pix_jax.config.resolve import halvings, resolve
from pix2pix_jax.config.schema import Config, Data, Model
from pix2pix_jax.gan.networks import make_discriminator, make_generator
from pix2pix_jax.models.patchgan import Discriminator
from pix2pix_jax.models.topology import receptive_field
from pix2pix_jax.models.unet import UNet


def describe(config: Config) -> dict[str, Any]:
    """Both networks of a config as plain data; nothing is computed, only shapes are traced.

    Raises:
      UsageError: no such networks can be built at this image size.
    """
    config = resolve(config)
    data = config.data
    shown = data.target_channels + (data.input_channels if config.loss.conditional else 0)
    networks = {
        "generator": (make_generator(config), data.input_channels),
        "discriminator": (make_discriminator(config), shown),
    }
    summary: dict[str, Any] = {"layers": []}
    for name, (module, channels) in networks.items():
        layers = [
            row | {"network": name} for row in layer_rows(module, (*data.image_size, channels))
        ]
        summary["layers"] += layers
        summary[name] = {
            "input_shape": [*data.image_size, channels],
            "output_shape": layers[-1]["output_shape"],
            "parameters": sum(row["parameters"] for row in layers),
        }
    summary["generator"]["name"] = config.model.generator
    summary["discriminator"]["name"] = config.model.discriminator
    summary["discriminator"]["receptive_field"] = summary["layers"][-1]["receptive_field"]
    summary["differences"] = differences(config)
    return summary


def differences(config: Config) -> dict[str, Any]:
    """Fields of a resolved config's jitter, networks, loss and optimizer unlike the paper's."""
    size, depth = config.data.image_size, config.model.depth
    like = Config(data=Data(image_size=size), model=Model(depth=depth))
    found, paper = asdict(config), asdict(resolve(like))
    paper["model"]["depth"] = halvings(*size)
    names = {group: list(found[group]) for group in ("model", "loss", "optimizer")}
    return {
        f"{group}.{name}": found[group][name]
        for group, fields in ({"data": ["load_size", "flip"]} | names).items()
        for name in fields
        if found[group][name] != paper[group][name]
    }


def layer_rows(module: UNet | Discriminator, shape: tuple[int, int, int]) -> list[dict[str, Any]]:
    """A row for every convolution with the norm that follows it.

    Args:
      module: either network.
      shape: of one image that it takes, (h, w, c).
    """

    def run() -> tuple[Any, dict]:
        image = jnp.zeros((1, *shape))
        return module.init_with_output(
            jax.random.key(0), image, capture_intermediates=True, mutable=True
        )

    variables = jax.eval_shape(run)[1]
    params, outputs = variables["params"], variables["intermediates"]
    rows: list[dict[str, Any]] = []
    for name in sorted((name for name in params if "kernel" in params[name]), key=_place):
        [output] = outputs[name]["__call__"]
        norm = params.get(f"{name}_norm", {})
        row = {
            "name": name,
            "kernel": list(params[name]["kernel"].shape),
            "norm": module.norm if norm else "none",
            "parameters": sum(leaf.size for leaf in jax.tree.leaves([params[name], norm])),
            "output_shape": list(output.shape[1:]),
        }
        if isinstance(module, Discriminator):
            row["kind"], place = "convolution", len(rows) + 1
            row["stride"] = module.table[place - 1].stride
            row["receptive_field"] = receptive_field(module.table[:place])
        else:
            row["kind"] = "convolution" if name.startswith("down") else "transposed convolution"
            row["stride"] = 2
            noisy = name in [f"up{level}" for level in module.noisy_levels]
            row["dropout"] = module.dropout if noisy else 0.0
        rows.append(row)
    return rows


def _place(name: str) -> tuple[str, int]:
    """Orders down1, down2, ..., down10, up1, ... and conv1, ..., logits as data flows."""
    kind = name.rstrip("0123456789")
    return kind, int(name[len(kind) :] or 0)


def to_json(summary: dict[str, Any]) -> str:
    """For programs."""
    return json.dumps(summary, indent=2)


def to_text(summary: dict[str, Any]) -> str:
    """The U-Net drawn as its two arms, then the discriminator's table."""
    rows = summary["layers"]
    generator = [row for row in rows if row["network"] == "generator"]
    discriminator = [row for row in rows if row["network"] == "discriminator"]
    g, d = summary["generator"], summary["discriminator"]
    lines = [f"generator {g['name']}: {g['parameters']:,} parameters", ""]
    lines += u_shape(generator, g["input_shape"], skips=g["name"] == "unet")
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
    others = ", ".join(f"{name} {value}" for name, value in summary["differences"].items())
    if others:
        lines += ["", *textwrap.wrap(f"other than in the paper: {others}", 96)]
    return "\n".join(lines)


def u_shape(rows: list[dict[str, Any]], image: list[int], skips: bool) -> list[str]:
    """Encoder left, decoder right, a level a line, joined where a skip connection is."""
    depth = len(rows) // 2
    down, up = rows[:depth], rows[depth:][::-1]

    def text(row: dict[str, Any]) -> str:
        norm = "" if row["norm"] == "none" else row["norm"]
        shape = format_shape(row["output_shape"])
        return f"{row['name']:6} {shape:>12} {row['parameters']:>10,} {norm:8}"

    def last(row: dict[str, Any]) -> str:
        return text(row).rstrip() + (" dropout" if row["dropout"] else "")

    gap, line = " " * 12, "─── skip ──▶" if skips else " " * 12
    kinds = [f"{row['kind']}s 4x4, stride 2" for row in (down[0], up[0])]
    lines = [f"  {kinds[0]:39} {gap}  {kinds[1]}"]
    lines.append(
        f"  {'input':6} {format_shape(image):>12} {'':19} {gap}  {text(up[0]).rstrip()}  tanh"
    )
    for level in range(depth - 1):
        lines.append(f"  {text(down[level])} {line}  {last(up[level + 1])}")
    return [*lines, f"  {text(down[-1])} ─────┘"]


def format_shape(shape: list[int]) -> str:
    """A shape as 256x256x3."""
    return "x".join(map(str, shape))


def operations(summary: dict[str, Any]) -> tuple[int, int]:
    """Floating-point operations of generator and discriminator in a training step on one image.

    A pass backward takes twice as many as one forward. The discriminator sees a real and a
    generated image to learn from, and one more through which only the image learns.

    Args:
      summary: of `describe`.
    """
    forward = {"generator": 0, "discriminator": 0}
    for row in summary["layers"]:
        height, width, _ = row["output_shape"]
        # A transposed convolution goes over its input, which has a quarter of the places.
        places = height * width // (4 if row["kind"].startswith("transposed") else 1)
        forward[row["network"]] += 2 * prod(row["kernel"]) * places
    return 3 * forward["generator"], 8 * forward["discriminator"]
