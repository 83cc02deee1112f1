"""Translates a folder of images in the usual way in PyTorch, to compare the time.

    time python experiments/benchmarks/torch_translate.py IMAGES OUTPUT
    time python -m pix2pix_jax translate --config=... --workdir=... --input=IMAGES --output=OUTPUT

The weights are random, because drawing random weights takes at least as long as reading weights.
Dropout is on, and norms use the statistics of each image, as in the paper (section 3.3).
"""

import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch_peer import UNet

from pix2pix_jax.config import Config
from pix2pix_jax.config.resolve import resolve


def main(source: Path, output: Path) -> None:
    """Translates all images of the folder `source` into the folder `output`."""
    output.mkdir(parents=True, exist_ok=True)
    generator = UNet(resolve(Config()))
    with torch.no_grad():
        for path in sorted(source.iterdir()):
            image = np.asarray(Image.open(path).convert("RGB"), np.float32) / 127.5 - 1
            fake = generator(torch.from_numpy(image.transpose(2, 0, 1))[None])[0]
            pixels = ((fake.numpy().transpose(1, 2, 0) + 1) * 127.5).round().astype(np.uint8)
            Image.fromarray(pixels).save(output / f"{path.stem}.png")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
