"""Edges -> shoe: 49,825 pairs, 15 epochs at batch 4, neither jitter nor mirroring (section 6.2).

python -m pix2pix_jax train --config=experiments/edges2shoes.py --workdir=runs/edges2shoes
"""

from pix2pix_jax.config import Config, Data, Train


def get_config() -> Config:
    return Config(
        data=Data(name="edges2shoes", jitter=False, flip=False, batch_size=4),
        train=Train(steps=15 * 49_825 // 4),
    )
