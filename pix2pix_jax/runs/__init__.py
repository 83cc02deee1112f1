"""The workdir of a run: its files, its owner, and checks of a config against it."""
