"""Day -> night: 17,823 pairs, 17 epochs at batch 4 (section 6.2).

    python -m pix2pix_jax train --config=experiments/night2day.py --workdir=runs/night2day

The other way round, night -> day: --config.data.direction=AtoB.

Meant for an accelerator; not yet run to its end. At the pace of edges2shoes.py on two CPU cores,
2.0 s a step, it would take two days.
"""

from pix2pix_jax.config import Config, Data, Train, preset


def get_config(like: str = "paper") -> Config:
    config = Config(
        data=Data(name="night2day", direction="BtoA", batch_size=4),  # A is the night
        train=Train(steps=17 * 17_823 // 4),
    )
    return preset(like, config)
