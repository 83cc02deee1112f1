"""The machine: devices, other processes, files, locks, signals and buckets."""
