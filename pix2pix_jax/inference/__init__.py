"""Translates images of any size with a trained generator: files, folders, and the demo page.

In all modules, `config` is the resolved config of a run, `workdir` its workdir, and `step` the step
of a checkpoint.
"""
