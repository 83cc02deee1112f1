"""pix2pix in PyTorch, from the paper: for `pix2pix benchmark --peers=torch`, and for the tests.

The layers have the same names as in this project, so parameters are copied by name alone.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pix2pix_jax.benchmark.worker import Trial, resident_memory
from pix2pix_jax.config import Config
from pix2pix_jax.models.topology import DISCRIMINATORS


def norm(config: Config, channels: int) -> nn.Module:
    kind = {"batch": nn.BatchNorm2d, "instance": nn.InstanceNorm2d}[config.model.norm]
    return kind(channels, eps=config.model.norm_epsilon, affine=config.model.norm_affine)


class UNet(nn.ModuleDict):
    """Section 6.1.1."""

    def __init__(self, config: Config):
        super().__init__()
        model, data = config.model, config.data
        self.depth, self.model = model.depth, model
        middle = model.dropout_blocks == "middle"
        self.noisy_levels = range(2, self.depth - 3) if middle else range(1, 4)
        widths = [data.input_channels, *(model.features * min(2**n, 8) for n in range(self.depth))]
        bottleneck = model.bottleneck_norm
        if bottleneck is None:
            bottleneck = max(data.image_size) > 2**self.depth
        for n in range(1, self.depth + 1):
            every = model.bias == "all"
            self[f"down{n}"] = nn.Conv2d(widths[n - 1], widths[n], 4, 2, 1, bias=every)
            if 1 < n < self.depth or (n == self.depth and bottleneck):
                self[f"down{n}_norm"] = norm(config, widths[n])
            first, last = n == 1, n == self.depth
            below = widths[self.depth + 1 - n] * (1 if first else 2)
            above = data.target_channels if last else widths[self.depth - n]
            self[f"up{n}"] = nn.ConvTranspose2d(below, above, 4, 2, 1, bias=every or last)
            if not last:
                self[f"up{n}_norm"] = norm(config, above)

    def forward(self, x: Tensor) -> Tensor:
        skips = []
        for n in range(1, self.depth + 1):
            x = self[f"down{n}"](x if n == 1 else F.leaky_relu(x, self.model.leaky_slope))
            x = self[f"down{n}_norm"](x) if f"down{n}_norm" in self else x
            skips.append(F.leaky_relu(x, self.model.skip_slope))
        x = skips.pop()
        for n in range(1, self.depth):
            x = self[f"up{n}_norm"](self[f"up{n}"](x))
            if n in self.noisy_levels and self.model.dropout:
                x = F.dropout(x, self.model.dropout)
            x = torch.cat([skips.pop(), F.relu(x)], 1)
        return torch.tanh(self[f"up{self.depth}"](x))


class Discriminator(nn.ModuleDict):
    """Section 6.1.2; the tutorial's pads as TensorFlow does, one more after than before."""

    def __init__(self, config: Config):
        super().__init__()
        model, data = config.model, config.data
        self.slope, self.padding = model.leaky_slope, {}
        channels = data.input_channels + data.target_channels
        table = DISCRIMINATORS[model.discriminator]
        for n, (width, kernel, stride, padding) in enumerate(table, 1):
            logits, name = width == 0, "logits" if width == 0 else f"conv{n}"
            normed = n > 1 and not logits
            bias = {"paper": not normed, "last": logits, "all": True}[model.bias]
            wide = 1 if logits else width * model.discriminator_features
            even = padding[0] == padding[1]
            self.padding[name] = None if even else padding * 2
            inside = padding[0] if even else 0
            self[name] = nn.Conv2d(channels, wide, kernel, stride, inside, bias=bias)
            if normed:
                self[f"{name}_norm"] = norm(config, wide)
            channels = wide

    def forward(self, x: Tensor) -> Tensor:
        for name, padding in self.padding.items():
            x = self[name](x if padding is None else F.pad(x, padding))
            x = self[f"{name}_norm"](x) if f"{name}_norm" in self else x
            x = x if name == "logits" else F.leaky_relu(x, self.slope)
        return x


def cross_entropy(logits: Tensor, real: bool) -> Tensor:
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, float(real)))


def eager(config: Config) -> Trial:
    """PyTorch as it comes, but that cuDNN may choose its fastest algorithms."""
    return trial(config)


def tuned(config: Config) -> Trial:
    """The same with images in the order that its convolutions like, and Adam in one kernel."""
    return trial(config, tuned=True)


def compiled(config: Config) -> Trial:
    """Both networks by torch.compile."""
    return trial(config, compiled=True)


def trial(config: Config, compiled: bool = False, tuned: bool = False) -> Trial:
    gpu = torch.cuda.is_available()
    device = "cuda" if gpu else "cpu"
    torch.backends.cudnn.benchmark = True
    order = torch.channels_last if tuned else torch.contiguous_format
    generator, discriminator = (
        network.to(device, memory_format=order) for network in (UNet(config), Discriminator(config))
    )
    for parameter in [*generator.parameters(), *discriminator.parameters()]:
        if parameter.ndim == 4:
            nn.init.normal_(parameter, 0, 0.02)
    options = config.optimizer
    g_optimizer, d_optimizer = (
        torch.optim.Adam(
            network.parameters(),
            options.learning_rate,
            (options.b1, options.b2),
            fused=tuned or None,  # None: as it comes
        )
        for network in (generator, discriminator)
    )
    shape = config.data.batch_size, 3, *config.data.image_size
    images = (2 * torch.rand(shape, device=device) - 1 for _ in range(2))
    image, target = (each.contiguous(memory_format=order) for each in images)
    generate, judge = generator, discriminator
    if compiled:
        generate, judge = torch.compile(generator), torch.compile(discriminator)

    def autocast() -> torch.autocast:
        return torch.autocast(device, torch.bfloat16, enabled=config.train.dtype == "bfloat16")

    def step() -> None:
        with autocast():
            fake = generate(image)
            discriminator.requires_grad_(True)
            real_logits = judge(torch.cat([image, target], 1))
            fake_logits = judge(torch.cat([image, fake.detach()], 1))
        d_loss = cross_entropy(real_logits.float(), True) + cross_entropy(
            fake_logits.float(), False
        )
        d_optimizer.zero_grad()
        (config.loss.discriminator_weight * d_loss).backward()
        d_optimizer.step()
        with autocast():
            discriminator.requires_grad_(False)
            logits = judge(torch.cat([image, fake], 1))
        g_loss = cross_entropy(logits.float(), True)
        g_loss = g_loss + config.loss.l1_weight * F.l1_loss(fake.float(), target)
        g_optimizer.zero_grad()
        g_loss.backward()
        g_optimizer.step()

    def run(steps: int) -> None:
        for _ in range(steps):
            step()
        if gpu:
            torch.cuda.synchronize()

    def weights() -> tuple:
        networks = generator, discriminator
        return tuple([p.detach() for p in network.parameters()] for network in networks)

    memory = torch.cuda.max_memory_allocated if gpu else resident_memory
    return Trial(run, 1, weights, memory, ["gpu" if gpu else "cpu"])
