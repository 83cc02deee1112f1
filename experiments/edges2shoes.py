"""Edges to shoe: 49,825 pairs, 15 epochs at batch 4, no jitter, no mirroring (section 6.2).

    python -m pix2pix_jax train --config=experiments/edges2shoes.py --workdir=runs/edges2shoes

This experiment is meant for an accelerator; nobody has run all of its steps yet. Two CPU cores
need 2.0 s for a step, and more than four days for all steps. On 100 of the pairs, validation/l1
fell from 0.61 at step 10 to 0.33 at step 40.
"""

from pix2pix_jax.config import Config, Data, Train, preset


def get_config(preset_name: str = "paper") -> Config:
    config = Config(
        data=Data(name="edges2shoes", load_scale=1, flip=False, batch_size=4),
        train=Train(steps=15 * 49_825 // 4),
    )
    return preset(preset_name, config)
