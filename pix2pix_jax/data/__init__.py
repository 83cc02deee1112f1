"""Datasets of image pairs: written once by TFDS builders, read as batches[step]."""
