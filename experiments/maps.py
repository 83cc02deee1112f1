"""Aerial photo to map: 1,096 pairs, 200 epochs at batch 1 (section 6.2).

    python -m pix2pix_jax train --config=experiments/maps.py --workdir=runs/maps

To translate maps to aerial photos, give --config.data.direction=BtoA.

This experiment is meant for an accelerator; nobody has run all of its steps yet. At the speed of
facades.py on two CPU cores, 0.54 s a step, it would take 33 hours.
"""

from pix2pix_jax.config import Config, Data, Train, preset


def get_config(preset_name: str = "paper") -> Config:
    config = Config(
        data=Data(name="maps", direction="AtoB"),  # A is the aerial photo
        train=Train(steps=200 * 1_096),
    )
    return preset(preset_name, config)
