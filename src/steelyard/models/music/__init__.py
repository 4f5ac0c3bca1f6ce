"""Music: a network that hears a piece, reads what was asked for, and says how good it is."""
