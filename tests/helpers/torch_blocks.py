"""Networks whose tensors have the names of pytorch-CycleGAN-and-pix2pix.

This file shares only the names with that project. A U-Net consists of nested blocks.
"""

import torch
from torch import nn

NORMS = {
    "batch": lambda channels: nn.BatchNorm2d(channels),
    "batch_without_scales": lambda channels: nn.BatchNorm2d(channels, affine=False),
    "instance": lambda channels: nn.InstanceNorm2d(channels),
    "instance_with_scales": lambda channels: nn.InstanceNorm2d(channels, affine=True),
    "instance_with_averages": lambda channels: nn.InstanceNorm2d(
        channels, track_running_stats=True
    ),
    "none": lambda channels: nn.Identity(),
}


class Block(nn.Module):
    """One level of a U-Net: halves the image, runs the inner block, and doubles the image.

    Every block except the outermost block also returns its input, as the skip connection.
    """

    def __init__(self, outer_width, inner_width, channels, inner_block, norm, level):
        super().__init__()
        bias = norm.startswith("instance")
        halve = nn.Conv2d(channels or outer_width, inner_width, 4, 2, 1, bias=bias)
        self.outermost = level == "outermost"
        decoder_width = inner_width if level == "innermost" else 2 * inner_width
        double = nn.ConvTranspose2d(
            decoder_width, outer_width, 4, 2, 1, bias=bias or self.outermost
        )
        if self.outermost:
            layers = [halve, inner_block, nn.ReLU(), double, nn.Tanh()]
        elif level == "innermost":
            layers = [nn.LeakyReLU(0.2), halve, nn.ReLU(), double, NORMS[norm](outer_width)]
        else:
            layers = [nn.LeakyReLU(0.2), halve, NORMS[norm](inner_width), inner_block]
            layers += [nn.ReLU(), double, NORMS[norm](outer_width)]
        self.model = nn.Sequential(*layers)

    def forward(self, x):
        y = self.model(x)
        return y if self.outermost else torch.cat([x, y], 1)


class Generator(nn.Module):
    """A U-Net: `unet_256` has depth 8, `unet_128` has depth 7."""

    def __init__(self, inputs=3, outputs=3, depth=8, features=64, norm="batch"):
        super().__init__()
        widths = [features * min(2**n, 8) for n in range(depth)]
        block = Block(widths[-2], widths[-1], None, None, norm, "innermost")
        for n in range(depth - 2, 0, -1):
            block = Block(widths[n - 1], widths[n], None, block, norm, "middle")
        self.model = Block(outputs, widths[0], inputs, block, norm, "outermost")

    def forward(self, x):
        return self.model(x)


class PatchDiscriminator(nn.Module):
    """The discriminators `basic`, with three layers, and `n_layers`, with any number of layers."""

    def __init__(self, channels=6, features=64, layers=3, norm="batch"):
        super().__init__()
        bias = norm.startswith("instance")
        widths = [features * min(2**n, 8) for n in range(layers + 1)]
        stack = [nn.Conv2d(channels, features, 4, 2, 1), nn.LeakyReLU(0.2)]
        for n in range(1, layers + 1):
            stride = 1 if n == layers else 2
            stack += [
                nn.Conv2d(widths[n - 1], widths[n], 4, stride, 1, bias=bias),
                NORMS[norm](widths[n]),
                nn.LeakyReLU(0.2),
            ]
        self.model = nn.Sequential(*stack, nn.Conv2d(widths[-1], 1, 4, 1, 1))

    def forward(self, x):
        return self.model(x)


class PixelDiscriminator(nn.Module):
    """The discriminator `pixel`."""

    def __init__(self, channels=6, features=64, norm="batch"):
        super().__init__()
        bias = norm.startswith("instance")
        self.net = nn.Sequential(
            nn.Conv2d(channels, features, 1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(features, 2 * features, 1, bias=bias),
            NORMS[norm](2 * features),
            nn.LeakyReLU(0.2),
            nn.Conv2d(2 * features, 1, 1, bias=bias),
        )

    def forward(self, x):
        return self.net(x)


def randomize(network, seed=0):
    """Sets all parameters and running averages of a network to random values; returns it."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            if tensor.is_floating_point():
                noise = torch.randn(tensor.shape, generator=generator)
                scale = 0.05 if tensor.ndim == 4 else 0.2
                tensor.copy_(
                    scale * noise
                    + (1 if name.endswith(("var", "weight")) and tensor.ndim == 1 else 0)
                )
    return network
