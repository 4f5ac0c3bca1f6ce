"""Models behind HTTP, on every wire."""
