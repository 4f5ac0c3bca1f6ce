"""Load tests: what configurations say of traffic and of data sets, as stages and workloads of the engine."""
