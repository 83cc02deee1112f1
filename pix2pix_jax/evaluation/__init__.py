"""Scores of a generator on a split, the page of an evaluation, and the segmenter.

To add a metric, add a row to METRICS in `config/metrics.py`, and then
- a metric of a single pair (SSIM, for example): a function in PAIR_METRICS in `pair_metrics.py`;
- a metric of all pairs together (the FCN-score, for example): a file such as `fcn_score.py`, the
  values of a batch in `Scorer._measure_batch`, and the number in `score_split`, both in
  `scorer.py`.
The files, the tables, the pages and `train.best_metric` then know the metric.
"""
