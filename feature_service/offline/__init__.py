"""Features of recorded transactions, point in time: the online kernel over sorted histories, in parallel."""
