"""Mathematical answers in LaTeX or plain text: read, never run, and compared by what they mean."""
