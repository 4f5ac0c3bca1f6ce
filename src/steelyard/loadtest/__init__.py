"""load(model, workload): what a service does under a given load."""
