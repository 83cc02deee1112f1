"""Trains and uses runs in a bucket, by a local copy of the run that is kept equal to the bucket."""
