"""Sweeps (ablations): trains, evaluates and compares the variants of an experiment."""
