"""Ablations: the variants of an experiment, trained, evaluated and compared."""
