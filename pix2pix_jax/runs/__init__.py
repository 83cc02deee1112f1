"""The workdir of a run: its files, who owns it, and whether it fits a config."""
