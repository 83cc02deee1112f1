"""Edges to handbag: 138,567 pairs, 15 epochs at batch 4, no jitter, no mirroring (section 6.2).

    python -m pix2pix_jax train --config=experiments/edges2handbags.py --workdir=runs/handbags

This experiment is meant for an accelerator; nobody has run all of its steps yet. At the speed of
edges2shoes.py on two CPU cores, 2.0 s a step, it would take twelve days.
"""

from pix2pix_jax.config import Config, Data, Train, preset


def get_config(preset_name: str = "paper") -> Config:
    config = Config(
        data=Data(name="edges2handbags", load_scale=1, flip=False, batch_size=4),
        train=Train(steps=15 * 138_567 // 4),
    )
    return preset(preset_name, config)
