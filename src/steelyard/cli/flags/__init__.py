"""What each verb of the command takes: its flags, in the order of their help."""
