"""Sweeps (ablations): the variants of an experiment are trained, evaluated and compared."""
