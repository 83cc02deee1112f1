"""Label map -> photo of a facade: the CMP set, 400 pairs, 200 epochs at batch 1 (section 6.2).

    python -m pix2pix_jax train --config=experiments/facades.py --workdir=runs/facades

Without a network: --config.data.source=facades.tar.gz. The defaults of Config are this experiment.
As others have it: --config=experiments/facades.py:pytorch, :tf_tutorial or :keras_tutorial.

Meant for an accelerator, on which it has not been timed yet. Two CPU cores take 0.65 s a step and
3.2 GB, 14 hours for all; the first 100 steps bring validation/l1 from 0.33 at step 50 to 0.32.
"""

from pix2pix_jax.config import Config, Data, Train, preset


def get_config(like: str = "paper") -> Config:
    config = Config(
        data=Data(name="facades", direction="BtoA"),  # A is the photo
        train=Train(steps=200 * 400),
    )
    return preset(like, config)
