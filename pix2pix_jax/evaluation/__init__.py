"""Scores a generator on a split, and trains the segmenter that the FCN-score needs.

To add a metric, first add a row to METRICS in `config/metrics.py`. Then:

- For a metric of a single pair, such as SSIM, add a function to PAIR_METRICS in `pair_metrics.py`.
- For a metric of all pairs together, such as the FCN-score, write a module like `fcn_score.py`.
  In `scorer.py`, compute the values of a batch in `Scorer._measure_batch`, and the score of the
  split in `score_split`.

After that, the metric is in the files, tables and pages, and train.best_metric can name it.
"""
