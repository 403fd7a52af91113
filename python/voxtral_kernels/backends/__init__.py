"""What serves an op: `select` chooses, ``native``, ``metal``, ``emulated`` and ``composed`` serve."""
