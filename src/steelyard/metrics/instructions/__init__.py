"""Instructions that an answer can be seen to follow: the 25 kinds of IFEval."""
