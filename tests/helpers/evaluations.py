"""Variants of a sweep, and the files of their evaluations."""

import json

from PIL import Image

from pix2pix_jax.config.resume import identity
from pix2pix_jax.runs.workdir import PICTURE_KINDS, Workdir

VARIANTS = ["little/seed0", "little/seed1", "big/seed0", "big/seed1"]
PAPER = {"big": {"class_iou": 0.17}, "ground truth": {"class_iou": 0.21}}


def write_evaluation(config, folder, split, iou, truth=0.9, pairs="pairs", segmenter="segmenter"):
    """Writes the files of an evaluation of one pair; the page is empty."""
    workdir = Workdir(folder)
    for kind in PICTURE_KINDS:
        path = workdir.evaluation_picture(split, kind, "a")
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), "red").save(path)
    counts = {"lab_l": [1] * 101, "lab_a": [1] * 221, "lab_b": [1] * 221}
    workdir.evaluation_page(split).touch()
    evaluation = {
        "split": split, "step": config.train.steps, "seed": config.seed, "images": 1,
        "segmenter": segmenter, "data": pairs,
        "config_sha256": identity(config), "metrics": {"class_iou": iou, "psnr": None},
        "ground_truth": {"class_iou": truth}, "pairs": [{"name": "a"}],
        "lab_histograms": {"output": counts, "target": counts},
    }  # fmt: skip
    workdir.evaluation_file(split).write_text(json.dumps(evaluation))
