"""The medical benchmark's interface: ModelRunner and its harness. Everything in it only translates."""
