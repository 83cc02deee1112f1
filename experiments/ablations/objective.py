"""Objective, L1 and GAN and their sums.

    python -m pix2pix_jax sweep --config=experiments/ablations/objective.py:facades \
        --workdir=runs/objective

The argument after the colon is the experiment to vary, here facades.py. Without it, the sweep
varies synthetic_facades.py. For your own pairs, give quickstart:FOLDER or folder:FOLDER. See also
the paper's figures 4 and 7.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from pix2pix_jax.config import Config, load_experiment

PAPER_TABLE = "table 1: Cityscapes"
PAPER = {
    "L1": {
        "per_pixel_accuracy": 0.42, "per_class_accuracy": 0.15, "class_iou": 0.11,
        "lab_l": 0.81, "lab_a": 0.69, "lab_b": 0.70,
    },
    "GAN": {"per_pixel_accuracy": 0.22, "per_class_accuracy": 0.05, "class_iou": 0.01},
    "cGAN": {
        "per_pixel_accuracy": 0.57, "per_class_accuracy": 0.22, "class_iou": 0.16,
        "lab_l": 0.87, "lab_a": 0.74, "lab_b": 0.84,
    },
    "L1+GAN": {"per_pixel_accuracy": 0.64, "per_class_accuracy": 0.20, "class_iou": 0.15},
    "L1+cGAN": {
        "per_pixel_accuracy": 0.66, "per_class_accuracy": 0.23, "class_iou": 0.17,
        "lab_l": 0.86, "lab_a": 0.84, "lab_b": 0.82,
    },
    "ground truth": {"per_pixel_accuracy": 0.80, "per_class_accuracy": 0.26, "class_iou": 0.21},
}  # fmt: skip


def sweep(base: str = "synthetic_facades", seeds: int = 3) -> Iterator[tuple[str, Config]]:
    experiment, colon, argument = base.partition(":")
    config = load_experiment(f"{Path(__file__).parents[1] / experiment}.py{colon}{argument}")
    losses = {
        "L1": replace(config.loss, gan="none"),
        "GAN": replace(config.loss, conditional=False, l1_weight=0),
        "cGAN": replace(config.loss, l1_weight=0),
        "L1+GAN": replace(config.loss, conditional=False),
        "L1+cGAN": config.loss,
    }
    for seed in range(seeds):
        for name, loss in losses.items():
            yield f"{name}/seed{seed}", replace(config, loss=loss, seed=seed)
