"""Programs that nobody has read, run behind walls: what a model wrote, tried by its tests."""
