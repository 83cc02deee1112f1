"""Everything about the machine: devices, processes, memory, files, locks, signals and buckets."""
