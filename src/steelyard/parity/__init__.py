"""Two ways to the same model asked the same prompts, and what differs between them by name."""
