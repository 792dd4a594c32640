"""Several Macs, one queue: who is in the farm, and how one begins."""
