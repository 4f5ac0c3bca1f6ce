"""Where Samples come from: files, frames, functions, the hub."""
