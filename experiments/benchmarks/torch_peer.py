"""pix2pix in PyTorch, as in the paper: for `benchmark --peers=torch`, and for the parity tests.

The layers have the same names as in pix2pix_jax, so that parameters can be copied by name.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pix2pix_jax.benchmark.worker import Arrays, Trial, resident_memory
from pix2pix_jax.config import Config
from pix2pix_jax.models.topology import DISCRIMINATORS


def norm(config: Config, channels: int) -> nn.Module:
    kind = {"batch": nn.BatchNorm2d, "instance": nn.InstanceNorm2d}[config.model.norm]
    return kind(channels, eps=config.model.norm_epsilon, affine=config.model.norm_affine)


class UNet(nn.ModuleDict):
    """The generator (section 6.1.1)."""

    def __init__(self, config: Config):
        super().__init__()
        model, data = config.model, config.data
        self.depth, self.model = model.depth, model
        middle = model.dropout_blocks == "middle"
        self.dropout_levels = range(2, self.depth - 3) if middle else range(1, 4)
        widths = [data.input_channels, *(model.features * min(2**n, 8) for n in range(self.depth))]
        bottleneck = model.bottleneck_norm
        if bottleneck is None:
            bottleneck = max(data.image_size) > 2**self.depth
        for n in range(1, self.depth + 1):
            has_bias = model.bias == "all"
            self[f"down{n}"] = nn.Conv2d(widths[n - 1], widths[n], 4, 2, 1, bias=has_bias)
            if 1 < n < self.depth or (n == self.depth and bottleneck):
                self[f"down{n}_norm"] = norm(config, widths[n])
            first, last = n == 1, n == self.depth
            # Except for the first layer, half of the channels come from a skip connection.
            inputs = widths[self.depth + 1 - n] * (1 if first else 2)
            outputs = data.target_channels if last else widths[self.depth - n]
            self[f"up{n}"] = nn.ConvTranspose2d(inputs, outputs, 4, 2, 1, bias=has_bias or last)
            if not last:
                self[f"up{n}_norm"] = norm(config, outputs)

    def forward(self, x: Tensor) -> Tensor:
        skips = []
        for n in range(1, self.depth + 1):
            x = self[f"down{n}"](x if n == 1 else F.leaky_relu(x, self.model.leaky_slope))
            x = self[f"down{n}_norm"](x) if f"down{n}_norm" in self else x
            skips.append(F.leaky_relu(x, self.model.skip_slope))
        x = skips.pop()
        for n in range(1, self.depth):
            x = self[f"up{n}_norm"](self[f"up{n}"](x))
            if n in self.dropout_levels and self.model.dropout:
                x = F.dropout(x, self.model.dropout)
            x = torch.cat([skips.pop(), F.relu(x)], 1)
        return torch.tanh(self[f"up{self.depth}"](x))


class Discriminator(nn.ModuleDict):
    """The discriminator (section 6.1.2).

    Some layers of the TensorFlow tutorial's discriminator have uneven padding: one more pixel at
    the bottom and at the right.
    """

    def __init__(self, config: Config):
        super().__init__()
        model, data = config.model, config.data
        self.slope, self.padding = model.leaky_slope, {}
        channels = data.input_channels + data.target_channels
        table = DISCRIMINATORS[model.discriminator]
        for n, (width, kernel, stride, padding) in enumerate(table, 1):
            is_first, is_logits = n == 1, width == 0
            name = "logits" if is_logits else f"conv{n}"
            has_norm = n > 1 and not is_logits
            bias = {
                "paper": is_first or is_logits,
                "pytorch": is_first or (is_logits and kernel > 1),
                "last": is_logits,
                "all": True,
            }[model.bias]
            features = 1 if is_logits else width * model.discriminator_features
            is_even = padding[0] == padding[1]  # If the padding is uneven, `forward` pads.
            self.padding[name] = None if is_even else padding * 2
            conv_padding = padding[0] if is_even else 0
            self[name] = nn.Conv2d(channels, features, kernel, stride, conv_padding, bias=bias)
            if has_norm:
                self[f"{name}_norm"] = norm(config, features)
            channels = features

    def forward(self, x: Tensor) -> Tensor:
        for name, padding in self.padding.items():
            x = self[name](x if padding is None else F.pad(x, padding))
            x = self[f"{name}_norm"](x) if f"{name}_norm" in self else x
            x = x if name == "logits" else F.leaky_relu(x, self.slope)
        return x


def cross_entropy(logits: Tensor, real: bool) -> Tensor:
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, float(real)))


def make_eager_trial(config: Config) -> Trial:
    """Makes a trial with default settings, except that cuDNN may choose its fastest algorithms."""
    return to_trial(Training(config))


def make_tuned_trial(config: Config) -> Trial:
    """Makes a trial with images and kernels in channels-last order, and a fused Adam."""
    return to_trial(Training(config, order=torch.channels_last, fused=True))


def make_compiled_trial(config: Config) -> Trial:
    """Makes a trial with default settings, and with both networks compiled by torch.compile."""
    training = Training(config)
    training.compile()
    return to_trial(training)


class Training:
    """Training of a resolved config on one batch of random images.

    Args:
      config: the resolved config.
      order: the memory order of images and kernels.
      fused: whether Adam runs as one fused kernel; None: PyTorch decides.
    """

    def __init__(
        self,
        config: Config,
        order: torch.memory_format = torch.contiguous_format,
        fused: bool | None = None,
    ):
        self.config = config
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        torch.backends.cudnn.benchmark = True
        self.generator = UNet(config).to(self.device, memory_format=order)
        self.discriminator = Discriminator(config).to(self.device, memory_format=order)
        for parameter in [*self.generator.parameters(), *self.discriminator.parameters()]:
            if parameter.ndim == 4:
                nn.init.normal_(parameter, 0, 0.02)
        self.generator_optimizer = make_adam(config, self.generator, fused)
        self.discriminator_optimizer = make_adam(config, self.discriminator, fused)
        shape = config.data.batch_size, 3, *config.data.image_size
        images = (2 * torch.rand(shape, device=self.device) - 1 for _ in range(2))
        self.image, self.target = (each.contiguous(memory_format=order) for each in images)
        self.generate, self.score = self.generator, self.discriminator

    def compile(self) -> None:
        """Compiles both networks with torch.compile."""
        self.generate = torch.compile(self.generator)
        self.score = torch.compile(self.discriminator)

    def autocast(self) -> torch.autocast:
        """Makes a context that computes in bfloat16 if train.dtype is bfloat16."""
        enabled = self.config.train.dtype == "bfloat16"
        return torch.autocast(self.device, torch.bfloat16, enabled=enabled)

    def score_patches(self, images: Tensor) -> Tensor:
        """Computes the discriminator's logits [b, 1, h', w'] for images [b, c, h, w]."""
        return self.score(torch.cat([self.image, images], 1))

    def step(self) -> None:
        """Updates the discriminator, and then the generator against the new discriminator."""
        loss = self.config.loss
        with self.autocast():
            fake = self.generate(self.image)
            self.discriminator.requires_grad_(True)
            real_logits = self.score_patches(self.target)
            fake_logits = self.score_patches(fake.detach())
        real_loss = cross_entropy(real_logits.float(), True)
        d_loss = real_loss + cross_entropy(fake_logits.float(), False)
        self.discriminator_optimizer.zero_grad()
        (loss.discriminator_weight * d_loss).backward()
        self.discriminator_optimizer.step()
        with self.autocast():
            self.discriminator.requires_grad_(False)
            logits = self.score_patches(fake)
        g_loss = cross_entropy(logits.float(), True)
        g_loss = g_loss + loss.l1_weight * F.l1_loss(fake.float(), self.target)
        self.generator_optimizer.zero_grad()
        g_loss.backward()
        self.generator_optimizer.step()

    def run(self, steps: int) -> None:
        """Trains for a number of steps, one by one, and waits until they are done."""
        for _ in range(steps):
            self.step()
        if self.device == "cuda":
            torch.cuda.synchronize()

    def weights(self) -> tuple[Arrays, Arrays]:
        """The parameters of the generator and of the discriminator."""
        return (
            [parameter.detach() for parameter in self.generator.parameters()],
            [parameter.detach() for parameter in self.discriminator.parameters()],
        )


def make_adam(config: Config, network: nn.Module, fused: bool | None) -> torch.optim.Adam:
    options = config.optimizer
    betas = options.b1, options.b2
    return torch.optim.Adam(network.parameters(), options.learning_rate, betas, fused=fused)


def to_trial(training: Training) -> Trial:
    """Makes a trial of a training, for the benchmark to time."""
    gpu = training.device == "cuda"
    memory = torch.cuda.max_memory_allocated if gpu else resident_memory
    return Trial(training.run, 1, training.weights, memory, ["gpu" if gpu else "cpu"])
