"""Label map to street scene: Cityscapes, 2,975 pairs, 200 epochs at batch 1 (section 6.2).

    python -m pix2pix_jax train --config=experiments/cityscapes.py --workdir=runs/cityscapes

This experiment is meant for an accelerator; nobody has run all of its steps yet. At the speed of
facades.py on two CPU cores, 0.54 s a step, it would take almost four days.
"""

from pix2pix_jax.config import Config, Data, Train, preset


def get_config(preset_name: str = "paper") -> Config:
    config = Config(
        data=Data(name="cityscapes", direction="BtoA"),  # A is the photo
        train=Train(steps=200 * 2_975),
    )
    return preset(preset_name, config)
