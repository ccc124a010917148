"""GPU workers: one process holds one engine and judges shards until it is told to stop."""
