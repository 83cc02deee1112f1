"""Variants of a sweep, and what their evaluations leave."""

import json

from PIL import Image

from pix2pix_jax.config.resume import identity

VARIANTS = ["little/seed0", "little/seed1", "big/seed0", "big/seed1"]
PAPER = {"big": {"class_iou": 0.17}, "ground truth": {"class_iou": 0.21}}


def evaluated(config, folder, split, iou, truth=0.9, pairs="pairs", segmenter="segmenter"):
    """Writes what an evaluation leaves, but for its page."""
    for kind in ("input", "output", "target"):
        path = folder / "report" / f"evaluation_{split}" / kind / "a.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), "red").save(path)
    counts = {"lab_l": [1] * 101, "lab_a": [1] * 221, "lab_b": [1] * 221}
    (folder / "report" / f"evaluation_{split}.html").touch()
    summary = {
        "split": split, "step": config.train.steps, "seed": config.seed, "images": 1,
        "segmenter": segmenter, "data": pairs,
        "config_sha256": identity(config), "metrics": {"class_iou": iou, "psnr": None},
        "ground_truth": {"class_iou": truth}, "pairs": [{"name": "a"}],
        "lab_histograms": {"output": counts, "target": counts},
    }  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"evaluation_{split}.json").write_text(json.dumps(summary))
