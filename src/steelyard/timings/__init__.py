"""What the times of many answers say, taken from the shards of a run."""
