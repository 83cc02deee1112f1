"""Trains and uses runs in a bucket. Commands work on a local copy of the run, kept in sync."""
