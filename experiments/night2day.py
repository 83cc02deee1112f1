"""Day to night: 17,823 pairs, 17 epochs at batch 4 (section 6.2).

    python -m pix2pix_jax train --config=experiments/night2day.py --workdir=runs/night2day

To translate night to day, give --config.data.direction=AtoB.

This experiment is meant for an accelerator; nobody has run all of its steps yet. At the speed of
edges2shoes.py on two CPU cores, 2.0 s a step, it would take two days.
"""

from pix2pix_jax.config import Config, Data, Train, preset


def get_config(preset_name: str = "paper") -> Config:
    config = Config(
        data=Data(name="night2day", direction="BtoA", batch_size=4),  # A is the night
        train=Train(steps=17 * 17_823 // 4),
    )
    return preset(preset_name, config)
