"""Datasets of image pairs: TFDS builders write them once, `batches[step]` reads them."""
