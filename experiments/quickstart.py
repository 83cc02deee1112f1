"""Drawn facades at 128x128 with a small U-Net: the whole method in a few minutes on a laptop.

python -m pix2pix_jax train --config=experiments/quickstart.py --workdir=runs/quickstart
"""

from pix2pix_jax.config import Config, Data, Model, Optimizer, Train


def get_config() -> Config:
    return Config(
        data=Data(
            direction="BtoA",
            image_size=(128, 128),
            # Neither jitter nor mirroring: drawn textures have one scale and one sun.
            jitter=False,
            flip=False,
        ),
        model=Model(features=24, discriminator_features=24),
        optimizer=Optimizer(schedule="linear_decay"),
        train=Train(
            steps=4_000, sample_every=500, checkpoint_every=500, samples=8, steps_per_call=10
        ),
    )
