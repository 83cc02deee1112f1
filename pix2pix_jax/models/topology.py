"""The layers of both networks as tables, in the order in which data flows through them.

All other code reads the layers from these tables: the Flax modules, `describe`, the ONNX graph and
the names of PyTorch's tensors. To add a discriminator, add a row to DISCRIMINATORS.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple


class Layer(NamedTuple):
    """A convolution, with the norm and the dropout that follow it."""

    name: str  # the name of the layer and of its parameters
    features: int  # the channels of its output
    kernel: int = 4
    stride: int = 2
    padding: tuple[int, int] = (1, 1)  # zeros before and after, on both axes
    transposed: bool = False
    has_bias: bool = False
    has_norm: bool = False
    has_dropout: bool = False
    skip: str | None = None  # the encoder layer at which the skip connection starts

    @property
    def norm_name(self) -> str:
        """The name of the parameters of the norm."""
        return f"{self.name}_norm"


class PatchLayer(NamedTuple):
    """A convolution of a discriminator, before the number of features is known."""

    width: int  # output channels / model.discriminator_features; 0 for the layer of the logits
    kernel: int
    stride: int
    padding: tuple[int, int]


def _patch_gan(*widths_and_strides: tuple[int, int]) -> tuple[PatchLayer, ...]:
    """The layers of a PatchGAN: 4x4 convolutions with one zero on each side (appendix 6.1.2)."""
    return tuple(PatchLayer(width, 4, stride, (1, 1)) for width, stride in widths_and_strides)


# Every PatchGAN has one more layer of stride 2 than the PatchGAN before it. The paper has pixel,
# patch16, patch70 and image286; patch34 and patch142 fill the gaps. The arguments of `_patch_gan`
# are the width and the stride of each layer.
DISCRIMINATORS: dict[str, tuple[PatchLayer, ...]] = {
    "pixel": tuple(PatchLayer(width, 1, 1, (0, 0)) for width in (1, 2, 0)),
    "patch16": _patch_gan((1, 2), (2, 1), (0, 1)),
    "patch34": _patch_gan((1, 2), (2, 2), (4, 1), (0, 1)),
    "patch70": _patch_gan((1, 2), (2, 2), (4, 2), (8, 1), (0, 1)),
    "patch142": _patch_gan((1, 2), (2, 2), (4, 2), (8, 2), (8, 1), (0, 1)),
    "image286": _patch_gan((1, 2), (2, 2), (4, 2), (8, 2), (8, 2), (8, 1), (0, 1)),
    # The discriminator of the Keras tutorial, with the "same" padding of TensorFlow. The tutorial
    # calls it a 70x70 PatchGAN, but its receptive field is 142 pixels.
    "tutorial": (
        *_patch_gan((1, 2), (2, 2), (4, 2), (8, 2)),
        PatchLayer(8, 4, 1, (1, 2)),
        PatchLayer(0, 4, 1, (1, 2)),
    ),
}


def discriminator_layers(
    table: Sequence[PatchLayer], features: int, norm_kind: str, bias_layers: str
) -> tuple[Layer, ...]:
    """The layers of a discriminator: conv1, conv2, ..., logits.

    No norm follows the first layer or the logits (appendix 6.1.2).

    Args:
      table: a value of DISCRIMINATORS.
      features: channels of a layer of width 1.
      norm_kind: `model.norm`; "none" means that no norm follows any layer.
      bias_layers: `model.bias`, the layers that have a bias. "paper": the first layer and the
        logits; "pytorch": these two, but not the logits of the pixel discriminator;
        "unnormalized": the layers that no norm follows; "last": the logits; "all": all layers.
    """
    layers = []
    for number, row in enumerate(table, 1):
        is_first, is_logits = number == 1, row.width == 0
        has_norm = number > 1 and not is_logits and norm_kind != "none"
        layers.append(
            Layer(
                name="logits" if is_logits else f"conv{number}",
                features=1 if is_logits else row.width * features,
                kernel=row.kernel,
                stride=row.stride,
                padding=row.padding,
                has_bias={
                    "paper": is_first or is_logits,
                    "pytorch": is_first or (is_logits and row.kernel > 1),
                    "unnormalized": not has_norm,
                    "last": is_logits,
                    "all": True,
                }[bias_layers],
                has_norm=has_norm,
            )
        )
    return tuple(layers)


def unet_layers(
    channels: int,
    depth: int,
    features: int = 64,
    *,
    skips: bool = True,
    norm_kind: str = "batch",
    bottleneck_norm: bool = False,
    all_biases: bool = False,
    dropout_blocks: str = "first_three",
) -> tuple[Layer, ...]:
    """The layers of a U-Net: down1, ..., down{depth}, up1, ..., up{depth} (appendix 6.1.1).

    At depth 8 the encoder is C64-C128-C256-C512-C512-C512-C512-C512 and the decoder
    CD512-CD512-CD512-C512-C256-C128-C64, then the image. No norm follows the first layer or the
    last layer. A norm follows the bottleneck, down{depth}, only if `bottleneck_norm` is true.

    Args:
      channels: the channels of the output image.
      depth: the number of encoder layers; each of them halves height and width.
      features: channels of down1; deeper layers have 2, 4 and 8 times as many.
      skips: whether the decoder has skip connections from the encoder; without them the network is
        an encoder-decoder.
      norm_kind: `model.norm`; "none" means that no norm follows any layer.
      bottleneck_norm: whether a norm follows down{depth}.
      all_biases: whether every layer has a bias; the last layer always has one.
      dropout_blocks: which decoder layers have dropout: "first_three", or "middle" for the same
        layers as in the authors' PyTorch code.
    """
    widths = [features * min(2**level, 8) for level in range(depth)]
    dropout_levels = _dropout_levels(depth, dropout_blocks)
    has_norms = norm_kind != "none"
    encoder = [
        Layer(
            name=f"down{level}",
            features=width,
            has_bias=all_biases,
            has_norm=has_norms and (1 < level < depth or (level == depth > 1 and bottleneck_norm)),
        )
        for level, width in enumerate(widths, 1)
    ]
    decoder = [
        Layer(
            name=f"up{level}",
            features=channels if level == depth else widths[depth - level - 1],
            transposed=True,
            has_bias=all_biases or level == depth,
            has_norm=has_norms and level < depth,
            has_dropout=level in dropout_levels,
            skip=f"down{depth - level + 1}" if skips and level > 1 else None,
        )
        for level in range(1, depth + 1)
    ]
    return (*encoder, *decoder)


def _dropout_levels(depth: int, dropout_blocks: str) -> range:
    """The numbers of the decoder layers that have dropout."""
    if dropout_blocks == "middle":
        # The PyTorch code has dropout on the levels between the innermost and the four outermost.
        return range(2, max(2, depth - 3))
    return range(1, min(4, depth))  # never the last layer, which makes the image


def layer_shapes(
    layers: Sequence[Layer], height: int, width: int, channels: int
) -> Iterator[tuple[int, tuple[int, int, int]]]:
    """Yields, for every layer, the channels of its input and the shape (h, w, c) of its output.

    Args:
      layers: the layers of either network.
      height, width, channels: the shape of the input image.
    """
    features = {layer.name: layer.features for layer in layers}
    for layer in layers:
        inputs = channels + (features[layer.skip] if layer.skip else 0)
        if layer.transposed:
            height, width = height * layer.stride, width * layer.stride
        else:
            height, width = output_grid([layer], height, width)
        channels = layer.features
        yield inputs, (height, width, channels)


def receptive_field(layers: Sequence[Layer | PatchLayer]) -> int:
    """The side, in pixels, of the square of the input that one output of the last layer sees.

    Args:
      layers: the layers of a discriminator, or the first few of them.
    """
    field = 1
    for layer in reversed(layers):
        field = (field - 1) * layer.stride + layer.kernel
    return field


def output_grid(layers: Sequence[Layer | PatchLayer], height: int, width: int) -> tuple[int, int]:
    """Height and width of the last layer's output; 0 or less if the image is too small."""
    for layer in layers:
        height, width = (
            (side + sum(layer.padding) - layer.kernel) // layer.stride + 1
            for side in (height, width)
        )
    return height, width


def is_large_enough(layers: Sequence[Layer | PatchLayer], height: int, width: int) -> bool:
    """Whether a discriminator can score an image of this size.

    The output of the last layer must have at least one pixel. The outputs of the layers between the
    first and the last must have at least two pixels, because a norm of a single pixel gives only
    zeros.
    """
    grids = [output_grid(layers[: n + 1], height, width) for n in range(len(layers))]
    return min(grids[-1]) >= 1 and all(max(grid) > 1 for grid in grids[1:-1])
