"""Your own pairs: a folder or tarball of side-by-side images, or of A/ and B/ with equal names.

    python -m pix2pix_jax train --config=experiments/folder.py:my_pairs --workdir=runs/mine

A is translated to B; --config.data.direction=BtoA reverses this. The folders train/, val/ and
test/ are the splits. Without them, a tenth of the pairs is held out as val. The number of steps is
that of the 400 facades; 200 times the number of pairs is a good first choice for
--config.train.steps.

At 256x256, two CPU cores need 0.54 s for a step. On a laptop, quickstart.py:my_pairs trains a
small model on the same pairs in minutes.
"""

from pix2pix_jax.config import Config, Data


def get_config(source: str) -> Config:
    return Config(data=Data(name="folder", source=source or None))
