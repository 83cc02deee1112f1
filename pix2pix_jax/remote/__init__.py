"""Runs in a bucket: a local copy of the workdir is kept equal to a folder of the bucket."""
