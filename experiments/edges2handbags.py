"""Edges -> handbag: 138,567 pairs, 15 epochs at batch 4, neither jitter nor mirroring (6.2).

python -m pix2pix_jax train --config=experiments/edges2handbags.py --workdir=runs/handbags
"""

from pix2pix_jax.config import Config, Data, Train


def get_config() -> Config:
    return Config(
        data=Data(name="edges2handbags", jitter=False, flip=False, batch_size=4),
        train=Train(steps=15 * 138_567 // 4),
    )
