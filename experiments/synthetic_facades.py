"""Label map -> drawn facade, small networks at 128x128: what the ablations compare by default.

    python -m pix2pix_jax train --config=experiments/synthetic_facades.py --workdir=runs/synthetic

Nothing to download; four minutes and a half on two CPU cores. Unlike the quickstart's, these label
maps do not tell how a building is painted, so that L1 alone paints all of them alike.
"""

from pix2pix_jax.config import Config, Data, Model, Optimizer, Train, preset


def get_config(like: str = "paper") -> Config:
    config = Config(
        # Neither jitter nor mirroring: drawn textures have one scale and one sun.
        data=Data(
            direction="BtoA",
            image_size=(128, 128),
            load_scale=1,
            flip=False,
            synthetic_ambiguous=True,
        ),
        model=Model(features=24, discriminator_features=24),
        optimizer=Optimizer(schedule="linear_decay"),
        train=Train(steps=8_000, sample_every=1_000, checkpoint_every=1_000, steps_per_call=10),
    )
    return preset(like, config)
