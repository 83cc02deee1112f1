"""Label map to photo of a facade: the CMP set, 400 pairs, 200 epochs at batch 1 (section 6.2).

    python -m pix2pix_jax train --config=experiments/facades.py --workdir=runs/facades

All other fields have the default values of Config. To train without a network connection, give the
tarball: --config.data.source=facades.tar.gz. To train as other implementations do, give a preset:
--config=experiments/facades.py:pytorch, :pytorch_instance, :tf_tutorial or :keras_tutorial.

This experiment is meant for an accelerator. With --config.train.dtype=bfloat16, one H200 needs
1.9 ms for a step, and four minutes for the whole run, including its start. Two CPU cores need
0.54 s for a step, 4 GB of memory, and 12 hours for the whole run.
"""

from pix2pix_jax.config import Config, Data, Train, preset


def get_config(preset_name: str = "paper") -> Config:
    config = Config(
        data=Data(name="facades", direction="BtoA"),  # A is the photo
        train=Train(steps=200 * 400),
    )
    return preset(preset_name, config)
