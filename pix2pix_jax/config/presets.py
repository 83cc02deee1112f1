"""Presets: an experiment with the networks and updates of another implementation."""

from typing import Any

from pix2pix_jax.config.schema import Config, replace_fields
from pix2pix_jax.errors import UsageError

# What others do differently, each as what `preset` changes in an experiment. As in the paper are
# initial scales of norms, N(1, 0.02), where Keras starts at 1; images are resized bicubically; and
# a linear decay goes step by step.
PRESETS: dict[str, dict[str, dict[str, Any]]] = {
    "paper": {},
    # github.com/junyanz/pytorch-CycleGAN-and-pix2pix. Its pixel discriminator has no bias on the
    # logits; ours has.
    "pytorch": {
        "model": {"dropout_blocks": "middle", "bottleneck_norm": False},
        "optimizer": {"schedule": "linear_decay"},
    },
    # tensorflow.org/tutorials/generative/pix2pix. A norm of the 1x1 bottleneck leaves nothing of
    # the image there: so it is.
    "tf_tutorial": {
        "model": {
            "bias": "last",
            "bottleneck_norm": True,
            "leaky_slope": 0.3,
            "norm_epsilon": 1e-3,
            "skip_slope": 0.3,
        },
        "loss": {"discriminator_weight": 1.0},
        "optimizer": {"epsilon": 1e-7, "epsilon_hat": True, "updates": "simultaneous"},
    },
    # "How to Implement Pix2Pix GAN Models From Scratch With Keras" at machinelearningmastery.com.
    # Its generator runs twice a step, with two dropouts; ours once. Its discriminator's norms
    # are also updated with the generator; ours are not.
    "keras_tutorial": {
        "data": {"flip": False, "load_scale": 1.0},
        "model": {
            "bias": "all",
            "bottleneck_norm": False,
            "discriminator": "tutorial",
            "norm_epsilon": 1e-3,
        },
        "optimizer": {"epsilon": 1e-7, "epsilon_hat": True, "updates": "real_then_fake"},
    },
}


def preset(name: str, config: Config) -> Config:
    """An experiment with the networks and updates of another implementation, one of PRESETS.

    Raises:
      UsageError: no such preset.
    """
    if name not in PRESETS:
        raise UsageError(f"preset: there is no {name}; there are {', '.join(PRESETS)}")
    return replace_fields(config, PRESETS[name])
