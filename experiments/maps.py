"""Aerial photo -> map: 1,096 pairs, 200 epochs at batch 1 (section 6.2).

    python -m pix2pix_jax train --config=experiments/maps.py --workdir=runs/maps

The other way round, map -> aerial photo: --config.data.direction=BtoA.

Meant for an accelerator; not yet run to its end. At the pace of facades.py on two CPU cores,
0.54 s a step, it would take 33 hours.
"""

from pix2pix_jax.config import Config, Data, Train, preset


def get_config(like: str = "paper") -> Config:
    config = Config(
        data=Data(name="maps", direction="AtoB"),  # A is the aerial photo
        train=Train(steps=200 * 1_096),
    )
    return preset(like, config)
