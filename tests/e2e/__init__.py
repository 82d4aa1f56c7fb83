"""A package, so that the cluster of its fixtures is stopped before other tests begin."""
