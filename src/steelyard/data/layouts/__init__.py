"""Known data sets, as their users have them on disk: which files they are, what each row means."""
