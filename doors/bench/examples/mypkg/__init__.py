"""A package with a model in it."""
