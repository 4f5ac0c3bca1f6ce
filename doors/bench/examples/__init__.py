"""Examples that the documentation names."""
