"""Presets: fields that make an experiment train as another implementation of pix2pix does."""

from typing import Any

from pix2pix_jax.config.fields import replace_fields
from pix2pix_jax.config.schema import Config
from pix2pix_jax.errors import UsageError

PYTORCH: dict[str, dict[str, Any]] = {
    "model": {"bias": "pytorch", "dropout_blocks": "middle", "bottleneck_norm": False},
    "optimizer": {"schedule": "linear_decay", "decay_per": "epoch"},
}
# The fields in which each implementation differs from the paper. In two respects, the presets do
# not follow the other implementations: the initial scales of norms are drawn from N(1, 0.02), but
# Keras starts at 1; and images are resized bicubically.
PRESETS: dict[str, dict[str, dict[str, Any]]] = {
    "paper": {},
    # github.com/junyanz/pytorch-CycleGAN-and-pix2pix.
    "pytorch": PYTORCH,
    # The same code with the option --norm instance.
    "pytorch_instance": PYTORCH
    | {"model": PYTORCH["model"] | {"norm": "instance", "norm_affine": False, "bias": "all"}},
    # tensorflow.org/tutorials/generative/pix2pix. The norm of the 1x1 bottleneck removes all
    # information there, both in the tutorial and here.
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
    # The tutorial's generator runs twice in a step, with different dropout; ours runs once. The
    # tutorial also updates the norms of the discriminator when it updates the generator; we do not.
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
    """Changes an experiment so that it trains as another implementation does.

    Args:
      name: a key of PRESETS.
      config: the experiment.

    Raises:
      UsageError: there is no such preset.
    """
    if name not in PRESETS:
        raise UsageError(
            f"there is no preset {name}",
            f"give one of these presets: {', '.join(PRESETS)}; or, to train on your own pairs, "
            "give --config=experiments/folder.py:FOLDER_OR_ARCHIVE",
        )
    return replace_fields(config, PRESETS[name])
