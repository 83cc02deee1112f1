"""Scores of a generator on a split: distances, colour histograms and the FCN-score."""
