"""Where entity histories live: one contract (`HistoryStore`), in Redis for a cluster, in memory for one process."""
