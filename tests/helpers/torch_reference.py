"""Networks, losses and updates in PyTorch, with our parameters. The networks are the benchmark's.

Their layers have the same names as our layers, so that parameters can be copied by name.
"""

import sys
from pathlib import Path

import jax
import numpy as np
import torch
from torch.nn import functional as F

sys.path.append(str(Path(__file__).parents[2] / "experiments" / "benchmarks"))

from torch_peer import Discriminator, UNet, cross_entropy  # noqa: E402


class KerasAdam(torch.optim.Optimizer):
    """Adam as in Keras: epsilon is added before the second moment's bias is corrected."""

    def __init__(self, params, lr, betas, eps):
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            (b1, b2), lr = group["betas"], group["lr"]
            for p in group["params"]:
                state = self.state[p]
                t = state["t"] = state.get("t", 0) + 1
                m = state["m"] = b1 * state.get("m", 0) + (1 - b1) * p.grad
                v = state["v"] = b2 * state.get("v", 0) + (1 - b2) * p.grad**2
                rate = lr * (1 - b2**t) ** 0.5 / (1 - b1**t)
                p -= rate * m / (v.sqrt() + group["eps"])


def to_torch(network, params):
    """Copies our parameters to a PyTorch network; fails unless both have the same parameters."""
    state = {}
    for layer, leaves in jax.device_get(params).items():
        for name, value in leaves.items():
            if name == "kernel":  # [k, k, in, out]
                axes = (2, 3, 0, 1) if layer.startswith("up") else (3, 2, 0, 1)
                state[f"{layer}.weight"] = torch.tensor(value.transpose(axes))
            else:
                state[f"{layer}.{'weight' if name == 'scale' else 'bias'}"] = torch.tensor(value)
    statistics = {k: v for k, v in network.state_dict().items() if k not in state}
    assert all("running" in k or "num_batches" in k for k in statistics)
    network.load_state_dict(state | statistics, strict=True)
    return network


def from_torch(network, gradients=False):
    """The parameters of a PyTorch network, or their gradients, under our names."""
    tree = {}
    for place, value in network.named_parameters():
        layer, _, name = place.rpartition(".")
        value = (value.grad if gradients else value).detach().numpy()
        if value.ndim == 4:
            axes = (2, 3, 0, 1) if layer.startswith("up") else (2, 3, 1, 0)
            tree.setdefault(layer, {})["kernel"] = value.transpose(axes).copy()
        else:
            name = "scale" if name == "weight" else "bias"
            tree.setdefault(layer, {})[name] = value.copy()
    return tree


def nchw(x):
    return torch.tensor(np.asarray(x).transpose(0, 3, 1, 2))


class Run:
    """A training run: the state of both networks and optimizers."""

    def __init__(self, config, generator_params, discriminator_params, dtype=torch.float32):
        self.config, options, self.dtype = config, config.optimizer, dtype
        self.generator = to_torch(UNet(config), generator_params).to(dtype)
        self.discriminator = to_torch(Discriminator(config), discriminator_params).to(dtype)
        adam = KerasAdam if options.epsilon_hat else torch.optim.Adam
        rates = {"lr": options.learning_rate, "betas": (options.b1, options.b2)}
        self.g_optimizer, self.d_optimizer = (
            adam(network.parameters(), **rates, eps=options.epsilon)
            for network in (self.generator, self.discriminator)
        )

    def gradients(self, batch):
        """The gradients of a step for each network; the step changes nothing."""
        gradients, networks = [None, None], (self.generator, self.discriminator)
        optimizers = self.g_optimizer, self.d_optimizer

        def keep(index):  # the last step of an optimizer counts
            gradients[index] = from_torch(networks[index], gradients=True)

        for index, optimizer in enumerate(optimizers):
            optimizer.step = lambda index=index: keep(index)
        self.step(batch)
        for optimizer in optimizers:
            del optimizer.step
        return tuple(gradients)

    def step(self, batch):
        """Updates both networks, and returns the losses of these updates."""
        image, target = (nchw(batch[name]).to(self.dtype) for name in ("input", "target"))
        order, weight = self.config.optimizer.updates, self.config.loss.discriminator_weight
        fake = self.generator(image)

        def score(output):
            return self.discriminator(torch.cat([image, output], 1))

        def real_loss():
            return weight * cross_entropy(score(target), True)

        def fake_loss():
            return weight * cross_entropy(score(fake.detach()), False)

        def generator_losses():
            return cross_entropy(score(fake), True), F.l1_loss(fake, target)

        def update(optimizer, loss):
            optimizer.zero_grad()
            loss.backward(retain_graph=True)
            optimizer.step()

        if order == "real_then_fake":
            losses = []
            for half in (real_loss, fake_loss):
                losses.append(half())
                update(self.d_optimizer, losses[-1])
            gan, l1 = generator_losses()
            update(self.g_optimizer, gan + self.config.loss.l1_weight * l1)
        elif order == "simultaneous":
            losses, (gan, l1) = [real_loss(), fake_loss()], generator_losses()
            self.g_optimizer.zero_grad()
            (gan + self.config.loss.l1_weight * l1).backward(retain_graph=True)
            update(self.d_optimizer, sum(losses))
            self.g_optimizer.step()
        else:
            losses = [real_loss(), fake_loss()]
            update(self.d_optimizer, sum(losses))
            gan, l1 = generator_losses()
            update(self.g_optimizer, gan + self.config.loss.l1_weight * l1)
        return {
            "loss/discriminator": sum(losses).item(),
            "loss/generator_gan": gan.item(),
            "loss/generator_l1": l1.item(),
        }
