"""Your own pairs: a folder, tarball or zip file with side-by-side images, or with A/ and B/.

    python -m pix2pix_jax train --config=experiments/folder.py:my_pairs --workdir=runs/mine

A is translated to B; --config.data.direction=BtoA translates B to A. A file in A/ and a file in B/
with the same name are a pair. The folders train/, val/ and test/ are the splits; if there is no
val/, a tenth of the training pairs becomes val. Training takes 200 epochs, as for the small sets of
the paper; give --config.train.epochs or --config.train.steps for another length.

At 256x256, two CPU cores need 0.54 s for a step. On a laptop, quickstart.py:my_pairs trains a
small model on the same pairs in minutes.
"""

from pix2pix_jax.config import Config, Data, Train


def get_config(source: str) -> Config:
    return Config(data=Data(name="folder", source=source or None), train=Train(epochs=200))
