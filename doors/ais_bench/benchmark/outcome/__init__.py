"""What is kept of a sitting: predictions, results, tables, in a folder named by its time."""
