"""Label map -> photo of a facade: the CMP set, 400 pairs, 200 epochs at batch 1 (section 6.2).

    python -m pix2pix_jax train --config=experiments/facades.py --workdir=runs/facades

Without a network: --config.data.source=facades.tar.gz. The defaults of Config are this experiment.
As others have it: --config=experiments/facades.py:pytorch, :tf_tutorial or :keras_tutorial.

Meant for an accelerator: with --config.train.dtype=bfloat16, one H200 takes 1.9 ms a step, and four
minutes for all with its start. Two CPU cores take 0.54 s a step and 4 GB, 12 hours for all.
"""

from pix2pix_jax.config import Config, Data, Train, preset


def get_config(like: str = "paper") -> Config:
    config = Config(
        data=Data(name="facades", direction="BtoA"),  # A is the photo
        train=Train(steps=200 * 400),
    )
    return preset(like, config)
