"""Receptive field of the discriminator, PixelGAN to ImageGAN.

    python -m pix2pix_jax sweep --config=experiments/ablations/receptive_field.py:facades \
        --workdir=runs/receptive_field

The argument after the colon is the experiment to vary, here facades.py. Without it, the sweep
varies synthetic_facades.py. For your own pairs, give quickstart:FOLDER or folder:FOLDER. See also
the paper's figures 6 and 7.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from pix2pix_jax.config import Config, load_experiment

PAPER_TABLE = "table 3: Cityscapes"
PAPER = {
    "pixel": {
        "per_pixel_accuracy": 0.39, "per_class_accuracy": 0.15, "class_iou": 0.10,
        "lab_l": 0.83, "lab_a": 0.68, "lab_b": 0.78,
    },
    "patch16": {"per_pixel_accuracy": 0.65, "per_class_accuracy": 0.21, "class_iou": 0.17},
    "patch70": {
        "per_pixel_accuracy": 0.66, "per_class_accuracy": 0.23, "class_iou": 0.17,
        "lab_l": 0.86, "lab_a": 0.84, "lab_b": 0.82,
    },
    "image286": {"per_pixel_accuracy": 0.42, "per_class_accuracy": 0.16, "class_iou": 0.11},
    "ground truth": {"per_pixel_accuracy": 0.80, "per_class_accuracy": 0.26, "class_iou": 0.21},
}  # fmt: skip


def sweep(base: str = "synthetic_facades", seeds: int = 3) -> Iterator[tuple[str, Config]]:
    experiment, colon, argument = base.partition(":")
    config = load_experiment(f"{Path(__file__).parents[1] / experiment}.py{colon}{argument}")
    for seed in range(seeds):
        for name in ("pixel", "patch16", "patch70", "image286"):
            model = replace(config.model, discriminator=name)
            yield f"{name}/seed{seed}", replace(config, model=model, seed=seed)
