"""Label map to drawn facade, small networks at 128x128: the default of the ablations.

    python -m pix2pix_jax train --config=experiments/synthetic_facades.py --workdir=runs/synthetic

Nothing is downloaded, and two CPU cores need four and a half minutes. These pairs are harder than
the pairs of the quickstart, because the label maps do not say how a building is painted. A network
that is trained with L1 alone paints all buildings alike.
"""

from pix2pix_jax.config import Config, Data, Model, Optimizer, Train, preset


def get_config(preset_name: str = "paper") -> Config:
    config = Config(
        # No jitter and no mirroring, because all drawn facades have the same scale and light.
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
    return preset(preset_name, config)
