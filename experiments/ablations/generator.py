"""Generator and objective, U-Net or encoder-decoder.

    python -m pix2pix_jax sweep --config=experiments/ablations/generator.py:facades \
        --workdir=runs/generator

The argument after the colon is the experiment to vary, here facades.py. Without it, the sweep
varies synthetic_facades.py. For your own pairs, give quickstart:FOLDER or folder:FOLDER. The paper
measured this table at batch size 10, unlike its other tables; see also its figure 5.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from pix2pix_jax.config import Config, load_experiment

PAPER_TABLE = "table 2: Cityscapes"
PAPER = {
    "encoder_decoder-L1": {
        "per_pixel_accuracy": 0.35, "per_class_accuracy": 0.12, "class_iou": 0.08,
    },
    "encoder_decoder-L1+cGAN": {
        "per_pixel_accuracy": 0.29, "per_class_accuracy": 0.09, "class_iou": 0.05,
    },
    "unet-L1": {"per_pixel_accuracy": 0.48, "per_class_accuracy": 0.18, "class_iou": 0.13},
    "unet-L1+cGAN": {"per_pixel_accuracy": 0.55, "per_class_accuracy": 0.20, "class_iou": 0.14},
    "ground truth": {"per_pixel_accuracy": 0.80, "per_class_accuracy": 0.26, "class_iou": 0.21},
}  # fmt: skip


def sweep(base: str = "synthetic_facades", seeds: int = 3) -> Iterator[tuple[str, Config]]:
    experiment, colon, argument = base.partition(":")
    config = load_experiment(f"{Path(__file__).parents[1] / experiment}.py{colon}{argument}")
    losses = {"L1": replace(config.loss, gan="none"), "L1+cGAN": config.loss}
    for seed in range(seeds):
        for generator in ("encoder_decoder", "unet"):
            model = replace(config.model, generator=generator)
            for name, loss in losses.items():
                variant = replace(config, model=model, loss=loss, seed=seed)
                yield f"{generator}-{name}/seed{seed}", variant
