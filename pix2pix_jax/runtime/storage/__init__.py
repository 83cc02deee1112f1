"""Files and folders on disks and in buckets: paths, locks, leases, and atomic writes."""
